"""Parameters of service level objectives, and the objectives that they select."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series import selection as series_selection
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.timeline.times import DURATION_PATTERN, parse_duration
from modelplane_datasource.web.parameters import Parameter, choice, label_text, parser
from modelplane_datasource.web.time_parameters import window_duration
from modelplane_schema.slos import Slo

BURN_RATE, BUDGET_REMAINING = "burn_rate", "budget_remaining"
BURN_WINDOW = parse_duration("1h")
_AUTO = "auto"


@parser({"type": "string", "pattern": f"^({_AUTO}|{DURATION_PATTERN})$", "examples": [_AUTO, "6h"]})
def window_or_auto(text: str) -> int:
    """Milliseconds of a window, 0 for ``auto``; ValueError."""
    return 0 if text == _AUTO else window_duration(text)


SLO_NAME = Parameter(
    "slo", "Objective by its name in the registry; every one of the model when it is left out.",
    "the name of an SLO of the model, repeatable", label_text, repeated=True,
)  # fmt: skip
VALUE = Parameter(
    "value", "How fast the error budget goes (1 spends just all of it), or the share of it that is left.",
    f"{BURN_RATE}, {BUDGET_REMAINING}", choice(BURN_RATE, BUDGET_REMAINING), default=BURN_RATE,
)  # fmt: skip
WINDOW = Parameter(
    "window", "Length of the window that ends at each point; auto is 1h for a burn rate and the "
    "objective's own window for what is left of the budget.",
    "auto, or a duration from 1s to 366d, such as 6h", window_or_auto, default=_AUTO,
)  # fmt: skip
GROUP_BY = replace(
    series_selection.GROUP_BY,
    summary="What the series of an objective differ by; events of what is left out are added up. Each "
    "objective is of one model.",
)
SLO_OPTIONS: tuple[Parameter[Any], ...] = (SLO_NAME, VALUE, WINDOW, GROUP_BY)


class ModelSlo(NamedTuple):
    """An objective of a model."""

    model_name: str
    slo: Slo


def selected_slos(context: AppContext, selection: Selection) -> tuple[ModelSlo, ...]:
    """The selected objectives of models that the caller uses, in the order of the registry.

    ApiError 422 without a registry, 404 when models or objectives are named and there is none.
    """
    if context.registry is None:
        raise ApiError(
            422,
            "no_registry",
            "The server has no registry, which holds the objectives: "
            "set MODELPLANE_DATASOURCE_REGISTRY_FILE to the path of modelplane.yaml.",
        )
    tenants = current_tenants()
    objectives = [
        ModelSlo(model.name, slo)
        for model in context.registry.models
        if (not selection.models or model.name in selection.models)
        and (tenants is None or not set(tenants).isdisjoint(model.tenants))
        for slo in model.slos
    ]
    names = selection.options[SLO_NAME.name]
    selected = tuple(objective for objective in objectives if not names or objective.slo.name in names)
    if not selected and (selection.models or names):
        raise _unknown(selection, names, sorted({objective.slo.name for objective in objectives}))
    return selected


def _unknown(selection: Selection, names: tuple[str, ...], allowed: list[str]) -> ApiError:
    wanted = f"no SLO named {', '.join(names)[:100]!r}" if names and allowed else "no SLO"
    models = f"the model {', '.join(selection.models)[:100]!r}" if selection.models else "any model"
    advice = f"allowed: {', '.join(allowed)}" if allowed else "add one under models[].slos"
    return ApiError(
        404,
        "unknown_slo",
        f"The registry has {wanted} for {models}; {advice}.",
        {"parameter": SLO_NAME.name, "allowed": allowed},
    )
