"""A FastAPI service that names the tenant of its calls in every way that such services do.

Each path makes one call for the tenant in the query, and the model under it one more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from modelplane_exporter import PER_CALL, ModelMetricsExporter, bind_tenant, tenant
from modelplane_exporter.apps import asgi_app

embedding = ModelMetricsExporter("embedder", "v1", PER_CALL, "pytorch", confidence=None)
exporter = ModelMetricsExporter(
    "llm", "v1", PER_CALL, "pytorch", confidence=None, expected=lambda error: isinstance(error, HTTPException)
)
threads = ThreadPoolExecutor(2)
app = FastAPI()
app.mount("/metrics", asgi_app())


@embedding
def embed() -> None:
    """The model under each other one."""


@exporter
def predict(_: int = 0) -> None:
    embed()


@exporter
async def apredict() -> None:
    await asyncio.sleep(0)
    embed()


@exporter
def tokens() -> Iterator[str]:
    yield from "abc"
    embed()


@exporter
async def atokens() -> AsyncIterator[str]:
    for token in "abc":
        await asyncio.sleep(0)
        yield token
    embed()


def undecorated() -> Iterator[str]:
    predict()
    yield "abc"


def in_sync_dependency(name: str) -> Iterator[None]:
    with tenant(name):
        yield


async def in_async_dependency(name: str) -> AsyncIterator[None]:
    with tenant(name):
        yield


async def in_async_context(name: str) -> AsyncIterator[None]:
    with exporter.track(tenant_id=name):
        embed_under(name)
        yield


def embed_under(name: str) -> None:
    with tenant(name):
        embed()


@app.middleware("http")
async def in_middleware(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    if request.url.path != "/middleware":
        return await call_next(request)
    with tenant(request.query_params["name"]):
        return await call_next(request)


@app.get("/middleware")
def middleware() -> None:
    predict()


@app.get("/sync-dependency", dependencies=[Depends(in_sync_dependency)])
def sync_dependency() -> None:
    predict()


@app.get("/async-dependency", dependencies=[Depends(in_async_dependency)])
def async_dependency() -> None:
    predict()


@app.get("/async-dependency-async", dependencies=[Depends(in_async_dependency)])
async def async_dependency_async() -> None:
    await apredict()


@app.get("/track-dependency", dependencies=[Depends(in_async_context)])
def track_dependency() -> None:
    """The dependency is the call."""


@app.get("/stream")
def stream(name: str) -> StreamingResponse:
    with tenant(name):
        return StreamingResponse(tokens())


@app.get("/async-stream")
async def async_stream(name: str) -> StreamingResponse:
    with tenant(name):
        return StreamingResponse(atokens())


@app.get("/stream-dependency", dependencies=[Depends(in_async_dependency)])
async def stream_dependency() -> StreamingResponse:
    return StreamingResponse(atokens())


@app.get("/undecorated-stream")
def undecorated_stream(name: str) -> StreamingResponse:
    with tenant(name):
        return StreamingResponse(bind_tenant(undecorated()))


@app.get("/executor")
async def executor(name: str) -> None:
    with tenant(name):
        await asyncio.get_running_loop().run_in_executor(None, bind_tenant(predict), 1)


@app.get("/pool")
def pool(name: str) -> None:
    with tenant(name):
        threads.submit(bind_tenant(predict), 1).result()


@app.get("/thread")
def thread(name: str) -> None:
    with tenant(name):
        worker = threading.Thread(target=bind_tenant(predict))
    worker.start()
    worker.join()


@app.get("/to-thread")
async def to_thread(name: str) -> None:
    with tenant(name):
        await asyncio.to_thread(predict)


@app.get("/gathered")
async def gathered(name: str) -> None:
    with tenant(name):
        call = apredict()
    await asyncio.gather(call)


@app.get("/background")
def background(name: str, tasks: BackgroundTasks) -> None:
    with tenant(name):
        tasks.add_task(bind_tenant(predict), 1)


@app.get("/background-async")
def background_async(name: str, tasks: BackgroundTasks) -> None:
    with tenant(name):
        tasks.add_task(bind_tenant(apredict))


@exporter
async def refuse(detail: str) -> None:
    embed()
    raise HTTPException(422, detail)


@app.get("/refused", dependencies=[Depends(in_async_dependency)])
async def refused(detail: Annotated[str, "why"] = "no") -> None:
    await refuse(detail)


# The endpoint itself is the measured function.
app.get("/endpoint", dependencies=[Depends(in_async_dependency)])(apredict)
