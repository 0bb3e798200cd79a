"""Ask a registry of images for the digest behind a tag, as an engine does that pulls it.

The protocol is that of the OCI distribution specification (pull, by manifest).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from modelplane_provisioning.images.table import REGISTRY, Image
from modelplane_schema.errors import UserError

_HOST_OF_DOCKER = "registry-1.docker.io"
_TIMEOUT_SECONDS = 30
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# Of all platforms first: a bundle does not say on which it will run.
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class ImageRegistryError(UserError, RuntimeError):
    """A registry names no digest; the message says which image, where, and what to do."""


@dataclass(frozen=True, slots=True)
class ImageRegistry:
    """A registry, or a mirror of one: ``HOST[:PORT][/PATH]``. It speaks plain HTTP on loopback."""

    address: str = REGISTRY

    @property
    def base_url(self) -> str:
        """URL of its API, without a slash at the end."""
        host, _, path = self.address.partition("/")
        name = _HOST_OF_DOCKER if host == REGISTRY else host
        scheme = "http" if re.sub(r":\d+$", "", host) in _LOOPBACK else "https"
        return f"{scheme}://{name}/v2" + (f"/{path}" if path else "")

    def digest(self, image: Image) -> str:
        """``sha256:...`` of the manifest that the tag names now; ImageRegistryError."""
        url = f"{self.base_url}/{image.repository}/manifests/{image.tag}"
        try:
            answer = self._manifest(url, image)
        except requests.RequestException as error:
            raise ImageRegistryError(
                f"{image.name}: {url} does not answer ({type(error).__name__}); name a mirror with --mirror"
            ) from error
        if answer.status_code != requests.codes.ok:
            raise ImageRegistryError(f"{image.name}: {url} answered {_reason(answer.status_code)}")
        if answer.headers.get("Content-Type", "").partition(";")[0] not in _MANIFESTS:
            raise ImageRegistryError(f"{image.name}: {url} is no registry of images; name one with --mirror")
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        if answer.headers.get("Docker-Content-Digest", digest) != digest:
            raise ImageRegistryError(f"{image.name}: {url} sent a manifest of another digest than it says")
        return digest

    def _manifest(self, url: str, image: Image) -> requests.Response:
        headers = {"Accept": ", ".join(_MANIFESTS)}
        answer = _get(url, headers)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status_code == requests.codes.unauthorized and challenge.lower().startswith("bearer "):
            headers["Authorization"] = f"Bearer {_anonymous_token(challenge, url, image)}"
            answer = _get(url, headers)
        return answer


def _anonymous_token(challenge: str, url: str, image: Image) -> str:
    """What the registry's authorization service gives to everybody; ImageRegistryError."""
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = parameters.pop("realm", "")
    if urlsplit(realm).scheme not in ("https", urlsplit(url).scheme):
        raise ImageRegistryError(
            f"{image.name}: {url} asks for a token at {realm!r}, which is no https:// URL"
        )
    answer = _get(realm, {}, parameters)
    try:
        content = answer.json()
        token = content.get("token") or content.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if answer.status_code != requests.codes.ok or not isinstance(token, str):
        raise ImageRegistryError(
            f"{image.name}: {realm} gives no token without a login; name a mirror with --mirror"
        )
    return token


def _get(url: str, headers: dict[str, str], parameters: dict[str, str] | None = None) -> requests.Response:
    return requests.get(url, headers=headers, params=parameters, timeout=_TIMEOUT_SECONDS)


def _reason(status: int) -> str:
    reasons = {
        401: "401: it wants a login; name a mirror that does not with --mirror",
        403: "403: it wants a login; name a mirror that does not with --mirror",
        404: "404: it has no such image; mirror it first",
        429: "429: too many requests; wait, or name a mirror with --mirror",
    }
    return reasons.get(status, f"{status}; try again later, or name a mirror with --mirror")
