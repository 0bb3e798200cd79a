"""The package sources of this machine, read as apt reads them (sources.list(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import NamedTuple

COMPONENT = "main"
_NO = ("no", "false", "without", "off", "disable", "0")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)]\s+)?(?P<uri>\S+)\s+\S+\s+(?P<components>.+)")


class Source(NamedTuple):
    """An archive. ``signed_by`` is as the machine has it: files, fingerprints or a key block.

    Without one the archive is signed by any of the keys that apt trusts.
    """

    uri: str
    signed_by: str

    def stanza(self, suite: str) -> str:
        """The archive with another suite, in deb822 format."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {suite}", f"Components: {COMPONENT}"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join([*lines, "Targets: Packages", ""])


def read_one_line(text: str) -> Iterator[Source]:
    """Archives with ``COMPONENT`` of a text in the format of ``sources.list``."""
    for line in text.splitlines():
        entry = _ONE_LINE.match(line.partition("#")[0].strip())
        if entry and COMPONENT in entry["components"].split():
            options = dict(option.partition("=")[::2] for option in (entry["options"] or "").split())
            yield Source(entry["uri"], options.get("signed-by", ""))


def read_deb822(text: str) -> Iterator[Source]:
    """Archives with ``COMPONENT`` of a text in the format of ``*.sources``."""
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", uncommented.strip()):
        fields = HeaderParser().parsestr(stanza)
        enabled = fields.get("Enabled", "yes").lower() not in _NO
        types, components = fields.get("Types", "").split(), fields.get("Components", "").split()
        if enabled and "deb" in types and COMPONENT in components:
            for uri in fields.get("URIs", "").split():
                yield Source(uri, fields.get("Signed-By", ""))


def read_sources(file: Path, folder: Path) -> list[Source]:
    """Each archive of ``sources.list`` and of ``sources.list.d``; files that are absent hold none."""
    readers = {".list": read_one_line, ".sources": read_deb822}
    archives: dict[Source, None] = {}
    for path in (file, *sorted(folder.glob("*"))):
        if path.is_file() and path.suffix in readers:
            text = path.read_text(encoding="utf-8", errors="replace")
            archives |= dict.fromkeys(readers[path.suffix](text))
    return list(archives)
