"""Each query of the boards in Grafana, asked through Grafana as the browser asks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import modelplane_dashboards
from modelplane_dashboards import INFINITY_ID, ApiQuery, Board, PanelQuery
from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.clients.plane_errors import NotGrantedError
from modelplane_provisioning.doctor import browser
from modelplane_provisioning.doctor.browser import Target
from modelplane_provisioning.doctor.finding import Finding
from modelplane_provisioning.doctor.grafana_boards import stored_board
from modelplane_provisioning.doctor.grafana_sources import ask_source
from modelplane_provisioning.doctor.menus import menu_values, offered_values, opened
from modelplane_provisioning.doctor.panel_checks import PanelCheck, ask_panels
from modelplane_provisioning.doctor.panels import range_values, selected, step
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.selections import Selection
from modelplane_provisioning.doctor.situation import RANGE_SECONDS, look
from modelplane_schema.uids import PLUGIN_DATASOURCE_ID, PROMETHEUS_DATASOURCE_UID

PANELS_HAVE_DATA_IN_GRAFANA = "every panel query returns data through Grafana"
_MOST_POINTS = 500
_OF_TENANTS = (
    "an organisation of tenants has no data about all, and so may lack any panel's; ask organisation 1"
)
_ASKED_HERE = ("prometheus", INFINITY_ID)


def check_grafana_panels(parts: Parts) -> Finding:
    """Each query of the boards of all tenants and models, as Grafana has them, returns data."""
    if not parts.grafana.is_of_operators:
        return Finding(PANELS_HAVE_DATA_IN_GRAFANA, "", not_checked=_OF_TENANTS)
    prometheus = parts.given_prometheus or _through_grafana(parts)
    values = menu_values(prometheus)
    boards = [opened(board, values) for board in modelplane_dashboards.build(parts.registry, parts.api)]
    queries = [query for board in boards for query in _board(parts, board, offered_values(board, values))]
    problems, states = ask_panels(queries, partial(look, prometheus, parts.registry))
    return Finding(PANELS_HAVE_DATA_IN_GRAFANA, f"{len(queries)} queries", problems, states)


def _through_grafana(parts: Parts) -> Connection:
    """Prometheus behind Grafana's data source: its API for reading is open to viewers."""
    path = f"/api/datasources/proxy/uid/{PROMETHEUS_DATASOURCE_UID}"
    return parts.grafana.connection.below(path, parts.grafana.login)


def _board(parts: Parts, board: Board, offered: Mapping[str, list[str]]) -> Iterator[PanelCheck]:
    """The queries of a board as Grafana has it; none where it has none, which another check tells."""
    try:
        stored = stored_board(parts.grafana, board.uid)
    except NotGrantedError:
        return
    if stored is None:
        return
    generated = {
        (query.panel_title, query.ref_id): query for query in modelplane_dashboards.panel_queries([board])
    }
    values = browser.variable_values(stored.spec, dict(board.examples), offered)
    for target in browser.targets(stored.spec, values):
        query = generated.get((target.panel, target.content["refId"]))
        if target.kind in _ASKED_HERE or (target.kind == PLUGIN_DATASOURCE_ID and query and query.api):
            yield _check(parts, board.title, target, query)


def _check(parts: Parts, board: str, target: Target, query: PanelQuery | None) -> PanelCheck:
    """A query that is none of ours may be empty: nobody here knows what it is for."""
    text = str(target.content.get("expr") or target.content.get("url") or target.content.get("name"))
    rows = partial(_rows, parts, target)
    if target.kind == PLUGIN_DATASOURCE_ID and query is not None and query.api is not None:
        rows = partial(_plugin_rows, parts, target, query.api, dict(query.defaults))
    return PanelCheck(
        board, target.panel, str(target.content["refId"]), f"Grafana's data source {target.uid!r}", text,
        query is None or query.may_be_empty, rows, partial(_selected, parts, query),
    )  # fmt: skip


def _rows(parts: Parts, target: Target) -> list[Any]:
    content = {**target.content, "intervalMs": step(parts) * 1000, "maxDataPoints": _MOST_POINTS}
    frames = ask_source(parts.grafana, target.uid, target.kind, content, RANGE_SECONDS)
    return [frame for frame in frames if _has_rows(frame)]


def _has_rows(frame: Mapping[str, Any]) -> bool:
    columns = (frame.get("data") or {}).get("values") or ()
    return any(len(column) > 0 for column in columns)


def _plugin_rows(parts: Parts, target: Target, query: ApiQuery, defaults: Mapping[str, str]) -> list[Any]:
    """Our data source has no back end: the browser asks its route, to which Grafana adds the token."""
    chosen = {name: each.text("", is_pattern=False) for name, each in target.values.items()}
    values = range_values(parts, {**defaults, **chosen}.items())
    request = modelplane_dashboards.api_request(query, "plugin", values)
    path = f"/api/datasources/proxy/uid/{target.uid}/read/{request.path.removeprefix('/api/v1/')}"
    answer = parts.grafana.get(path)
    rows: list[Any] = answer[request.rows] if request.rows else [answer]
    return rows


def _selected(parts: Parts, query: PanelQuery | None) -> Selection | None:
    return selected(parts, query) if query is not None else None
