"""Who looks at Grafana: the identity that it signs and sends along with every query.

Grafana sends the header X-Grafana-Id, a JSON Web Token signed with ES256 and valid for ten minutes, whose
issuer is its ``root_url`` and whose audience (``aud``) names the organisation: ``org:2``, as a text or, as
RFC 7519 allows too, as a list of one. It publishes its keys at ``/api/signing-keys/keys``.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import jwt

from modelplane_datasource.tenancy.caller import User
from modelplane_datasource.tenancy.signing_keys import KeysUnavailableError, SigningKeys
from modelplane_schema.grafana_access import WRITING_ROLES, GrafanaAccess

KEYS_PATH = "/api/signing-keys/keys"
_ALGORITHM = "ES256"
_LEEWAY_SECONDS = 10  # between the clocks of two machines
_MAX_LENGTH = 8192
_ORGANISATION = re.compile(r"org:([1-9][0-9]{0,17})")
_NAMES = ("username", "email", "name", "sub")


class IdentityError(Exception):
    """The identity is not accepted (``status`` 403), or cannot be checked now (503)."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


class Identity(NamedTuple):
    """Somebody in Grafana, and whose data they may see; None for everyone's."""

    user: User
    tenants: tuple[str, ...] | None


class IdentityVerifier:
    """Checks signature, issuer, times and organisation, and says what the identity may see."""

    def __init__(self, access: GrafanaAccess) -> None:
        self._access = access
        self._keys = SigningKeys(access.keys_url or access.issuer.rstrip("/") + KEYS_PATH)

    def verify(self, identity: str) -> Identity:
        """Who it is. IdentityError."""
        claims = self._claims(identity)
        user = _user(claims)
        tenants = self._access.tenants_of(_organisation(claims["aud"]), user.role, user.subject)
        if tenants is None:
            raise IdentityError("No tenants are mapped to this organisation of Grafana, role or user.")
        return Identity(user, None if tenants == "all" else tuple(tenants))

    def _claims(self, identity: str) -> dict[str, Any]:
        try:
            if len(identity) > _MAX_LENGTH:
                raise jwt.DecodeError("Too long")
            return jwt.decode(
                identity,
                self._key(identity),
                algorithms=[_ALGORITHM],
                issuer=self._access.issuer,
                leeway=_LEEWAY_SECONDS,
                # The audience is read afterwards, for it says which organisation this is.
                options={"require": ["exp", "iss", "aud", "sub"], "verify_aud": False},
            )
        except KeysUnavailableError as error:
            raise IdentityError("Grafana's keys cannot be fetched; try again.", 503) from error
        except jwt.PyJWTError as error:
            raise IdentityError(f"Grafana's identity is not accepted: {error}.") from error

    def _key(self, identity: str) -> jwt.PyJWK:
        key = self._keys.find(jwt.get_unverified_header(identity).get("kid", ""))
        if key is None:
            raise jwt.InvalidTokenError("Grafana publishes no key of this id")
        return key


def _organisation(audience: Any) -> str:
    """The number of the one organisation that an audience names. IdentityError."""
    match audience:
        case str(name) | [str(name)]:
            number = _ORGANISATION.fullmatch(name)
            if number:
                return number[1]
    raise IdentityError("Grafana's identity names no single organisation.")


def _user(claims: dict[str, Any]) -> User:
    """Who the claims are of; a role that is none of Grafana's is one that may change nothing."""
    role, subject = (_line(claims.get(name)) for name in ("role", "sub"))
    name = next(filter(None, (_line(claims.get(key)) for key in _NAMES)), "")
    return User(subject, name, role, may_write=role in WRITING_ROLES)


def _line(value: Any) -> str:
    """A text of one line and of bounded length, empty for anything else."""
    return value.strip()[:200] if isinstance(value, str) and value.isprintable() else ""
