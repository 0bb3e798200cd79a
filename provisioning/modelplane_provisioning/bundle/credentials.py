"""Generated credentials: a folder for each part, readable by the owner only, never overwritten.

The token file of the backend holds their hashes. Entries of other names, and its section ``grafana``, belong
to whoever wrote them and stay.
"""

from __future__ import annotations

import json
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelplane_datasource.tenancy.tokens import TokenFile, hash_token, load_tokens, parse_tokens
from modelplane_schema.errors import UserError
from modelplane_schema.files import make_folder, read_if_present, replace_file
from modelplane_schema.grafana_access import GrafanaAccess
from modelplane_schema.grafana_section import ORGANISATION_PREFIX, TenantOrganisation
from modelplane_schema.receivers import SECRETS_FOLDER
from modelplane_schema.targets import FILES_FOLDER

PRIVATE = 0o600  # the permissions of each file
_PRIVATE_FOLDER = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class CredentialError(UserError, RuntimeError):
    """Secrets of an earlier bundle cannot be used; a line for each names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One file with a secret, and the part that reads it: its folder below ``secrets/`` is that part's."""

    part: str
    file: str

    @property
    def path(self) -> str:
        """Path of the file below ``secrets/``."""
        return f"{self.part}/{self.file}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token of the backend: a part, or an organisation of Grafana with its ``tenants``."""

    name: str
    role: str
    tenants: tuple[str, ...] = ()

    @property
    def secret(self) -> Secret:
        """Where the token lies."""
        return Secret(GRAFANA.name if self.tenants else self.name, self.file)

    @property
    def file(self) -> str:
        """Name of the token's file in the folder of its part."""
        return f"{self.name}-token"


# Any viewer of a Grafana can send any path through its data sources: the token must not be able to change.
GRAFANA = Holder("grafana", "reader")
ALERTMANAGER = Holder("alertmanager", "writer")
PROMETHEUS = Holder("prometheus", "admin")
OPERATOR = Holder("operator", "admin")
HOLDERS = (GRAFANA, ALERTMANAGER, PROMETHEUS, OPERATOR)
GRAFANA_PASSWORD = Secret(GRAFANA.name, "grafana-admin-password")
# With it Grafana encrypts what it stores, such as the tokens of data sources.
GRAFANA_SECRET_KEY = Secret(GRAFANA.name, "grafana-secret-key")
# What Grafana uses when it is given none: everybody knows it.
GRAFANA_DEFAULT_SECRET_KEY = "SW2YcwTIb9zpOOhoPsMm"  # noqa: S105
TOKENS = Secret("backend", "tokens.json")
_OF_PARTS = (GRAFANA_PASSWORD, GRAFANA_SECRET_KEY, TOKENS)
SECRETS = (*(holder.secret for holder in HOLDERS), *_OF_PARTS)
PARTS = tuple(dict.fromkeys(secret.part for secret in SECRETS))
# Copies of the files that the registry names, in the folder of the part that reads them.
RECEIVERS = f"{ALERTMANAGER.name}/{SECRETS_FOLDER}"
TARGETS = f"{PROMETHEUS.name}/{FILES_FOLDER}"


def copy_path(path: str) -> str:
    """Path below ``secrets/`` of the copy of a file that the registry names."""
    part = PROMETHEUS if path.startswith(f"{FILES_FOLDER}/") else ALERTMANAGER
    return f"{part.name}/{path}"


