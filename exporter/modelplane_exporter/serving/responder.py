"""``/metrics`` as an answer to a request."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from modelplane_exporter.exposition import signal_text, text
from modelplane_exporter.layout.state import State
from modelplane_exporter.prometheus_registry import Describing, other_collectors
from modelplane_exporter.rate_limited_log import log_failure
from modelplane_exporter.store.stores import store_for

METHODS = ("GET", "HEAD")
GZIP_LEVEL = 1  # 500 identities, 2.7 MB: 8 ms to 180 kB; level 6: 23 ms to 150 kB; level 9: 57 ms to 140 kB
GIL_SECONDS = 0.00025
PAUSE_SECONDS = 0.00005


class Exposed(Describing, Protocol):
    """What an exposition needs of our store, itself one collector of the registry."""

    def state(self) -> State:
        """All that is exposed."""

    scrape_seconds: float
    """Wall time that the last exposition of the store's series took."""


def exposition(registry: CollectorRegistry, store: Exposed, accept: str) -> tuple[bytes, str]:
    """All series of ``registry`` and their content type, in the format that ``accept`` asks for.

    ``store`` is rendered by ``exposition``, the other collectors by prometheus_client. A collector that fails
    is left out and logged, so that it costs no other series.
    """
    encoder, content_type = choose_encoder(accept)
    openmetrics = content_type.startswith("application/openmetrics-text")
    start = time.perf_counter()
    ours = list(_paced(_chunks(store.state(), openmetrics)))
    store.scrape_seconds = time.perf_counter() - start
    target = registry.get_target_info()  # OpenMetrics wants it first
    first = [_encoded(encoder, _TargetInfo(target))] if target else []
    others = [_encoded(encoder, collector) for collector in other_collectors(registry, store)]
    end = text.END if openmetrics else b""
    return b"".join([*first, *ours, *others, end]), content_type


def _chunks(state: State, openmetrics: bool) -> Iterator[bytes]:
    return chain(
        text.chunks(state.snapshots, state.samples, openmetrics=openmetrics),
        signal_text.chunks(state.signals, state.baselines, openmetrics),
    )


def _paced(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks`` with a pause after each quarter of a millisecond of work.

    A thread that wants the interpreter lock else waits for its switch interval, 5 ms. Measured with a
    thread that gives the lock away for 0.1 ms per call: the 99th percentile of its calls was 0.2 ms without
    a scrape, 9.3 ms with scrapes and 1.2 ms with the pauses, which cost up to a third more CPU time. The
    pause must be a real sleep: after ``sleep(0)`` the lock is often taken back at once.
    """
    resumed = time.perf_counter()
    for chunk in chunks:
        yield chunk
        if time.perf_counter() - resumed > GIL_SECONDS:
            time.sleep(PAUSE_SECONDS)
            resumed = time.perf_counter()


class _TargetInfo(Collector):
    def __init__(self, labels: dict[str, str]) -> None:
        self._labels = labels

    def collect(self) -> Iterable[Family]:
        return [InfoMetricFamily("target", "Target metadata", self._labels)]


def _encoded(encoder: Callable[[Collector], bytes], collector: Collector) -> bytes:
    try:
        return encoder(collector).removesuffix(text.END)
    except Exception as error:  # noqa: BLE001 - a foreign collector may raise anything
        log_failure(f"collector {type(collector).__qualname__} failed, its series are left out", error)
        return b""


class Response(NamedTuple):
    """An answer in HTTP's terms."""

    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes


def respond(registry: CollectorRegistry, method: str, accept: str, accept_encoding: str) -> Response:
    """Answer a request for the metrics of ``registry``; never raises."""
    if method not in METHODS:
        return method_not_allowed()
    try:
        answer = _metrics(registry, accept, accept_encoding)
    except Exception as error:  # noqa: BLE001 - a failed scrape must not reach the model's server
        log_failure("a scrape failed", error)
        answer = plain(HTTPStatus.INTERNAL_SERVER_ERROR, "the metrics could not be rendered; see the log")
    return answer._replace(body=b"") if method == "HEAD" else answer


def method_not_allowed() -> Response:
    """The answer to a method that is not one of ``METHODS``."""
    return plain(HTTPStatus.METHOD_NOT_ALLOWED, f"use {' or '.join(METHODS)}", ("Allow", ", ".join(METHODS)))


def plain(status: HTTPStatus, message: str, *headers: tuple[str, str]) -> Response:
    """A short answer in plain text."""
    body = f"{message}\n".encode()
    return Response(
        status,
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers],
        body,
    )


def _metrics(registry: CollectorRegistry, accept: str, accept_encoding: str) -> Response:
    body, content_type = exposition(registry, store_for(registry), accept)
    headers = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
    if _allows_gzip(accept_encoding):
        body = gzip.compress(body, GZIP_LEVEL)
        headers.append(("Content-Encoding", "gzip"))
    return Response(HTTPStatus.OK, [*headers, ("Content-Length", str(len(body)))], body)


def _allows_gzip(accept_encoding: str) -> bool:
    for coding in accept_encoding.split(","):
        name, _, quality = coding.replace(" ", "").lower().partition(";q=")
        if name == "gzip":
            return quality.strip("0.") != "" or not quality
    return False
