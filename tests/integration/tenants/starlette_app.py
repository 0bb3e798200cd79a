"""A Starlette service likewise, for streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route

from modelplane_exporter import PER_CALL, ModelMetricsExporter, bind_tenant, tenant
from modelplane_exporter.apps import asgi_app

exporter = ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", confidence=None)


@exporter
def tokens() -> Iterator[str]:
    yield from "abc"


@exporter
async def atokens() -> AsyncIterator[str]:
    for token in "abc":
        yield token


@exporter
def predict() -> str:
    return "abc"


async def undecorated() -> AsyncIterator[str]:
    yield predict()


def stream(request: Request) -> StreamingResponse:
    with tenant(request.query_params["name"]):
        return StreamingResponse(tokens())


async def async_stream(request: Request) -> StreamingResponse:
    with tenant(request.query_params["name"]):
        return StreamingResponse(atokens())


async def undecorated_stream(request: Request) -> StreamingResponse:
    with tenant(request.query_params["name"]):
        return StreamingResponse(bind_tenant(undecorated()))


app = Starlette(
    routes=[
        Route("/stream", stream),
        Route("/async-stream", async_stream),
        Route("/undecorated-stream", undecorated_stream),
        Mount("/metrics", asgi_app()),
    ]
)
