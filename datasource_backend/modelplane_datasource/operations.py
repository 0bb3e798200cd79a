"""Routes for those who run the backend: liveness, readiness, own metrics."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from modelplane_datasource.alert_store import StoreError
from modelplane_datasource.errors import ApiError
from modelplane_datasource.plane import Plane
from modelplane_datasource.responses import json_response
from modelplane_datasource.upstream import UpstreamError

_OK = "ok"


def operations_blueprint(plane: Plane) -> Blueprint:
    """``/healthz``, ``/readyz`` and ``/metrics``."""
    routes = Blueprint("operations", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        return json_response({"status": _OK})

    @routes.get("/readyz")
    def readyz() -> Response:
        checks = {"prometheus": _prometheus_state(plane), "store": _store_state(plane)}
        problems = [f"{name}: {state}" for name, state in checks.items() if state != _OK]
        if problems:
            raise ApiError(503, "not_ready", f"Not ready. {' '.join(problems)}", checks)
        return json_response({"status": _OK, "checks": checks})

    @routes.get("/metrics")
    def own_metrics() -> Response:
        return Response(plane.telemetry.exposition(), content_type=CONTENT_TYPE_LATEST)

    return routes


def _prometheus_state(plane: Plane) -> str:
    try:
        plane.prometheus.check_ready()
    except UpstreamError as error:
        return error.message
    return _OK


def _store_state(plane: Plane) -> str:
    try:
        plane.store.check_ready()
    except StoreError as error:
        return f"{error}."
    return _OK
