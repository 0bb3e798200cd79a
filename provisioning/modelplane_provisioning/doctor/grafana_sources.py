"""The data sources of Grafana, each by a query that needs its login: their health proves nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelplane_dashboards import INFINITY_ID
from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.doctor.finding import Finding, Problem
from modelplane_provisioning.doctor.grafana_server import identity_problems
from modelplane_provisioning.doctor.parts import Grafana, Parts, required
from modelplane_schema.uids import API_DATASOURCE_UID, PLUGIN_DATASOURCE_ID, PROMETHEUS_DATASOURCE_UID

SOURCES_ANSWER = "Grafana's data sources answer queries"
_ALERTMANAGER = "alertmanager"
_OUR_UID = "modelplane"
_API_TYPES = {"plugin": PLUGIN_DATASOURCE_ID, "infinity": INFINITY_ID}
Source = Mapping[str, Any]


def check_sources(parts: Parts) -> Finding:
    """The data sources of the boards are there, of the right type, and a query through each is answered."""
    sources = {source["uid"]: source for source in required(parts.grafana, "/api/datasources")}
    wanted = {PROMETHEUS_DATASOURCE_UID: "prometheus"}
    if parts.api != "none":
        wanted[API_DATASOURCE_UID] = _API_TYPES[parts.api]
    ours = [source for uid, source in sources.items() if uid in wanted or _is_our_alertmanager(source)]
    problems = [_absent(uid, bool(sources)) for uid in wanted if uid not in sources]
    for source in ours:
        problems += _wrong(parts, source, wanted.get(source["uid"], _ALERTMANAGER))
    return Finding(SOURCES_ANSWER, f"{len(ours)} of {len(sources)} data sources are ours", tuple(problems))


def _is_our_alertmanager(source: Source) -> bool:
    return source["type"] == _ALERTMANAGER and str(source["uid"]).startswith(_OUR_UID)


def _absent(uid: str, has_others: bool) -> Problem:
    text = f"Grafana has no data source with the uid {uid!r}"
    advice = "`modelplane grafana apply` makes it; with files, mount the bundle's grafana/provisioning"
    if not has_others:
        text += ", nor any other that this token may see"
    return Problem("error", f"source-absent:{uid}", text, advice)


def _wrong(parts: Parts, source: Source, wanted: str) -> list[Problem]:
    """What is wrong with a data source that is there."""
    uid, kind = source["uid"], source["type"]
    if kind != wanted:
        text = f"the data source {uid!r} is of the type {kind!r}, and boards need {wanted!r}"
        return [Problem("error", f"source-type:{uid}", text, "make the boards and it with the same --api")]
    problems = _open_hosts(source) if kind == INFINITY_ID else []
    try:
        problems += _QUERIES[kind](parts, source)
    except PlaneError as error:
        text = f"the data source {uid!r} does not answer: {error}"
        advice = "check its URL as Grafana sees it, and the token that it holds"
        problems.append(Problem("error", f"source-failing:{uid}", text, advice))
    return problems


def _open_hosts(source: Source) -> list[Problem]:
    """Allowed hosts are prefixes: without a slash ``http://backend:8090@elsewhere`` begins with one."""
    hosts = (source.get("jsonData") or {}).get("allowedHosts") or []
    if hosts and all(host.rstrip("/") != host for host in hosts):
        return []
    text = f"the data source {source['uid']!r} lets any viewer send its token to another host"
    shown = ", ".join(hosts) or "none"
    advice = f"end each of its allowed hosts with a slash (there are: {shown}), and replace its token"
    return [Problem("error", f"source-open:{source['uid']}", text, advice)]


def _ask_prometheus(parts: Parts, source: Source) -> list[Problem]:
    target = {"expr": "vector(1)", "instant": True, "range": False}
    ask_source(parts.grafana, source["uid"], source["type"], target)
    return []


def _ask_plugin(parts: Parts, source: Source) -> list[Problem]:
    identity = parts.grafana.get(f"/api/datasources/proxy/uid/{source['uid']}/read/identity")
    return list(identity_problems(parts, identity))


def _ask_infinity(parts: Parts, source: Source) -> list[Problem]:
    target = {
        "type": "json", "source": "url", "parser": "backend", "format": "table", "url": "/api/v1/identity",
        "url_options": {"method": "GET", "data": ""}, "root_selector": "", "columns": [], "filters": [],
    }  # fmt: skip
    ask_source(parts.grafana, source["uid"], source["type"], target)
    return []


def _ask_alertmanager(parts: Parts, source: Source) -> list[Problem]:
    parts.grafana.get(f"/api/alertmanager/{source['uid']}/api/v2/status")
    return []


_QUERIES: Mapping[str, Callable[[Parts, Source], list[Problem]]] = {
    "prometheus": _ask_prometheus,
    PLUGIN_DATASOURCE_ID: _ask_plugin,
    INFINITY_ID: _ask_infinity,
    _ALERTMANAGER: _ask_alertmanager,
}


def ask_source(
    grafana: Grafana, uid: str, kind: str, target: Mapping[str, Any], seconds: int = 900
) -> list[dict[str, Any]]:
    """The frames of one query over the last ``seconds``; PlaneError with the data source's own sentence."""
    query = {**target, "refId": "A", "datasource": {"uid": uid, "type": kind}}
    body = {"queries": [query], "from": f"now-{seconds}s", "to": "now"}
    answer = grafana.post_query("/api/ds/query", body)["results"]["A"]
    if answer.get("error"):
        raise PlaneError(f"Grafana's data source {uid!r} says: {answer['error']}")
    frames: list[dict[str, Any]] = answer.get("frames") or []
    return frames
