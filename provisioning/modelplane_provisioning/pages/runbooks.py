"""The runbooks as a web page, which the backend serves."""

from __future__ import annotations

from itertools import pairwise

from markdown_it import MarkdownIt

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Runbooks</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
:target {{ background: #fff3c4 }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def runbooks_page(markdown: str) -> str:
    """A page of HTML; each heading has the anchor that alerts link to: its name in small letters."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", content.content.lower().replace(" ", "-"))
    return _PAGE.format(body=parser.renderer.render(tokens, parser.options, {}))
