"""A terminal for the commands that print lists; the runner of click is a pipe."""

from __future__ import annotations

import sys

import pytest


class _Terminal:
    """A module ``sys`` whose output is a terminal."""

    maxsize = sys.maxsize

    @property
    def stdout(self) -> _Terminal:
        return self

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are printed as to somebody at a terminal of 80 columns."""
    monkeypatch.setattr("modelplane_provisioning.commands.lines.sys", _Terminal())
    monkeypatch.setenv("COLUMNS", "80")
