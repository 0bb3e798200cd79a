"""The application factory."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Response
from werkzeug.routing import Rule

from modelplane_datasource.alerts.incidents import IncidentRules
from modelplane_datasource.alerts.maintenance import Maintenance, MaintenanceRules, Periodic
from modelplane_datasource.alerts.store import AlertStore, StoreError
from modelplane_datasource.alerts.suppression import SuppressionError, load_windows
from modelplane_datasource.api.alerts import alerts_blueprint
from modelplane_datasource.api.annotations import annotation_rows_blueprint
from modelplane_datasource.api.catalogues import catalogues_blueprint
from modelplane_datasource.api.comparison import compare_blueprint
from modelplane_datasource.api.costs import costs_blueprint
from modelplane_datasource.api.drift import drift_blueprint
from modelplane_datasource.api.gate import gate_blueprint
from modelplane_datasource.api.grafana import grafana_blueprint
from modelplane_datasource.api.incidents import incidents_blueprint
from modelplane_datasource.api.operations import operations_blueprint
from modelplane_datasource.api.prometheus import ERROR_FORMATS, prometheus_blueprint, refuse_unknown_calls
from modelplane_datasource.api.runbooks import runbooks_blueprint
from modelplane_datasource.api.series import series_blueprint
from modelplane_datasource.api.silences import silences_blueprint
from modelplane_datasource.api.slo import slo_blueprint
from modelplane_datasource.api.triage import triage_blueprint
from modelplane_datasource.api.webhook import WebhookLayer
from modelplane_datasource.cache import OUTCOMES, SingleFlightCache
from modelplane_datasource.configuration.watched_file import WatchedFile
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError
from modelplane_datasource.observability.telemetry import Telemetry
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.settings import PREFIX, ConfigurationError, Settings
from modelplane_datasource.silences.alertmanager import AlertmanagerError, Alertmanagers
from modelplane_datasource.tenancy.query_restriction import TO_CALLER
from modelplane_datasource.tenancy.tokens import Gatekeeper
from modelplane_datasource.web.authentication import authorization
from modelplane_datasource.web.compression import compress
from modelplane_datasource.web.cors import CorsLayer
from modelplane_datasource.web.error_handlers import error_response, register_error_handlers
from modelplane_datasource.web.middleware import RequestLayer, remember_route
from modelplane_datasource.web.refusals import RETRY_AFTER, refuse_overload
from modelplane_schema.errors import UserError
from modelplane_schema.registry import Registry, RegistryError, parse_registry

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_LOG = logging.getLogger(__name__)
_EXTENSION = "modelplane"
# Of those who read alerts and incidents, the writer of deliveries, readiness and maintenance.
_CONNECTIONS_BESIDES = 6
_BLUEPRINTS = (
    series_blueprint,
    catalogues_blueprint,
    drift_blueprint,
    slo_blueprint,
    triage_blueprint,
    compare_blueprint,
    gate_blueprint,
    costs_blueprint,
    alerts_blueprint,
    incidents_blueprint,
    grafana_blueprint,
    annotation_rows_blueprint,
    silences_blueprint,
    operations_blueprint,
    prometheus_blueprint,
    runbooks_blueprint,
)


class _MatchedRule(Rule):
    """A rule of a route whose URL is never built from its name.

    Werkzeug compiles two functions for each that do so, which takes most of the time to make an application.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _refuse_to_build


def _refuse_to_build(rule: Rule, **values: object) -> tuple[str, str]:
    raise NotImplementedError(f"the URL of {rule.rule} is not built from its name")


class _Application(Flask):
    url_rule_class = _MatchedRule


def create_app(settings: Settings, *, clock: Callable[[], float] = time.time) -> Flask:
    """The WSGI application; ``clock`` gives seconds since 1970.

    ConfigurationError for a bad token file, registry or file of suppression windows, StoreError when the
    database cannot be opened.
    """
    gatekeeper = Gatekeeper(settings.token_file) if settings.token_file else None
    context = _context(settings, clock)
    watched = {"tokens": gatekeeper.file if gatekeeper else None, "registry": context.registry_file}
    context.telemetry.observe_files({name: file for name, file in watched.items() if file})
    app = _Application(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # A redirect to the canonical path would reach Grafana's users instead of the answer.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions[_EXTENSION] = context
    _add_middleware(app, context, gatekeeper)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint(context))
    return app


