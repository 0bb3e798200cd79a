"""Where the built-in server listens and whom it answers, from the environment."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelplane_exporter.settings import (
    ADDRESS,
    PASSWORD_FILE,
    TLS_CERT_FILE,
    TLS_KEY_FILE,
    USERNAME,
    Variable,
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens and whom it answers.

    ``credentials`` is the SHA-256 digest of ``user:password``, None to answer everybody.
    """

    address: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    credentials: bytes | None = field(default=None, repr=False)


def server_settings(
    address: str | None, port: int, environ: Mapping[str, str] = os.environ
) -> ServerSettings:
    """Settings from the environment, of which ``address`` is outweighed by the argument.

    ValueError names the variable when a pair is half given or a file cannot be used.
    """
    tls = _pair(TLS_CERT_FILE, TLS_KEY_FILE, environ)
    basic = _pair(USERNAME, PASSWORD_FILE, environ)
    return ServerSettings(
        address or environ.get(ADDRESS.name) or ADDRESS.default,
        port,
        _tls_context(*tls) if tls else None,
        _credentials(*basic) if basic else None,
    )


def _pair(first: Variable, second: Variable, environ: Mapping[str, str]) -> tuple[str, str] | None:
    values = environ.get(first.name), environ.get(second.name)
    if values[0] and values[1]:
        return values[0], values[1]
    if values[0] or values[1]:
        missing, present = (second, first) if values[0] else (first, second)
        raise ValueError(f"{missing.name} is required with {present.name}")
    return None


def _tls_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password an encrypted key would make OpenSSL ask for one at the terminal.
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except OSError as error:
        raise ValueError(f"{TLS_CERT_FILE.name} and {TLS_KEY_FILE.name} cannot be used: {error}") from error
    return context


def _credentials(username: str, password_file: str) -> bytes:
    if ":" in username:
        raise ValueError(f"{USERNAME.name} must not contain a colon")
    try:
        password = Path(password_file).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ValueError(f"{PASSWORD_FILE.name} cannot be read: {error}") from error
    if not password:
        raise ValueError(f"{PASSWORD_FILE.name} names an empty file")
    return hashlib.sha256(username.encode() + b":" + password).digest()
