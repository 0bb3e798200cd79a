"""Who looks at Grafana: the identity that it signs and sends along with every query.

Grafana sends the header X-Grafana-Id, a JSON Web Token signed with ES256 and valid for ten minutes, whose
issuer is its ``root_url`` and whose audience (``aud``) names the organisation: ``org:2``, as a text or, as
RFC 7519 allows too, as a list of one. It publishes its keys at ``/api/signing-keys/keys``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jwt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_ALGORITHM = "ES256"
_KEYS_PATH = "/api/signing-keys/keys"
_KEYS_SECONDS = 3600  # as long as Grafana allows them to be cached
_TIMEOUT_SECONDS = 5
_LEEWAY_SECONDS = 10  # between the clocks of two machines

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]
Organisation = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]
Tenants = Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)]


class IdentityError(Exception):
    """The identity is not accepted (``status`` 403), or cannot be checked now (503)."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


class GrafanaIdentity(BaseModel):
    """``issuer`` is Grafana's ``root_url`` as configured there, ``organisations`` maps ids to tenants."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Url
    keys_url: Url | None = None
    organisations: Annotated[dict[Organisation, Tenants], Field(min_length=1)]


class IdentityVerifier:
    """Checks signature, issuer, audience and expiry; keys are fetched when needed and cached for an hour."""

    def __init__(self, settings: GrafanaIdentity) -> None:
        self._issuer = settings.issuer
        self._organisations = {f"org:{name}": tenants for name, tenants in settings.organisations.items()}
        keys_url = settings.keys_url or settings.issuer.rstrip("/") + _KEYS_PATH
        self._keys = jwt.PyJWKClient(keys_url, lifespan=_KEYS_SECONDS, timeout=_TIMEOUT_SECONDS)

    def tenants(self, identity: str | None) -> tuple[str, ...] | None:
        """Whose data the identity may see, None for everyone's. IdentityError."""
        if not identity:
            raise IdentityError("Grafana's identity is missing: the header X-Grafana-Id must be sent.")
        match self._claims(identity)["aud"]:
            case str(organisation) | [str(organisation)]:
                tenants = self._organisations.get(organisation)
            case _:
                raise IdentityError("Grafana's identity names no single organisation.")
        if tenants is None:
            raise IdentityError("No tenants are mapped to this organisation of Grafana.")
        return None if tenants == "all" else tuple(tenants)

    def _claims(self, identity: str) -> dict[str, Any]:
        try:
            key = self._keys.get_signing_key_from_jwt(identity)
            return jwt.decode(
                identity,
                key,
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                # The audience is checked by the caller, which maps it.
                options={"require": ["exp", "iss", "aud"], "verify_aud": False},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise IdentityError("Grafana's keys cannot be fetched; try again.", 503) from error
        except jwt.PyJWTError as error:
            raise IdentityError(f"Grafana's identity is not accepted: {error}.") from error
