"""The error of this package for people."""

from __future__ import annotations

from modelplane_schema.errors import UserError


class OutputError(UserError, RuntimeError):
    """Boards cannot be written or read; the message names the file and says what to do."""