@dataclass(frozen=True, slots=True)
class GrafanaTrust:
    """Whom the backend believes about who asks through Grafana.

    ``declared`` is what the registry says. ``default`` is for a Grafana that the bundle starts: it holds
    where nothing is declared, and its addresses replace those of a section that an earlier bundle wrote.
    ``sends_identity`` says whether the data source of boards does. Each of ``organisations`` has a token that
    sees its tenants alone.
    """

    declared: GrafanaAccess | None = None
    default: GrafanaAccess | None = None
    sends_identity: bool = False
    organisations: tuple[TenantOrganisation, ...] = ()

    @property
    def holders(self) -> tuple[Holder, ...]:
        """Everybody who gets a token.

        Through Infinity a viewer can send anything: without an identity a token of tenants can only read.
        """
        role = "tenant" if self.sends_identity else "reader"
        return (*HOLDERS, *(Holder(each.uid, role, each.tenants) for each in self.organisations))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every file with a secret."""
        return (*(holder.secret for holder in self.holders), *_OF_PARTS)


NO_TRUST = GrafanaTrust()


def check_credentials(directory: Path, trust: GrafanaTrust = NO_TRUST) -> None:
    """Say whether ``ensure_credentials`` can do its work; nothing is changed.

    CredentialError for secrets that others can read, or that hold none; ConfigurationError when the backend
    would not read the token file.
    """
    places = {secret: _place(directory, secret) for secret in trust.secrets}
    present = {secret: path for secret, path in places.items() if path.exists()}
    folders = (directory, *(directory / part for part in PARTS))
    problems = [
        f"{path}: must be a folder; move away what is there" for path in folders if _is_no_folder(path)
    ]
    problems += [problem for path in present.values() if (problem := _problem(path))]
    if problems:
        raise CredentialError("\n".join(problems))
    tokens = {holder: _read(present[holder.secret]) for holder in trust.holders if holder.secret in present}
    if TOKENS in present:
        content = _token_file(tokens, load_tokens(present[TOKENS]), trust)
        parse_tokens(content.encode(), str(present[TOKENS]))


def ensure_credentials(
    directory: Path, trust: GrafanaTrust = NO_TRUST, grafana_secret_key: str | None = None
) -> None:
    """Generate what is missing below ``directory`` and write the hashes the backend checks against.

    ``grafana_secret_key`` is the key of a Grafana that has stored secrets, which it can read with no other.
    Secrets that an earlier version wrote into ``directory`` itself move to the folders of their parts. Errors
    as for ``check_credentials``; nothing is changed then.
    """
    check_credentials(directory, trust)
    _make_folders(directory)
    take_over(directory)
    _create_once(directory / GRAFANA_SECRET_KEY.path, grafana_secret_key)
    _create_once(directory / GRAFANA_PASSWORD.path)
    tokens = {holder: _create_once(directory / holder.secret.path) for holder in trust.holders}
    path = directory / TOKENS.path
    present = load_tokens(path) if path.exists() else None
    content = _token_file(tokens, present, trust).encode()
    parse_tokens(content, str(path))  # what the backend would refuse does not take the file's place
    if read_if_present(path) != content:
        replace_file(path, content, PRIVATE)


def take_over(directory: Path) -> None:
    """Move what an earlier version wrote into ``directory`` itself; nothing else is made: OSError.

    Containers that have mounted a file or folder go on seeing it.
    """
    moves = {_place(directory, secret): directory / secret.path for secret in SECRETS}
    moves[directory / SECRETS_FOLDER] = directory / RECEIVERS
    moves = {old: new for old, new in moves.items() if old.exists() and not new.exists()}
    if moves:
        _make_folders(directory)
    for old, new in moves.items():
        old.rename(new)


def _place(directory: Path, secret: Secret) -> Path:
    """Where a secret lies: in the folder of its part unless only an earlier version wrote it."""
    path, flat = directory / secret.path, directory / secret.file
    return flat if flat.exists() and not path.exists() else path


def _make_folders(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    for folder in (directory, *(directory / part for part in PARTS)):
        make_folder(folder, _PRIVATE_FOLDER)
        folder.chmod(_PRIVATE_FOLDER)


def _is_no_folder(path: Path) -> bool:
    return path.exists() and not path.is_dir()


def _problem(path: Path) -> str | None:
    """What is wrong with a file that must hold a secret of ours."""
    if not path.is_file():
        return f"{path}: must be a file that holds a secret; move away what is there"
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        return f"{path}: others may use it (mode {mode:04o}); run: chmod 600 {path}"
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}; run this as the user who owns it"
    if not content.strip():
        return f"{path}: is empty; remove it, and a new secret is made"
    return None


def _token_file(tokens: Mapping[Holder, str], present: TokenFile | None, trust: GrafanaTrust) -> str:
    access = _access(present, trust)
    generated = [
        _entry(holder, token) | (_by_identity(access, trust) if holder == GRAFANA and access else {})
        for holder, token in tokens.items()
    ]
    content = present.model_dump(mode="json", exclude_defaults=True) if present else {"tokens": []}
    section = access or trust.declared
    if section:
        content["grafana"] = section.model_dump(mode="json", exclude_defaults=True)
    names = {holder.name for holder in tokens}
    # An organisation that the registry names no more has lost its token.
    other_entries = [
        entry
        for entry in content["tokens"]
        if entry["name"] not in names and not entry["name"].startswith(ORGANISATION_PREFIX)
    ]
    return json.dumps({**content, "tokens": generated + other_entries}, indent=2) + "\n"


def _entry(holder: Holder, token: str) -> dict[str, Any]:
    tenants = {"tenants": list(holder.tenants)} if holder.tenants else {}
    return {"name": holder.name, "role": holder.role, "sha256": hash_token(token), **tenants}


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


def _create_once(path: Path, known: str | None = None) -> str:
    """The secret in ``path``; when there is no such file ``known`` is written, or a new random one."""
    if path.exists():
        return _read(path)
    secret = known or secrets.token_urlsafe(32)
    replace_file(path, secret.encode("ascii"), PRIVATE)
    return secret


def _read(path: Path) -> str:
    """The secret in a file; CredentialError that does not repeat what is in it."""
    try:
        return path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        raise CredentialError(f"{path}: is not ASCII text; remove it, and a new secret is made") from None
