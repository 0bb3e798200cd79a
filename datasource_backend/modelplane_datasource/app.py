"""The application factory."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from flask import Flask, Response

from modelplane_datasource.alerts.incidents import IncidentRules
from modelplane_datasource.alerts.maintenance import Upkeep, UpkeepRules
from modelplane_datasource.alerts.store import AlertStore, StoreError
from modelplane_datasource.alerts.suppression import SuppressionError, load_windows
from modelplane_datasource.api.alerts import alerts_blueprint
from modelplane_datasource.api.annotations import annotation_rows_blueprint
from modelplane_datasource.api.comparison import compare_blueprint
from modelplane_datasource.api.costs import costs_blueprint
from modelplane_datasource.api.drift import drift_blueprint
from modelplane_datasource.api.grafana import grafana_blueprint
from modelplane_datasource.api.incidents import incidents_blueprint
from modelplane_datasource.api.operations import operations_blueprint
from modelplane_datasource.api.prometheus import prometheus_blueprint
from modelplane_datasource.api.series import series_blueprint
from modelplane_datasource.api.slo import slo_blueprint
from modelplane_datasource.context import Plane
from modelplane_datasource.errors import ApiError
from modelplane_datasource.observability.telemetry import Telemetry
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.settings import PREFIX, ConfigurationError, Settings
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.tenancy.query_restriction import restrict
from modelplane_datasource.tenancy.tokens import Gatekeeper
from modelplane_datasource.web.authentication import require_tokens
from modelplane_datasource.web.compression import compress_responses
from modelplane_datasource.web.error_handlers import error_response, register_error_handlers
from modelplane_datasource.web.middleware import surround
from modelplane_schema.registry import Registry, RegistryError, load_registry

_EXTENSION = "modelplane"
_BLUEPRINTS = (
    series_blueprint,
    drift_blueprint,
    slo_blueprint,
    compare_blueprint,
    costs_blueprint,
    alerts_blueprint,
    incidents_blueprint,
    grafana_blueprint,
    annotation_rows_blueprint,
    operations_blueprint,
    partial(prometheus_blueprint, tenants=current_tenants),
)


def create_app(settings: Settings, *, clock: Callable[[], float] = time.time) -> Flask:
    """The WSGI application; ``clock`` gives seconds since 1970.

    ConfigurationError for a bad token file, registry or file of suppression windows, StoreError when the
    database cannot be opened.
    """
    gatekeeper = Gatekeeper(settings.token_file) if settings.token_file else None
    telemetry = Telemetry()
    plane = Plane(
        settings,
        clock,
        telemetry,
        PrometheusClient(settings, telemetry.upstream_error, telemetry.cache_lookup, restrict),
        AlertStore(
            settings.database_url,
            settings.max_raw_bodies,
            settings.threads,
            _incident_rules(settings),
            max_waiting_writers=settings.threads // 2,
            on_call=telemetry.store_call,
        ),
        _registry(settings),
    )
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # A redirect to the canonical path would reach Grafana's users instead of the answer.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions[_EXTENSION] = plane
    surround(app, telemetry)
    telemetry.observe_cache(plane.prometheus.cache)
    compress_responses(app)
    require_tokens(app, gatekeeper)
    register_error_handlers(app)
    _register_store_error(app)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint(plane))
    return app


def upkeep_of(app: Flask) -> Upkeep:
    """The threads that look after the alert store of an application; not started."""
    plane: Plane = app.extensions[_EXTENSION]
    settings = plane.settings
    rules = UpkeepRules(
        settings.retention_days,
        settings.alertmanager_urls,
        settings.reconcile_interval_seconds,
        settings.absent_grace_seconds,
    )
    return Upkeep(plane.store, rules, plane.now)


def close_app(app: Flask) -> None:
    """Close the application's connections to Prometheus and to its database."""
    plane: Plane = app.extensions[_EXTENSION]
    plane.close()


def _incident_rules(settings: Settings) -> IncidentRules:
    try:
        windows = load_windows(settings.suppression_file) if settings.suppression_file else ()
    except SuppressionError as error:
        raise ConfigurationError(f"{PREFIX}SUPPRESSION_FILE: {error}") from error
    return IncidentRules(
        gap=round(settings.incident_gap_seconds * 1000),
        flap_episodes=settings.flap_episodes,
        flap_window=round(settings.flap_window_seconds * 1000),
        windows=windows,
    )


def _registry(settings: Settings) -> Registry | None:
    if settings.registry_file is None:
        return None
    try:
        return load_registry(settings.registry_file)
    except RegistryError as error:
        raise ConfigurationError(f"{PREFIX}REGISTRY_FILE: {error}") from error


def _register_store_error(app: Flask) -> None:
    @app.errorhandler(StoreError)
    def store_error(error: StoreError) -> Response:
        app.logger.error("the alert store failed: %s", error)
        message = "The alert store is not available; try again."
        return error_response(ApiError(503, "store_unavailable", message))
