"""Bearer tokens: who may call which route."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import orjson
from flask import Flask, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from modelplane_datasource.errors import ApiError
from modelplane_datasource.settings import ConfigurationError

OPEN_PATHS = ("/healthz", "/readyz")
WRITER_CALLS = (("POST", "/api/v1/alerts"),)
GRAFANA_PATH = "/grafana"


class Token(BaseModel):
    """One entry of the token file; only the token's hash is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    role: Literal["admin", "writer"]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]


class _TokenFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]


def hash_token(token: str) -> str:
    """The hex SHA-256 that the token file holds for ``token``."""
    return hashlib.sha256(token.encode()).hexdigest()


def load_tokens(path: Path) -> tuple[Token, ...]:
    """Read a token file; ConfigurationError names the path, the field and what is allowed."""
    try:
        tokens = _TokenFile.model_validate(orjson.loads(path.read_bytes())).tokens
    except OSError as error:
        raise ConfigurationError(f"{path}: the token file cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{path}: the token file is not JSON: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in error.errors())
        raise ConfigurationError(f"{path}: {problems}") from error
    for field in ("name", "sha256"):
        value, count = Counter(getattr(token, field) for token in tokens).most_common(1)[0]
        if count > 1:
            raise ConfigurationError(f"{path}: tokens: {field} {value!r} occurs {count} times; allowed: once")
    return tokens


def require_tokens(app: Flask, tokens: tuple[Token, ...]) -> None:
    """Refuse every request whose token does not allow it; probes stay open."""

    @app.before_request
    def authorize() -> None:
        if request.path in OPEN_PATHS:
            return
        token = _find(tokens, _presented())
        if token is None:
            raise _unauthenticated()
        if token.role != "admin" and (request.method, request.path) not in WRITER_CALLS:
            raise ApiError(403, "forbidden", f"The role {token.role} may not do this.", {"role": token.role})


def _presented() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _find(tokens: tuple[Token, ...], presented: str) -> Token | None:
    """The matching token; every one is compared, so that the time taken tells nothing."""
    digest = hash_token(presented)
    found = None
    for token in tokens:
        if hmac.compare_digest(token.sha256, digest):
            found = token
    return found


def _unauthenticated() -> ApiError:
    message = "A valid token is needed: send the header Authorization: Bearer <token>."
    if request.path == GRAFANA_PATH or request.path.startswith(f"{GRAFANA_PATH}/"):
        # Grafana's proxy replaces a 401 by a text of its own, which would hide this message.
        return ApiError(403, "unauthenticated", message)
    return ApiError(401, "unauthenticated", message, headers={"WWW-Authenticate": "Bearer"})


def _place(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).lstrip(".") or "the file"
