"""Each query of each generated board, put to Prometheus and the backend as when the board is opened."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import modelplane_dashboards
from modelplane_dashboards import PanelQuery
from modelplane_provisioning.clients.plane import prometheus_query
from modelplane_provisioning.doctor.finding import Finding
from modelplane_provisioning.doctor.menus import menu_values, opened
from modelplane_provisioning.doctor.panel_checks import PanelCheck, ask_panels
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.selections import Selection, selection
from modelplane_provisioning.doctor.situation import RANGE_SECONDS, look
from modelplane_schema.registry import Registry

PANELS_HAVE_DATA = "every panel query returns data"


def check_panels(parts: Parts) -> Finding:
    """Each query of each generated board, run as Grafana would, returns data unless it may be empty."""
    values = menu_values(parts.prometheus)
    boards = [opened(board, values) for board in modelplane_dashboards.build(parts.registry, parts.api)]
    queries = list(modelplane_dashboards.panel_queries(boards))
    answerable = [query for query in queries if query.api is None or parts.given_backend]
    problems, states = ask_panels(
        (_check(parts, query) for query in answerable), partial(look, parts.prometheus, parts.registry)
    )
    left_out = len(queries) - len(answerable)
    note = f"; {left_out} of the backend are not checked: name it with --backend" if left_out else ""
    return Finding(PANELS_HAVE_DATA, f"{len(answerable)} queries{note}", problems, states)


def _check(parts: Parts, query: PanelQuery) -> PanelCheck:
    return PanelCheck(
        query.board_title, query.panel_title, query.ref_id,
        "Prometheus" if query.api is None else "the backend",
        query.text, query.may_be_empty,
        partial(panel_rows, parts, query), partial(selected, parts, query),
    )  # fmt: skip


def selected(parts: Parts, query: PanelQuery) -> Selection:
    """What a query is about."""
    models, tenants = names(parts.registry)
    if query.api is None:
        return selection(_expanded(parts, query), models, tenants)
    values = dict(query.defaults)
    chosen = {
        name: value if isinstance(value, str) else values[value.name] for name, value in query.api.parameters
    }
    return Selection(
        frozenset(), _chosen(chosen.get("model-name"), models), _chosen(chosen.get("tenant-id"), tenants)
    )


def names(registry: Registry) -> tuple[list[str], list[str]]:
    """The models and the tenants of a registry."""
    return [model.name for model in registry.models], [tenant.id for tenant in registry.tenants]


def _chosen(value: str | None, values: Iterable[str]) -> frozenset[str]:
    """The values that a parameter of the API lets through."""
    everything = frozenset(values)
    return everything & {value} if value in everything else everything


def panel_rows(parts: Parts, query: PanelQuery) -> list[Any]:
    """What one panel query returns now, over the last quarter of an hour."""
    if query.api is not None:
        request = modelplane_dashboards.api_request(query.api, parts.api, range_values(parts, query.defaults))
        answer = parts.backend.get(request.path)
        api_rows: list[Any] = answer[request.rows] if request.rows else [answer]
        return api_rows
    text = _expanded(parts, query)
    if query.instant:
        return prometheus_query(parts.prometheus, text)
    now = time.time()
    window = {"start": now - RANGE_SECONDS, "end": now, "step": step(parts)}
    answer = parts.prometheus.get("/api/v1/query_range", {"query": text, **window})
    result: list[Any] = answer["data"]["result"]
    return result


def _expanded(parts: Parts, query: PanelQuery) -> str:
    return modelplane_dashboards.expand(query.text, range_values(parts, query.defaults))


def range_values(parts: Parts, defaults: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The variables of a board, and Grafana's own."""
    now = time.time()
    return {
        **dict(defaults),
        "__rate_interval": f"{max(4 * parts.scrape_interval_seconds, 60)}s",
        "__interval": f"{step(parts)}s",
        "__interval_ms": str(step(parts) * 1000),
        "__from": str(int((now - RANGE_SECONDS) * 1000)),
        "__to": str(int(now * 1000)),
    }


def step(parts: Parts) -> int:
    """Seconds between the points of a graph."""
    return max(parts.scrape_interval_seconds, RANGE_SECONDS // 300)
