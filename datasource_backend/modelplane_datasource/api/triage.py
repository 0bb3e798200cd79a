"""Routes over all models: which need attention, and what is declared against what is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response

from modelplane_datasource.alerts.parameters import LIMIT as ALERT_LIMIT
from modelplane_datasource.alerts.parameters import OFFSET
from modelplane_datasource.context import AppContext
from modelplane_datasource.series.selection import TENANT
from modelplane_datasource.tenancy.notices import Notice, note
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.triage.attention import REASONS, attention_rows
from modelplane_datasource.triage.declarations import STATES, compared_versions, registry_rows
from modelplane_datasource.triage.findings import declared_models, findings_of, seen_versions
from modelplane_datasource.web.openapi import (
    BAD_INPUT,
    STORE,
    UPSTREAM,
    NamedSchema,
    Operation,
    Table,
    described,
)
from modelplane_datasource.web.parameters import Parameter, Values, check_names, choice, label_text
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import (
    NUMBER,
    QUERY_TIME,
    TEXT,
    TOTAL,
    array,
    ok,
    record,
    with_warnings,
)

SEARCH = Parameter(
    "search", "Part of a model's, tenant's or owner's name, in any case.", "any text", label_text
)
OWNER = Parameter(
    "owner", "Who owns the model.", "the name of an owner, repeatable", label_text, repeated=True
)
REASON = Parameter(
    "reason",
    "Why a row needs attention.",
    f"{', '.join(REASONS)}, repeatable",
    choice(*REASONS),
    repeated=True,
)
STATE = Parameter(
    "state",
    "How declaration and use agree.",
    f"{', '.join(STATES)}, repeatable",
    choice(*STATES),
    repeated=True,
)
LIMIT = replace(ALERT_LIMIT, summary="Largest number of rows.")
_OF_LISTS = (TENANT, OWNER, SEARCH, LIMIT, OFFSET)
TRIAGE_PARAMETERS = (REASON, *_OF_LISTS)
REGISTRY_PARAMETERS = (STATE, *_OF_LISTS)
NO_REGISTRY = Notice.for_everyone(
    "The backend has no registry, so that nothing is declared: set registry_file."
)

_COUNT = {"type": "integer"}
_TRIAGE_ROW = record(
    {
        "model_name": {**TEXT, "description": "Empty for a tenant as a whole."},
        "tenant_id": {**TEXT, "description": "__all__ for a model as a whole."},
        "owner": TEXT,
        "severity": TEXT,
        "reasons": {"type": "array", "items": {"enum": [*REASONS]}},
        "incident_id": {"type": ["string", "null"]},
        **dict.fromkeys(("alertnames", "acknowledged_by", "slo"), TEXT),
        "burn_rate": {**NUMBER, "description": "Of the last hour."},
        "moved_signals": {**_COUNT, "description": "How many signals are beyond their own limits."},
        **dict.fromkeys(("kind", "signal"), TEXT),
        "budget_ratio": {
            **NUMBER,
            "description": "What 30 days at the pace of the last hour cost, over the budget of a month.",
        },
        "currency": TEXT,
        "invalid_observations": {**NUMBER, "description": "In the last hour."},
        **dict.fromkeys(("production", "candidate"), TEXT),
    }
)
TRIAGE = NamedSchema(
    "Triage", with_warnings(record({"query_time": QUERY_TIME, "rows": array(_TRIAGE_ROW), "total": TOTAL}))
)
_REGISTRY_ROW = record(
    {
        **dict.fromkeys(("model_name", "model_version", "tenant_id"), TEXT),
        "state": {"enum": [*STATES]},
        **dict.fromkeys(("stage", "owner", "framework"), TEXT),
    }
)
REGISTRY = NamedSchema(
    "RegistryRows",
    with_warnings(
        record(
            {
                "query_time": QUERY_TIME,
                "rows": array(_REGISTRY_ROW),
                "total": TOTAL,
                "states": record(dict.fromkeys(STATES, _COUNT)),
            }
        )
    ),
)
TRIAGED = Operation(
    "Models and tenants that need attention, the worst first.",
    ok(
        "A row for each tenant of each model, each tenant and each model of which something is found.", TRIAGE
    ),
    TRIAGE_PARAMETERS,
    (*BAD_INPUT, *UPSTREAM, *STORE),
    tables=(Table("triage", "Models that need attention", units={"budget_ratio": "ratio"}),),
)
DECLARED = Operation(
    "Versions of models by tenant: declared, or seen, or both; what differs comes first.",
    ok("A row for each version of each tenant; states counts them on all pages.", REGISTRY),
    REGISTRY_PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
    tables=(Table("registry", "Declared and seen versions"),),
)


def triage_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/triage`` and ``/api/v1/registry``."""
    routes = Blueprint("triage", __name__, url_prefix="/api/v1")

    @routes.get("/triage")
    @described(TRIAGED)
    def triage() -> Response:
        values = query_values()
        check_names(values, TRIAGE_PARAMETERS)
        reasons = set(REASON.read_all(values))
        seen, tenants = seen_versions(context), TENANT.read_all(values)
        rows = attention_rows(findings_of(context, seen))
        models = {model.name: model for model in declared_models(context.registry)}
        for row in rows:
            model = models.get(row["model_name"])
            row["owner"] = model.owner if model else ""
            row["production"], row["candidate"] = (
                compared_versions(model, seen, tenants) if model else ("", "")
            )
        matching = [
            row for row in _matching(rows, values) if not reasons or not reasons.isdisjoint(row["reasons"])
        ]
        return _page(context, values, matching)

    @routes.get("/registry")
    @described(DECLARED)
    def registry() -> Response:
        values = query_values()
        check_names(values, REGISTRY_PARAMETERS)
        states = STATE.read_all(values)
        if context.registry is None:
            note([NO_REGISTRY])
        matching = _matching(
            registry_rows(context.registry, seen_versions(context), TENANT.read_all(values)), values
        )
        counted = {state: sum(row["state"] == state for row in matching) for state in STATES}
        rows = [row for row in matching if not states or row["state"] in states]
        return _page(context, values, rows, states=counted)

    return routes


def _matching(rows: Iterable[Mapping[str, Any]], values: Values) -> list[Mapping[str, Any]]:
    """Rows of the tenants and owners that are selected, with the text that is searched."""
    # Without a tenant in the request, models and tenants as a whole are rows, too.
    tenants = set(TENANT.read_all(values)) if values.get(TENANT.name) else None
    owners, search = set(OWNER.read_all(values)), (SEARCH.read_one(values) or "").casefold()
    return [
        row
        for row in rows
        if (tenants is None or row["tenant_id"] in tenants)
        and (not owners or row["owner"] in owners)
        and any(search in row[name].casefold() for name in ("model_name", "tenant_id", "owner"))
    ]


def _page(context: AppContext, values: Values, rows: list[Mapping[str, Any]], **more: object) -> Response:
    first = OFFSET.read(values)
    page = rows[first : first + LIMIT.read(values)]
    at = format_rfc3339(context.last_scrape())
    return json_response({"query_time": at, "rows": page, "total": len(rows), **more})
