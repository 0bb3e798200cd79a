"""Connections to one HTTP server that stay open. Nothing else knows of the library that makes them.

libcurl rather than urllib3, which adds 0.6 ms to each query of a request: `benchmarks/backend.py` in turn
with both, p50 of `metrics/errors` 2.1 against 2.8 ms above Prometheus, of `/api/v1/slo` 2.2 against 3.5 ms.
"""

from __future__ import annotations

import ssl
import string
from collections import deque
from collections.abc import Mapping
from urllib.parse import quote

import pycurl

from modelplane_datasource.prometheus.errors import (
    BUSY,
    INVALID,
    REJECTED,
    TIMEOUT,
    UNREACHABLE,
    UpstreamError,
)

_TOO_MANY_REQUESTS = 429
_LONGEST_REASON = 300  # characters
_BUFFER = 128 * 1024  # the least calls of ``_Body.take`` for the memory of a connection


class _Body:
    """The body as far as it arrived; more than ``max_bytes`` end the transfer."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: list[bytes] = []
        self.size = 0

    def take(self, chunk: bytes) -> int:
        """How much of ``chunk`` is taken: libcurl gives up unless it is all."""
        self.size += len(chunk)
        if self.is_too_large:
            return 0
        self._chunks.append(chunk)
        return len(chunk)

    @property
    def is_too_large(self) -> bool:
        return self.size > self._max_bytes

    def joined(self) -> bytes:
        return b"".join(self._chunks)


class Transport:
    """Requests to one server; any number of threads may make them, each over a connection of its own."""

    def __init__(self, url: str, headers: Mapping[str, str], max_bytes: int, max_idle: int) -> None:
        """``url`` may hold a user, a password and a path; ``max_idle`` connections stay open."""
        self._url = quote(url.rstrip("/"), safe=string.punctuation)
        self._headers = [f"{name}: {value}" for name, value in headers.items()]
        self._max_bytes = max_bytes
        self._idle: deque[pycurl.Curl] = deque()
        self._max_idle = max_idle

    def request(self, path: str, fields: str | None, seconds: float) -> tuple[int, bytes]:
        """Status and body of a GET, or with ``fields`` of the POST of a form; UpstreamError.

        The whole response has to come within ``seconds``, in however many chunks it does. A server that
        gets too many requests is ``BUSY``, and says after how long to try again.
        """
        try:
            handle = self._idle.pop()
        except IndexError:
            handle = self._open()
        body = _Body(self._max_bytes)
        try:
            handle.setopt(pycurl.URL, self._url + path)
            if fields is None:
                handle.setopt(pycurl.HTTPGET, 1)
            else:
                handle.setopt(pycurl.POSTFIELDS, fields)
            handle.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
            handle.setopt(pycurl.WRITEFUNCTION, body.take)
            handle.perform()
            status = handle.getinfo(pycurl.RESPONSE_CODE)
            if status == _TOO_MANY_REQUESTS:
                raise _busy(handle.getinfo(pycurl.RETRY_AFTER), body.joined())
            return status, body.joined()
        except pycurl.error as error:
            raise self._failure(error, handle, body) from error
        finally:
            self._put_back(handle)

    def close(self) -> None:
        """Close the connections that are idle."""
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.PROXY, "")  # Prometheus lies near, whatever the environment says
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.BUFFERSIZE, _BUFFER)
        # Prometheus would compress an answer for longer than the network takes to carry it. What others
        # compress nevertheless is decoded.
        handle.setopt(pycurl.ACCEPT_ENCODING, "identity")
        handle.setopt(pycurl.HTTPHEADER, [*self._headers, "Expect:"])
        trusted = ssl.get_default_verify_paths()  # of this machine; libcurl's own are of where it was built
        if trusted.cafile:
            handle.setopt(pycurl.CAINFO, trusted.cafile)
        if trusted.capath:
            handle.setopt(pycurl.CAPATH, trusted.capath)
        return handle

    def _put_back(self, handle: pycurl.Curl) -> None:
        handle.unsetopt(pycurl.WRITEFUNCTION)  # it would keep the body
        if len(self._idle) < self._max_idle:
            self._idle.append(handle)
        else:
            handle.close()

    def _failure(self, error: pycurl.error, handle: pycurl.Curl, body: _Body) -> UpstreamError:
        if body.is_too_large:
            return UpstreamError(
                REJECTED,
                f"Prometheus' answer is larger than {self._max_bytes} bytes: ask for fewer series, "
                "a larger step or a shorter range.",
            )
        if error.args[0] == pycurl.E_OPERATION_TIMEDOUT:
            return UpstreamError(TIMEOUT, "Prometheus did not answer in time.")
        if handle.getinfo(pycurl.RESPONSE_CODE):
            return UpstreamError(INVALID, "Prometheus' answer broke off or cannot be decoded.")
        return UpstreamError(UNREACHABLE, "Prometheus cannot be reached.")


def _busy(seconds: int, body: bytes) -> UpstreamError:
    """The error of a server that answers no more for ``seconds``, 0 when it does not say how long."""
    message = "Prometheus gets too many requests: try again later."
    reason = body.decode("utf-8", "replace")[:_LONGEST_REASON]
    headers = {"Retry-After": str(seconds)} if seconds else {}
    return UpstreamError(BUSY, message, f"{message} It says: {reason}", headers)
