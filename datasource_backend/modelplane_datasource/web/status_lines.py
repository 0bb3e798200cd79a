"""The first line of an error's answer, whose reason phrase is its message.

Grafana's Infinity datasource shows the reason phrase on the panel and throws the body away.
"""

from __future__ import annotations

from http import HTTPStatus

MAX_REASON = 200
_PRINTABLE = range(0x20, 0x7F)
_CUT = "..."


def status_line(status: int, message: str) -> str:
    """``400 limit has the value '0'; allowed: a whole number``: one line of printable ASCII.

    Other characters become ``?``, white space one blank, and what is too long ends with dots. Without a
    message it is the standard's phrase.
    """
    words = " ".join(message.split())
    text = "".join(character if ord(character) in _PRINTABLE else "?" for character in words)
    if len(text) > MAX_REASON:
        text = text[: MAX_REASON - len(_CUT)] + _CUT
    return f"{status} {text or HTTPStatus(status).phrase}"
