"""Secrets of receivers, read from the files that the registry names before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from modelplane_schema.errors import UserError
from modelplane_schema.fields import Declaration
from modelplane_schema.receivers import secret_files
from modelplane_schema.registry import Registry

_LONGEST_SECRET = 8192  # bytes


class ReceiverSecretError(UserError, ValueError):
    """Secrets of receivers cannot be used; a line for each names its place in the registry and the file."""


def receiver_secrets(registry: Registry, folder: Path) -> dict[str, bytes]:
    """Map each file that receivers name to its secret, without white space around it.

    ``folder`` is that of the registry. ReceiverSecretError names all files that cannot be used.
    """
    secrets: dict[str, bytes] = {}
    problems = []
    for place, field, path in _named_files(registry):
        try:
            secrets[path] = _secret(folder / path, field)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; create it with the secret in it"
            problems.append(f"{place}.{field}: {folder / path}: {reason}")
        except ValueError as error:
            problems.append(f"{place}.{field}: {folder / path}: {error}")
    if problems:
        raise ReceiverSecretError("\n".join(problems))
    return secrets


def _named_files(registry: Registry) -> Iterator[tuple[str, str, str]]:
    """The place of a declaration, its field, and the file that this names."""
    for place, declaration in _declarations(registry):
        for field, path in secret_files(declaration).items():
            yield place, field, path


def _declarations(registry: Registry) -> Iterator[tuple[str, Declaration]]:
    platform = registry.platform
    if platform.smtp is not None:
        yield "platform.smtp", platform.smtp
    if platform.dead_mans_switch is not None:
        yield "platform.dead_mans_switch", platform.dead_mans_switch
    for place, recipient in registry.recipients:
        for position, receiver in enumerate(recipient.receivers):
            yield f"{place}.receivers[{position}]", receiver


def _secret(path: Path, field: str) -> bytes:
    """The secret in a file; OSError, or ValueError that does not repeat what is in it."""
    if path.exists() and not path.is_file():
        raise ValueError("is not a file")
    with path.open("rb") as file:
        content = file.read(_LONGEST_SECRET + 1)
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not text:
        raise ValueError("is empty; write the secret into it")
    if len(content) > _LONGEST_SECRET or not text.isprintable():
        raise ValueError(f"must hold one line of at most {_LONGEST_SECRET} bytes")
    if field.endswith("url_file") and not re.fullmatch(r"https?://\S+", text):
        raise ValueError("must hold a URL that starts with http:// or https://")
    return text.encode()
