"""A Flask service likewise."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response, g, request, stream_with_context
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from modelplane_exporter import PER_CALL, ModelMetricsExporter, bind_tenant, tenant
from modelplane_exporter.apps import wsgi_app

exporter = ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", confidence=None, expected=(HTTPException,))
# Its tenant is told by what Flask knows of the request, which has ended when a stream is read.
by_request = ModelMetricsExporter("by-request", "v1", lambda: g.tenant, "pytorch", confidence=None)
service = Flask(__name__)


@exporter
def tokens() -> Iterator[str]:
    yield from "abc"


@by_request
def tokens_by_request() -> Iterator[str]:
    yield from "abc"


@exporter
def predict() -> str:
    return "abc"


def undecorated() -> Iterator[str]:
    yield predict()


def of_request() -> Iterator[str]:
    with tenant(request.args["name"]):
        yield from tokens()


@service.before_request
def name_tenant() -> None:
    g.tenant = request.args.get("name")


@service.get("/call")
def call() -> str:
    with tenant(request.args["name"]):
        return predict()


@service.get("/stream")
def stream() -> Response:
    with tenant(request.args["name"]):
        return Response(tokens())


@service.get("/stream-by-request")
def stream_by_request() -> Response:
    return Response(tokens_by_request())


@service.get("/with-context")
def with_context() -> Response:
    with tenant(request.args["name"]):
        return Response(stream_with_context(tokens()))


@service.get("/body-names-tenant")
def body_names_tenant() -> Response:
    return Response(stream_with_context(of_request()))


@service.get("/undecorated-stream")
def undecorated_stream() -> Response:
    with tenant(request.args["name"]):
        return Response(bind_tenant(undecorated()))


@service.get("/undecorated-with-context")
def undecorated_with_context() -> Response:
    with tenant(request.args["name"]):
        return Response(stream_with_context(bind_tenant(undecorated())))


@exporter
def refuse() -> str:
    raise NotFound


@service.get("/refused")
def refused() -> str:
    with tenant(request.args["name"]):
        return refuse()


app = DispatcherMiddleware(service, {"/metrics": wsgi_app()})
