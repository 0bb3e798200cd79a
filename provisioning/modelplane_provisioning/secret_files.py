"""Read a token or a password from a file that somebody named; no error says what the file holds."""

from __future__ import annotations

from pathlib import Path

from modelplane_schema.errors import UserError


class SecretFileError(UserError, RuntimeError):
    """A file cannot be read, or holds no token or password."""


def read_token(path: Path) -> str:
    """The token in a file, without white space around it; SecretFileError."""
    token = _read(path, "ascii", "token").strip()
    if not token or not token.isprintable() or " " in token:
        raise SecretFileError(f"{path}: must hold a token, and nothing else")
    return token


def read_password(path: Path) -> str:
    """The password in a file, without the end of its line; SecretFileError."""
    password = _read(path, "utf-8", "password").rstrip("\r\n")
    if not password or not password.isprintable():
        raise SecretFileError(f"{path}: must hold a password, and nothing else")
    return password


def _read(path: Path, encoding: str, what: str) -> str:
    try:
        return path.read_text(encoding=encoding)
    except (OSError, UnicodeError) as error:
        raise SecretFileError(f"{path}: cannot be read as a {what}: {type(error).__name__}") from error
