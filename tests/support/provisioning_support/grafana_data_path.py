"""How a double of Grafana reaches data: by its data sources, with their tokens, as a real one was seen to."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

_PROMETHEUS_POSTS = ("/api/v1/query", "/api/v1/query_range", "/api/v1/series", "/api/v1/labels")
Reply = tuple[int, Any]
Source = dict[str, Any]


def query(call: Any) -> Reply:
    """``/api/ds/query`` with one query; the source is named by uid or by number."""
    call.need("datasources:query")
    (target,) = call.body["queries"]
    reference = target.get("datasource") or {}
    source = _source(call, str(reference.get("uid") or reference.get("id") or target.get("datasourceId")))
    if source is None:
        return 404, {"message": "Data source not found"}
    if source["type"] == "prometheus":
        return _prometheus_frames(source, target["expr"])
    if source["type"] == "yesoreyeram-infinity-datasource":
        return _infinity_frames(source, target)
    return 400, {"message": "Plugin unavailable", "messageId": "plugin.unavailable"}


def proxy(call: Any, rest: str) -> Reply:
    """``/api/datasources/proxy/uid/<uid>/...`` and ``/<id>/...``; the rest is passed on as it was sent."""
    call.need("datasources:query")
    match = re.match(r"(?:uid/)?([^/]+)(/.*)?$", rest, re.DOTALL)
    source = _source(call, match[1]) if match else None
    if match is None or source is None:
        return 404, {"message": "Unable to find datasource"}
    path = match[2] or "/"
    question = urlsplit(call.raw).query
    if source["type"] == "prometheus":
        if call.method == "POST" and path not in _PROMETHEUS_POSTS:
            return 403, {"message": "non allow-listed POSTs not allowed on proxied Prometheus datasource"}
        return _ask(source["url"], path, question, _prometheus_headers(source))
    if source["type"] == "yesoreyeram-infinity-datasource":
        return 400, {"message": "not allowed"}
    if path.startswith("/read"):  # Grafana compares routes as prefixes
        headers = {"Authorization": f"Bearer {source['secureJsonData']['token']}"}
        return _ask(f"{source['jsonData']['backend']}/api/v1", path.removeprefix("/read"), question, headers)
    return _ask(source["url"], path, question, {})


def alertmanager(call: Any, uid: str, path: str) -> Reply:
    """Alertmanager's own API; the health of such a data source is 500."""
    call.need("datasources:query")
    source = _source(call, uid)
    return _ask(source["url"], path, "", {}) if source else (404, {"message": "data source not found"})


def _source(call: Any, reference: str) -> Source | None:
    """A data source of the organisation, by uid or number."""
    others = call.state.organisations.values() if "ids" in call.state.leaks else [call.organisation]
    for organisation in (call.organisation, *others):
        for source in organisation.sources.values():
            if reference == str(source["id"]) or (
                reference == source["uid"] and organisation is call.organisation
            ):
                named: Source = source
                return named
    return None


def _prometheus_headers(source: Source) -> dict[str, str]:
    name = source["jsonData"].get("httpHeaderName1")
    return {name: source["secureJsonData"]["httpHeaderValue1"]} if name else {}


def _prometheus_frames(source: Source, expression: str) -> Reply:
    question = urlencode({"query": expression})
    code, answer = _ask(source["url"], "/api/v1/query", question, _prometheus_headers(source))
    if code != 200:
        return 400, {"results": {"A": {"error": "bad_data", "errorSource": "downstream", "status": code}}}
    frames = [
        {
            "schema": {"fields": [{"name": "Time"}, {"name": "Value", "labels": series["metric"]}]},
            "data": {"values": [[series["value"][0]], [float(series["value"][1])]]},
        }
        for series in json.loads(answer)["data"]["result"]
    ]
    return 200, {"results": {"A": {"status": 200, "frames": frames}}}


def _infinity_frames(source: Source, target: dict[str, Any]) -> Reply:
    """As Infinity 3.11.1: the source's URL before the panel's, then prefixes of the text."""
    panel_url: str = target["url"]
    url: str = panel_url if panel_url.startswith(source["url"]) else source["url"] + panel_url
    allowed = source["jsonData"]["allowedHosts"]
    if not any(url.startswith(prefix) for prefix in allowed):
        return 500, {"results": {"A": {"error": "requested URL not allowed. To allow this URL, update"}}}
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    headers = {"Authorization": f"Bearer {source['secureJsonData']['bearerToken']}"}
    try:
        code, answer = _ask(f"http://{host}", parts.path, parts.query, headers)
    except OSError as error:
        return 500, {"results": {"A": {"error": f"error getting response: {error}"}}}
    if code != 200:
        return 500, {"results": {"A": {"error": f"unsuccessful HTTP response code status code : {code}"}}}
    try:
        content = json.loads(answer)
    except ValueError:
        return 500, {"results": {"A": {"error": "error while parsing the response"}}}
    root = target["root_selector"]
    rows = content[root] if root else [content]
    columns = sorted({key for row in rows for key in row})
    frame = {
        "schema": {"fields": [{"name": name} for name in columns], "meta": {"custom": {"data": content}}},
        "data": {"values": [[_cell(row.get(name)) for row in rows] for name in columns]},
    }
    return 200, {"results": {"A": {"status": 200, "frames": [frame]}}}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _ask(root: str, path: str, question: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """The answer of the part behind a data source, asked for exactly this path."""
    parts = urlsplit(root)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        target = f"{parts.path}{path}" + (f"?{question}" if question else "")
        connection.request("GET", target or "/", headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
