"""The base of all errors whose text is for people."""

from __future__ import annotations


class UserError(Exception):
    """Whoever runs modelplane can put it right: the message says what is wrong, where, and what is allowed.

    The command line prints the message and no traceback.
    """
