"""Requests for every route of the application, made from its URL map and its OpenAPI document.

A new route is walked without anyone remembering; a path argument or a body that the walk does not know fails.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from datasource_support.two_tenants import (
    CALLER_TENANT,
    NOW,
    OTHER,
    OTHER_MODEL,
    OTHER_VERSION,
    SHARED_MODEL,
)
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.grafana.annotations import SOURCES
from modelplane_datasource.grafana.menus import VARIABLES
from modelplane_schema import metrics

POLICIES = ("idle", "shared", "basis")  # parameters whose values are not a tenant's to choose
PROMETHEUS_QUERIES = (
    "model_info",
    "count({__name__=~'.+'})",
    f'{metrics.REQUESTS.name}{{tenant_id="{OTHER}"}}',
    f"sum by (tenant_id) ({metrics.REQUESTS.name})",
)
_VALUES: dict[str, list[str]] = {
    "model-name": [SHARED_MODEL, OTHER_MODEL],
    "model-version": ["v1", OTHER_VERSION],
    "tenant-id": [CALLER_TENANT, f"{{{CALLER_TENANT},{OTHER}}}"],
    "baseline": ["v1"],
    "candidate": ["v2", OTHER_VERSION],
    "signal": [f"{CALLER_TENANT}_age", f"{OTHER}_age"],
    "slo": ["availability", "globex-slo"],
    "reference": ["previous:1h", f"version:{OTHER_VERSION}"],
    "kind": ["input"],
    "from": [str((NOW - 3600) * 1000)],
    "to": [str(NOW * 1000)],
    "step": ["5m"],
}
_LABELS = ["tenant_id", "model_name", "model_version", "owner", "signal", "event", "device", "__name__"]
# Texts of requests, which errors repeat.
_REQUESTED = {
    OTHER, f"{{{CALLER_TENANT},{OTHER}}}", OTHER_MODEL, OTHER_VERSION, f"version:{OTHER_VERSION}",
    f"{OTHER}_age", "globex-slo", *PROMETHEUS_QUERIES,
}  # fmt: skip


def bearer(token: str) -> dict[str, str]:
    """The headers that present a token; the id of the request is always the same."""
    return {"Authorization": f"Bearer {token}", "X-Request-Id": "walk"}


class Call(NamedTuple):
    """One request of the walk; ``names_tenant`` says whether it can ask for a tenant."""

    method: str
    path: str
    query: dict[str, Any]
    body: Any = None
    names_tenant: bool = False

    def send(self, client: FlaskClient, token: str) -> TestResponse:
        """The response to the holder of a token."""
        return client.open(
            self.path, method=self.method, query_string=self.query, json=self.body, headers=bearer(token)
        )

    @property
    def names_policy(self) -> bool:
        """Whether it asks for a policy."""
        return not self.query.keys().isdisjoint(POLICIES) or '"idle"' in json.dumps(self.body)


def walk(client: FlaskClient, admin: str) -> Iterator[Call]:
    """Every route with every method; ``admin`` is a token that may see everything."""
    arguments = _arguments(client, admin)
    document = client.get("/openapi.json", headers=bearer(admin)).json
    assert document is not None
    for rule in client.application.url_map.iter_rules():
        silences = rule.rule.startswith("/api/v1/silences")
        of_rule = {**arguments, "id": arguments["silence"]} if silences else arguments
        for path in _paths(rule, of_rule):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                if path == "/api/v1/gate" and method == "POST":
                    yield from _webhook_calls(path, _parameters_of(document, path, method))
                elif path.startswith("/prometheus"):
                    yield from _prometheus_calls(method, path)
                elif path.startswith("/grafana") and method == "POST":
                    queries = _grafana_queries() if path == "/grafana/query" else ()
                    yield from (Call(method, path, {}, body) for body in (*queries, *_grafana_bodies()))
                elif method == "GET":
                    yield from _get_calls(path, _parameters_of(document, path, method))
                else:
                    yield Call(method, path, {}, _written(path))


def _written(path: str) -> dict[str, Any]:
    """The body of what changes something."""
    if path.endswith("/comment"):
        return {"by": "someone", "comment": "seen"}
    if path.endswith("/silences"):
        matchers = [{"name": "alertname", "operator": "=~", "value": ".*"}]
        return {"by": "someone", "comment": "seen", "duration": "1h", "matchers": matchers}
    return {"by": "someone", "note": "seen"}


def without_request(response: TestResponse, call: Call) -> bytes:
    """Status line, headers and body of a response, without the texts of the request, which errors repeat."""
    text = f"{response.status}\n{response.headers}".encode() + response.get_data()
    body = call.body or {}
    given = [call.query, *body.get("targets", ()), body.get("metadata", {})]
    for value in sorted(itertools.chain.from_iterable(map(_requested, given)), key=len, reverse=True):
        text = text.replace(json.dumps(value)[1:-1].encode(), b"")
    return text


def _requested(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _requested(inner)
    elif value in _REQUESTED:
        yield value


def _arguments(client: FlaskClient, admin: str) -> dict[str, list[str]]:
    """What can stand in a path."""
    listed = client.get("/api/v1/incidents", headers=bearer(admin)).json
    silenced = client.get("/api/v1/silences", headers=bearer(admin)).json
    assert listed is not None
    assert silenced is not None
    return {
        "silence": [str(silence["id"]) for silence in silenced["silences"]],
        "metric": [metric.name for metric in SERIES_METRICS],
        "label": _LABELS,
        "name": _LABELS,
        "id": [str(incident["id"]) for incident in listed["incidents"]],
        "path": ["series", "status/tsdb", "targets", "metadata"],
    }


def _paths(rule: Rule, arguments: dict[str, list[str]]) -> Iterator[str]:
    """A rule with its arguments filled in."""
    unknown = set(rule.arguments) - set(arguments)
    assert not unknown, f"teach the walk what {unknown} of {rule.rule} can be"
    names = sorted(rule.arguments)
    for values in itertools.product(*(arguments[name] for name in names)):
        path = rule.rule
        for name, value in zip(names, values, strict=True):
            path = re.sub(rf"<(?:[^:<>]+:)?{name}>", value, path)
        yield path


def _parameters_of(document: dict[str, Any], path: str, method: str) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = (
        document["paths"].get(path, {}).get(method.lower(), {}).get("parameters", [])
    )
    return [parameter for parameter in described if parameter.get("in") == "query"]


def _get_calls(path: str, described: list[dict[str, Any]]) -> Iterator[Call]:
    """Calls about all that the caller may see, in each group; of a model and tenant with each parameter."""
    schemas = {parameter["name"]: parameter["schema"] for parameter in described}
    always = {"from", "to", *(parameter["name"] for parameter in described if parameter.get("required"))}
    everything = {name: _VALUES.get(name, ["1"])[0] for name in schemas if name in always}
    named = {name: _VALUES[name][0] for name in ("model-name", "tenant-id") if name in schemas}
    base, has_tenant = {**named, **everything}, "tenant-id" in schemas
    groups = [group for group in _choices(schemas.get("group-by", {})) if group != "none"]
    queries: list[dict[str, Any]] = [everything, base]
    queries += [{**everything, "group-by": group} for group in (*groups, "none", groups) if groups]
    for name, schema in schemas.items():
        values = (*_VALUES.get(name, ()), *_choices(schema), "nothing")
        queries += [{**base, name: value} for value in values]
    for format_ in ("csv", "focus") if groups and "format" in schemas else ():
        queries += [{**everything, "group-by": groups, "format": format_}]
    for number, query in enumerate(queries):
        if query not in queries[:number]:
            yield Call("GET", path, query, None, has_tenant)


def _webhook_calls(path: str, described: list[dict[str, Any]]) -> Iterator[Call]:
    """The calls of ``GET``, with the parameters in the metadata of a body."""
    for call in _get_calls(path, described):
        yield Call("POST", path, {}, {"name": "canary", "metadata": call.query})


def _choices(schema: dict[str, Any]) -> tuple[str, ...]:
    return tuple(schema.get("enum", ()) or schema.get("items", {}).get("enum", ()))


def _prometheus_calls(method: str, path: str) -> Iterator[Call]:
    for query in PROMETHEUS_QUERIES:
        form = {"query": query, "time": str(NOW - 60), "start": str(NOW - 600), "end": str(NOW - 60)}
        yield Call(method, path, {**form, "step": "60"})
        yield Call(method, path, {"match[]": query, "start": form["start"], "end": form["end"]})
    yield Call(method, path, {"query": "sum(", "start": "yesterday", "end": "1", "step": "0"})
    yield Call(method, path, {})


_GRAFANA_RANGE: dict[str, Any] = {
    "range": {"from": "2023-10-27T09:00:00Z", "to": "2023-10-27T10:00:00Z"},
    "intervalMs": 60_000,
    "maxDataPoints": 100,
}


def _grafana_queries() -> Iterator[dict[str, Any]]:
    """Bodies of a query: each target, as each type, of each model and tenant; of costs in each group."""
    payloads: list[dict[str, Any]] = [
        {"model-name": model, **tenant}
        for model in (SHARED_MODEL, OTHER_MODEL)
        for tenant in ({}, {"tenant-id": CALLER_TENANT}, {"tenant-id": OTHER})
    ]
    for target in (*(metric.name for metric in SERIES_METRICS), *SOURCES):
        for kind, payload in itertools.product(("timeserie", "table", "frame"), payloads):
            targets = [{"refId": "A", "target": target, "type": kind, "payload": payload}]
            yield {**_GRAFANA_RANGE, "targets": targets, "adhocFilters": []}
            filters = [{"key": "tenant_id", "operator": "=~", "value": ".*"}]
            yield {**_GRAFANA_RANGE, "targets": targets, "adhocFilters": filters, "scopedVars": {}}
    every = {"group-by": ["tenant", "model", "version", "framework", "device_type"]}
    for payload in ({}, every, {**every, "idle": "even"}):
        targets = [{"refId": "A", "target": "cost", "type": "table", "payload": payload}]
        yield {**_GRAFANA_RANGE, "targets": targets, "adhocFilters": []}


def _grafana_bodies() -> Iterator[dict[str, Any]]:
    """Bodies that any of the other routes may read."""
    base = _GRAFANA_RANGE
    for target in (*(metric.name for metric in SERIES_METRICS), *SOURCES):
        for name in ("tenant-id", "model-name", "model-version", "signal", "kind"):
            yield {"metric": target, "name": name, "payload": {}, **base}
        by_model = {"refId": "A", "target": target, "type": "table", "payload": {"group-by": "model"}}
        yield {**base, "targets": [by_model], "adhocFilters": []}
        yield {**base, "annotation": {"name": target, "query": target, "enable": True}}
    broken = [{"key": "model_name", "operator": "=~", "value": "("}]
    yield {**base, "targets": [{"refId": "A", "target": "version_changes"}], "adhocFilters": broken}
    for variable in VARIABLES:
        yield {"payload": {"target": variable}, **base}
        yield {"target": variable, **base}
    for key in ("tenant_id", "model_name", "model_version", "signal"):
        yield {"key": key, **base, "filters": [], "adhocFilters": []}
    yield {}
