"""The token file: who a caller is, and whose data they may see."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from modelplane_datasource.configuration.watched_file import WatchedFile
from modelplane_datasource.errors import ApiError
from modelplane_datasource.settings import ConfigurationError
from modelplane_datasource.tenancy.caller import Caller, Role
from modelplane_datasource.tenancy.grafana_identity import Identity, IdentityError, IdentityVerifier
from modelplane_schema.grafana_access import GrafanaAccess, TenantId, Tenants
from modelplane_schema.validation import explain


class Token(BaseModel):
    """One entry of the token file; of the token only the hash is there.

    ``without_identity`` is what may be read with a token of the role ``grafana`` where Grafana sends no
    identity, as a Grafana that is too old and alert rules do; left out, such a request is refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    role: Role
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]
    tenants: tuple[TenantId, ...] | None = None
    without_identity: Tenants | None = None

    @model_validator(mode="after")
    def _tenants_belong_to_the_role(self) -> Token:
        if self.role == "tenant" and not self.tenants:
            raise ValueError("tenants are needed for the role tenant")
        if self.role == "reader" and self.tenants == ():
            raise ValueError("tenants names at least one tenant; without it a reader sees every tenant")
        if self.role not in ("tenant", "reader") and self.tenants:
            raise ValueError("tenants are allowed for the roles tenant and reader, and for no other")
        if self.role != "grafana" and self.without_identity is not None:
            raise ValueError("without_identity is allowed for the role grafana, and for no other")
        return self


class TokenFile(BaseModel):
    """Everyone who may call, and how organisations of Grafana map to tenants."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]
    grafana: GrafanaAccess | None = None

    @model_validator(mode="after")
    def _grafana_is_declared(self) -> TokenFile:
        if self.grafana is None and any(token.role == "grafana" for token in self.tokens):
            raise ValueError(
                "the role grafana needs the section grafana, which says who in Grafana sees what"
            )
        return self


def hash_token(token: str) -> str:
    """The hex SHA-256 that the token file holds for ``token``."""
    return hashlib.sha256(token.encode()).hexdigest()


def load_tokens(path: Path) -> TokenFile:
    """Read a token file; ConfigurationError names the path, the field and what is allowed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: the token file cannot be read: {error.strerror}") from error
    return parse_tokens(content, str(path))


def parse_tokens(content: bytes, source: str) -> TokenFile:
    """What a token file holds; ``source`` names it in a ConfigurationError, which quotes no value of it."""
    try:
        file = TokenFile.model_validate_json(content, strict=True)
    except ValidationError as error:
        # Without the cause, for pydantic's own text quotes the file.
        raise ConfigurationError(explain(error, TokenFile, source, show_values=False)) from None
    for field in ("name", "sha256"):
        value, count = Counter(getattr(token, field) for token in file.tokens).most_common(1)[0]
        if count > 1:
            raise ConfigurationError(
                f"{source}: tokens: {field} {value!r} occurs {count} times; allowed: once"
            )
    return file


class Gatekeeper:
    """Finds the caller of a request; reads the token file again when it has changed."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """ConfigurationError for a bad token file. ``clock`` is in seconds."""
        self.file = WatchedFile("token file", path, _parse_with_verifier, clock)

    def caller(self, authorization: str, identity: str | None, *, writes: bool = False) -> Caller | None:
        """Who presents these headers, None for nobody; ApiError 403 or 503 for a bad identity of Grafana.

        Only a token of the role ``grafana`` reads by the identity. But whoever ``writes`` through Grafana is
        known by it, whatever the token may do.
        """
        tokens, verifier = self.file.content
        token = _find(tokens, _presented(authorization))
        if token is None:
            return None
        caller = Caller(token.name, token.role, None if token.role == "admin" else token.tenants or ())
        if token.role == "reader":
            return replace(caller, tenants=token.tenants)
        if token.role == "grafana":
            return _reading_by(caller, token, verifier, identity)
        if writes and identity and token.role != "writer":
            return _writing_as(caller, _verified(verifier, identity))
        return caller


def _parse_with_verifier(content: bytes, source: str) -> tuple[tuple[Token, ...], IdentityVerifier | None]:
    """No request meets the tokens of one file and the organisations of another."""
    file = parse_tokens(content, source)
    return file.tokens, IdentityVerifier(file.grafana) if file.grafana else None


def _reading_by(
    caller: Caller, token: Token, verifier: IdentityVerifier | None, identity: str | None
) -> Caller:
    """The caller whom the identity names; without one, what the token itself may read."""
    if identity:
        user, tenants = _verified(verifier, identity)
        return replace(caller, tenants=tenants, user=user)
    if token.without_identity is None:
        message = "Grafana's identity is missing: the header X-Grafana-Id must be sent."
        raise ApiError(403, "identity", message)
    return replace(caller, tenants=None if token.without_identity == "all" else token.without_identity)


def _writing_as(caller: Caller, identity: Identity) -> Caller:
    """The caller with the user's name, and the tenants that both the token and the user may see."""
    tenants = caller.tenants if identity.tenants is None else identity.tenants
    if caller.tenants is not None:
        tenants = tuple(tenant for tenant in caller.tenants if tenant in (tenants or ()))
    return replace(caller, tenants=tenants, user=identity.user)


def _verified(verifier: IdentityVerifier | None, identity: str) -> Identity:
    if verifier is None:
        message = (
            "Grafana says who writes, which cannot be verified here: the token file has no section grafana."
        )
        raise ApiError(403, "identity", message)
    try:
        return verifier.verify(identity)
    except IdentityError as error:
        raise ApiError(error.status, "identity", str(error)) from error


def _presented(authorization: str) -> str:
    """The token in a header: that of Bearer, or the password of Basic, for clients that know a URL alone."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return credentials.strip() if scheme.lower() == "bearer" else ""


def _find(tokens: tuple[Token, ...], presented: str) -> Token | None:
    """The matching token; every one is compared, so that the time taken reveals nothing."""
    digest = hash_token(presented)
    match = None
    for token in tokens:
        if hmac.compare_digest(token.sha256, digest):
            match = token
    return match