def maintenance_of(app: Flask) -> Maintenance:
    """The threads that look after the alert store of an application; not started."""
    context: AppContext = app.extensions[_EXTENSION]
    settings = context.settings
    rules = MaintenanceRules(
        settings.retention_days,
        settings.alertmanager_urls,
        settings.reconcile_interval_seconds,
        settings.absent_grace_seconds,
    )
    if not settings.alertmanager_urls:
        return Maintenance(context.store, rules, context.now)
    interval = settings.reconcile_interval_seconds
    recording = Periodic("silences", interval, partial(_record_silences, context))
    return Maintenance(context.store, rules, context.now, recording)


def _record_silences(context: AppContext) -> None:
    """Store Alertmanager's silences, those of other clients too: the history knows who silenced what."""
    with suppress(AlertmanagerError):  # the client logs it
        context.store.put_silences(context.alertmanagers.silences())


def telemetry_of(app: Flask) -> Telemetry:
    """The metrics of an application about itself."""
    context: AppContext = app.extensions[_EXTENSION]
    return context.telemetry


def close_app(app: Flask) -> None:
    """Close the application's connections to Prometheus and to its database."""
    context: AppContext = app.extensions[_EXTENSION]
    context.close()


def _add_middleware(app: Flask, context: AppContext, gatekeeper: Gatekeeper | None) -> None:
    """All that a request passes besides its view, from the outside in; a response goes the other way."""
    application: WSGIApplication = WebhookLayer(app.wsgi_app, context, gatekeeper, _store_error)
    if context.settings.cors_origins:
        application = CorsLayer(application, context.settings.cors_origins)
    app.wsgi_app = RequestLayer(application, context.telemetry)  # type: ignore[method-assign]  # Flask's manual does
    app.before_request(remember_route)
    app.before_request(refuse_overload)
    app.before_request(authorization(gatekeeper))
    app.before_request(refuse_unknown_calls)
    app.after_request(compress)
    register_error_handlers(app, ERROR_FORMATS)
    app.register_error_handler(StoreError, _store_error)


def _store_error(error: Exception) -> Response:
    _LOG.error("the alert store failed: %s", error)
    message = "The alert store is not available; try again."
    return error_response(ApiError(503, "store_unavailable", message, headers=RETRY_AFTER))


def _context(settings: Settings, clock: Callable[[], float]) -> AppContext:
    incident_rules, registry_file = _incident_rules(settings), _registry_file(settings)
    telemetry = Telemetry()
    cache = SingleFlightCache(settings.max_cache_bytes, telemetry.cache_lookup)
    telemetry.observe_cache(cache, OUTCOMES)
    store = AlertStore(
        settings.database_url,
        settings.max_raw_bodies,
        settings.threads + _CONNECTIONS_BESIDES,
        on_call=telemetry.store_call,
    )
    prometheus = PrometheusClient(settings, cache, telemetry.upstream_error, TO_CALLER)
    telemetry.observe_watchdog(lambda: store.last_watchdogs)
    alertmanagers = Alertmanagers(settings.alertmanager_urls)
    return AppContext(
        settings, clock, telemetry, cache, prometheus, store, incident_rules, alertmanagers, registry_file
    )


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


def _registry_file(settings: Settings) -> WatchedFile[Registry] | None:
    if settings.registry_file is None:
        return None
    try:
        return WatchedFile("registry", settings.registry_file, _parse_registry)
    except UserError as error:
        raise ConfigurationError(f"{PREFIX}REGISTRY_FILE: {error}") from error


def _parse_registry(content: bytes, source: str) -> Registry:
    try:
        return parse_registry(content.decode(), source)
    except UnicodeDecodeError as error:
        raise RegistryError(f"{source}: is not UTF-8 text") from error
