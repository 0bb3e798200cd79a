"""Why a part of the plane cannot be asked, in a sentence for people; pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from modelplane_provisioning.clients.decoding import decoded_json
from modelplane_schema.errors import UserError

_LONGEST_REASON = 300
_LONGEST_TEXT = 80
# What VictoriaMetrics answers with status 400 for a route that it does not have.
_UNSUPPORTED_PATH = "unsupported path"
# What a server in Go answers to plain HTTP where it expects TLS.
_HTTP_TO_HTTPS = "HTTP request to an HTTPS server"


class PlaneError(UserError, RuntimeError):
    """A part of the plane cannot be asked; the message names it and what to do."""


class NoAnswerError(PlaneError):
    """Nothing came back from ``part``: it is down, elsewhere, or speaks another protocol."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


class NotGrantedError(PlaneError):
    """``part`` refuses whoever asks: status 401 where it does not know them, 403 where it does."""

    def __init__(self, part: str, status: int, message: str) -> None:
        super().__init__(message)
        self.part = part
        self.is_known = status == HTTPStatus.FORBIDDEN


class WrongAddressError(PlaneError):
    """What answers at the address is not ``part``, or not the part itself."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


class NoRouteError(PlaneError):
    """There is no such route, as a store that is not Prometheus lacks some of its API."""


def no_answer(part: str, url: str, error: requests.RequestException | ValueError) -> NoAnswerError:
    """The error for a request that had no answer."""
    return NoAnswerError(part, f"{part} does not answer at {url}: {_reason(error)}")


def _reason(error: requests.RequestException | ValueError) -> str:
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return _tls_reason(text)
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return "it took too long; is it overloaded, or does a firewall drop the connection?"
    if "resolve" in text or "Name or service not known" in text:
        return "its host name is not known; check the address"
    if "Connection refused" in text:
        return "the connection is refused; is it running, and is that its port?"
    if isinstance(error, requests.ConnectionError):
        return "the connection broke off; is it running, and does it speak HTTP there, or want https://?"
    if isinstance(error, requests.RequestException):
        return f"{type(error).__name__}; check the address"
    return "it sends on to what is no address; name its own"


def _tls_reason(text: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "its certificate is not trusted; name the authority that signed it with --ca-file"
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return "it does not speak TLS there; begin the address with http://"
    return "TLS fails; check the address and its certificate"


def refused(part: str, path: str, response: requests.Response) -> PlaneError | None:
    """The error for an answer that is none: a status from 300 on."""
    status, text = response.status_code, response.text[:_LONGEST_REASON]
    if response.is_redirect:
        location = urlsplit(urljoin(response.url, response.headers["Location"]))
        text = (
            f"{part} sends {path} on to {location.scheme}://{location.netloc}{location.path}: "
            "name its own address, and let a proxy that asks for a login pass tokens"
        )
        return WrongAddressError(part, text)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        said = f" ({message})" if (message := _message(response) or _plain(response)) else ""
        text = f"{part} refuses {path} with status {status}{said}: {_needs(status)}"
        return NotGrantedError(part, status, text)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
        return NoRouteError(f"{part} has no {path} (status {status}): {text}")
    if status == HTTPStatus.BAD_REQUEST and _UNSUPPORTED_PATH in text:
        return NoRouteError(f"{part} has no {path}")
    if _HTTP_TO_HTTPS in text:
        return WrongAddressError(part, f"{part} speaks TLS there: begin its address with https://")
    reason = _message(response) or text or "without a reason"
    return PlaneError(f"{part} answered {path} with status {status}: {reason}{_next(status)}")


def _next(status: int) -> str:
    """What to do about an answer that is no refusal of what was asked."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "; it, or a proxy in front, limits requests: ask again later"
    if status < HTTPStatus.BAD_REQUEST:
        return "; name its own address: a redirect without a goal is no answer of its"
    return "; its log says why" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""


def _needs(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return (
            "it takes a login, and this one is missing or wrong; name the file that holds it, or its tenant"
        )
    return "the token may not read this; another with more rights may"


def _plain(response: requests.Response) -> str:
    """A short text that is no page."""
    text = response.text.strip()
    return text if len(text) <= _LONGEST_TEXT and "<" not in text and text.isprintable() else ""


def _message(response: requests.Response) -> str:
    """The sentence in an error of Prometheus, Grafana or the backend."""
    try:
        content = decoded_json(response)
    except ValueError:
        return ""
    if not isinstance(content, dict):
        return ""
    message = content.get("message") or content.get("error") or _query_error(content.get("results"))
    return message if isinstance(message, str) else ""


def _query_error(results: Any) -> Any:
    """The error of a query that Grafana's data source refused."""
    answers = results.values() if isinstance(results, dict) else ()
    return next((each.get("error") for each in answers if isinstance(each, dict)), None)
