"""Pages that people write, with a part that is generated."""

from __future__ import annotations

import re

from modelplane_schema.errors import UserError

BEGIN, END = "<!-- generated: make generate -->", "<!-- end of what is generated -->"


class MarkerError(UserError, ValueError):
    """The page lacks the markers between which the generated part stands."""


def with_generated_part(page: str, content: str, name: str) -> str:
    """The page with ``content`` between its markers; ``name`` is the page's in a MarkerError."""
    part = f"{BEGIN}\n\n{content}{END}"
    written, count = re.subn(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: part, page, flags=re.DOTALL)
    if count != 1:
        raise MarkerError(f"{name}: must have {BEGIN!r} once, and {END!r} once after it")
    return written
