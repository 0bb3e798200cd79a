"""An ASGI service for tests: each request is one call of a measured async model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from modelplane_exporter import ModelMetricsExporter

exporter = ModelMetricsExporter("m", "v1", "a", "sklearn")


@exporter
async def predict() -> dict[str, float]:
    return {"confidence": 0.75}


async def app(scope: dict[str, Any], receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        await predict()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
