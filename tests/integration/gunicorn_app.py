"""A WSGI service for tests: each request is one call of a measured model, for the tenant in the path."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant

exporter = ModelMetricsExporter("m", "v1", PER_CALL, "sklearn", tenants=("a", "b"))


@exporter
def predict() -> dict[str, float]:
    return {"confidence": 0.75}


def app(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
    with tenant(environ["PATH_INFO"].strip("/") or "a"):
        predict()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
