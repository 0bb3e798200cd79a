"""Routes for those who run the backend: liveness, readiness, own metrics."""

from __future__ import annotations

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST

from modelplane_datasource.alerts.store import StoreError
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.errors import UpstreamError
from modelplane_datasource.web.openapi import Content, Operation, described, openapi_document
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import TEXT, ok, record

_OK = "ok"
_STATE = record({"status": {"const": _OK}})
_READY = record({"status": {"const": _OK}, "checks": record({"prometheus": TEXT, "store": TEXT})})
_EXPOSITION = Content("The backend's metrics in Prometheus' text format.", {"text/plain": TEXT})


def operations_blueprint(context: AppContext) -> Blueprint:
    """``/healthz``, ``/readyz``, ``/metrics`` and ``/openapi.json``."""
    routes = Blueprint("operations", __name__)

    @routes.get("/healthz")
    @described(Operation("Whether the server is alive.", ok("It is.", _STATE)))
    def healthz() -> Response:
        return json_response({"status": _OK})

    @routes.get("/readyz")
    @described(Operation("Whether queries can be answered.", ok("They can.", _READY), errors=(503,)))
    def readyz() -> Response:
        checks = {"prometheus": _prometheus_state(context), "store": _store_state(context)}
        problems = [f"{name}: {state}" for name, state in checks.items() if state != _OK]
        if problems:
            raise ApiError(503, "not_ready", f"Not ready. {' '.join(problems)}", checks)
        return json_response({"status": _OK, "checks": checks})

    @routes.get("/metrics")
    @described(Operation("Metrics of the backend itself.", {200: _EXPOSITION}))
    def backend_metrics() -> Response:
        return Response(context.telemetry.exposition(), content_type=CONTENT_TYPE_LATEST)

    @routes.get("/openapi.json")
    @described(Operation("This document.", ok("OpenAPI 3.1.", {"type": "object"})))
    def document() -> Response:
        protected = context.settings.token_file is not None
        return json_response(openapi_document(current_app, protected))

    return routes


def _prometheus_state(context: AppContext) -> str:
    try:
        context.prometheus.check_ready()
    except UpstreamError as error:
        return error.message
    return _OK


def _store_state(context: AppContext) -> str:
    try:
        context.store.check_ready()
    except StoreError as error:
        return f"{error}."
    return _OK
