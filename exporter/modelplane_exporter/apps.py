"""``/metrics`` as WSGI and ASGI applications to mount."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry

from modelplane_exporter.serving.lone_process import say_when_mounted
from modelplane_exporter.serving.responder import Response, respond

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def wsgi_app(registry: CollectorRegistry | None = None) -> WSGIApplication:
    """A WSGI application that serves ``registry`` (default: the global one) under any path."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        say_when_mounted(registry or REGISTRY, bool(environ.get("wsgi.multiprocess")))
        answer = respond(
            registry or REGISTRY,
            environ["REQUEST_METHOD"],
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        start_response(f"{answer.status.value} {answer.status.phrase}", answer.headers)
        return [answer.body]

    return app


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Message, Receive, Send], Awaitable[None]]


def asgi_app(registry: CollectorRegistry | None = None) -> ASGIApplication:
    """An ASGI application (asyncio) that serves ``registry`` (default: the global one) under any path.

    It renders in two threads of its own: the event loop stays free, and a scrape does not queue behind a
    model's calls in the loop's default executor.
    """
    threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="modelplane-scrape")

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            headers = ("accept", "accept-encoding")
            accept, accept_encoding = (_header(scope, name) for name in headers)
            arguments = (registry or REGISTRY, scope["method"], accept, accept_encoding)
            answer = await asyncio.get_running_loop().run_in_executor(threads, respond, *arguments)
            await _send(answer, send)

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while (event := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{event}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _header(scope: Message, name: str) -> str:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name.encode()]
    return ",".join(values)


async def _send(answer: Response, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
