"""Generated credentials: one file each, readable by the owner only, never overwritten.

The token file of the backend holds their hashes. Entries of other names, and its section ``grafana``, belong
to whoever wrote them and stay.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelplane_datasource.tenancy.tokens import TokenFile, hash_token, load_tokens, parse_tokens
from modelplane_schema.files import replace_file
from modelplane_schema.grafana_access import GrafanaAccess

TOKENS_FILE = "tokens.json"
PRIVATE = 0o600  # the permissions of each file
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


# Any viewer of a Grafana can send any path through its data sources: the token must not be able to change.
GRAFANA = Holder("grafana", "reader")
ALERTMANAGER = Holder("alertmanager", "writer")
PROMETHEUS = Holder("prometheus", "admin")
OPERATOR = Holder("operator", "admin")
HOLDERS = (GRAFANA, ALERTMANAGER, PROMETHEUS, OPERATOR)


@dataclass(frozen=True, slots=True)
class GrafanaTrust:
    """Whom the backend believes about who asks through Grafana.

    ``declared`` is what the registry says. ``default`` is for a Grafana that the bundle starts: it holds
    where nothing is declared, and its addresses replace those of a section that an earlier bundle wrote.
    ``sends_identity`` says whether the data source of boards does.
    """

    declared: GrafanaAccess | None = None
    default: GrafanaAccess | None = None
    sends_identity: bool = False


NO_TRUST = GrafanaTrust()


def ensure_credentials(directory: Path, trust: GrafanaTrust = NO_TRUST) -> None:
    """Generate what is missing below ``directory`` and write the hashes the backend checks against.

    ConfigurationError when there is a token file that the backend would not read; nothing is changed then.
    """
    path = directory / TOKENS_FILE
    present = load_tokens(path) if path.exists() else None
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    _create_once(directory / GRAFANA_PASSWORD_FILE)
    tokens = {holder: _create_once(directory / holder.file) for holder in HOLDERS}
    content = _token_file(tokens, present, trust).encode()
    parse_tokens(content, str(path))  # what the backend would refuse does not take the file's place
    replace_file(path, content, PRIVATE)


def _token_file(tokens: Mapping[Holder, str], present: TokenFile | None, trust: GrafanaTrust) -> str:
    access = _access(present, trust)
    generated = [
        {"name": holder.name, "role": holder.role, "sha256": hash_token(token)}
        | (_by_identity(access, trust) if holder == GRAFANA and access else {})
        for holder, token in tokens.items()
    ]
    content = present.model_dump(mode="json", exclude_defaults=True) if present else {"tokens": []}
    section = access or trust.declared
    if section:
        content["grafana"] = section.model_dump(mode="json", exclude_defaults=True)
    names = {holder.name for holder in tokens}
    other_entries = [entry for entry in content["tokens"] if entry["name"] not in names]
    return json.dumps({**content, "tokens": generated + other_entries}, indent=2) + "\n"


def _access(present: TokenFile | None, trust: GrafanaTrust) -> GrafanaAccess | None:
    """Who sees what by Grafana's identity; None where the token of boards is used without one.

    A section that somebody wrote into the token file stays, and boards are then read without an identity.
    """
    if not trust.sends_identity:
        return None
    if trust.declared or present is None or present.grafana is None:
        return trust.declared or trust.default
    generated = any(entry.name == GRAFANA.name and entry.role == "grafana" for entry in present.tokens)
    if not generated or trust.default is None:
        return None
    addresses = {"issuer": trust.default.issuer, "keys_url": trust.default.keys_url}
    return present.grafana.model_copy(update=addresses)


def _by_identity(access: GrafanaAccess, trust: GrafanaTrust) -> dict[str, str]:
    """What replaces the role of the token of boards.

    An identity that is not sent must not show more than one that is: without one everything can be read only
    where everybody sees everything.
    """
    default = trust.default
    everything = default is not None and access.model_copy(update={"issuer": default.issuer}) == default
    return {"role": "grafana"} | ({"without_identity": "all"} if everything else {})


def _create_once(path: Path) -> str:
    """The secret in ``path``; a new random one is written when there is no such file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    secret = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret)
    return secret
