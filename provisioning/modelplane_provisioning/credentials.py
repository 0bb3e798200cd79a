"""Generated credentials: one file each, readable by the owner only, never overwritten."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelplane_datasource.tenancy.tokens import hash_token

TOKENS_FILE = "tokens.json"
GRAFANA_PASSWORD_FILE = "grafana-admin-password"  # noqa: S105 - a file name


@dataclass(frozen=True, slots=True)
class Holder:
    """One part that holds a token of the backend; the token lies in ``<name>-token``."""

    name: str
    role: str

    @property
    def file(self) -> str:
        """Name of the token's file below ``secrets/``."""
        return f"{self.name}-token"


GRAFANA = Holder("grafana", "admin")
ALERTMANAGER = Holder("alertmanager", "writer")
PROMETHEUS = Holder("prometheus", "admin")
OPERATOR = Holder("operator", "admin")
HOLDERS = (GRAFANA, ALERTMANAGER, PROMETHEUS, OPERATOR)


def ensure_credentials(directory: Path) -> None:
    """Generate what is missing below ``directory`` and write the hashes the backend checks against."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    _create_once(directory / GRAFANA_PASSWORD_FILE)
    tokens = {holder: _create_once(directory / holder.file) for holder in HOLDERS}
    _write_private(directory / TOKENS_FILE, _token_file(tokens))


def _token_file(tokens: Mapping[Holder, str]) -> str:
    entries = [
        {"name": holder.name, "role": holder.role, "sha256": hash_token(token)}
        for holder, token in tokens.items()
    ]
    return json.dumps({"tokens": entries}, indent=2) + "\n"


def _create_once(path: Path) -> str:
    """The secret in ``path``; a new random one is written when there is no such file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    secret = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret)
    return secret


def _write_private(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
