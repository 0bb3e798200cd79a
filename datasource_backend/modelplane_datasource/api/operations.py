"""Routes for those who run the backend: liveness, readiness, own metrics."""

from __future__ import annotations

from concurrent.futures import wait
from functools import partial

from flask import Blueprint, Response, current_app, request

from modelplane_datasource.alerts.store import StoreError
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError
from modelplane_datasource.observability.readiness import PATIENCE_SECONDS, ReadinessCheck, state_of
from modelplane_datasource.prometheus.errors import UpstreamError
from modelplane_datasource.web.openapi import Content, Operation, described, openapi_document
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import TEXT, ok, record

_OK = "ok"
_STATE = record({"status": {"const": _OK}})
_CHECKS = record({"prometheus": TEXT, "store": TEXT}, others=TEXT)  # and watchdog where it is required
_READY = record({"status": {"const": _OK}, "checks": _CHECKS})
_EXPOSITION = Content(
    "The backend's metrics, in OpenMetrics for those who accept it.",
    {"text/plain": TEXT, "application/openmetrics-text": TEXT},
)


def operations_blueprint(context: AppContext) -> Blueprint:
    """``/healthz``, ``/readyz``, ``/metrics`` and ``/openapi.json``."""
    routes = Blueprint("operations", __name__)
    states = {"prometheus": _prometheus_state, "store": _store_state}
    if context.settings.require_watchdog_seconds:
        states["watchdog"] = _watchdog_state
    checks = {
        name: ReadinessCheck(f"check {name}", partial(state, context)) for name, state in states.items()
    }

    @routes.get("/healthz")
    @described(Operation("Whether the server is alive.", ok("It is.", _STATE)))
    def healthz() -> Response:
        return json_response({"status": _OK})

    @routes.get("/readyz")
    @described(Operation("Whether it can query and store.", ok("They can.", _READY), errors=(503,)))
    def readyz() -> Response:
        outcomes = {name: check.start() for name, check in checks.items()}
        wait(outcomes.values(), PATIENCE_SECONDS)
        states = {name: state_of(outcome) for name, outcome in outcomes.items()}
        problems = [f"{name}: {state}" for name, state in states.items() if state != _OK]
        if problems:
            raise ApiError(503, "not_ready", f"Not ready. {' '.join(problems)}", states)
        return json_response({"status": _OK, "checks": states})

    @routes.get("/metrics")
    @described(Operation("Metrics of the backend itself.", {200: _EXPOSITION}))
    def backend_metrics() -> Response:
        body, content_type = context.telemetry.exposition(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

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


def _watchdog_state(context: AppContext) -> str:
    try:
        seen = context.store.watchdog_seen()
    except StoreError:
        return "it is not known when the alert Watchdog last came: the store cannot be read."
    seconds = (context.now() - max(seen.values())) / 1000 if seen else None
    if seconds is not None and seconds <= context.settings.require_watchdog_seconds:
        return _OK
    last = "has never come" if seconds is None else f"last came {seconds:.0f} s ago"
    return (
        f"the alert Watchdog {last}: Prometheus does not evaluate rules, or does not reach Alertmanager, "
        "or Alertmanager does not reach this backend; modelplane doctor --probe says which."
    )
