"""Menus: the values that a parameter may have, as far as the caller may see them.

Most are label values of calls and signals; objectives and owners are declared in the registry alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.parameters import KIND, SIGNAL
from modelplane_datasource.grafana.menus import VARIABLES, variable_values
from modelplane_datasource.series.selection import MODEL, TENANT, VERSION
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.web.parameters import Parameter, Values
from modelplane_schema.registry import Model

Read = Callable[[AppContext, Mapping[str, Sequence[str]], TimeRange], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Menu:
    """A list of values; ``parameters`` narrow it."""

    name: str
    title: str
    parameters: tuple[Parameter[Any], ...]
    read: Read


def menu_values(context: AppContext, menu: Menu, values: Values, time_range: TimeRange) -> Sequence[str]:
    """The values of a menu, sorted; ApiError, UpstreamError."""
    narrowed = {parameter.name: parameter.read_all(values) for parameter in menu.parameters}
    return menu.read(context, {name: texts for name, texts in narrowed.items() if texts}, time_range)


def _label_values(
    name: str, context: AppContext, values: Mapping[str, Sequence[str]], time_range: TimeRange
) -> Sequence[str]:
    return variable_values(context, name, values, time_range)


def _slos(context: AppContext, values: Mapping[str, Sequence[str]], _time_range: TimeRange) -> Sequence[str]:
    return sorted({slo.name for model in _visible_models(context, values) for slo in model.slos})


def _owners(
    context: AppContext, values: Mapping[str, Sequence[str]], _time_range: TimeRange
) -> Sequence[str]:
    return sorted({model.owner for model in _visible_models(context, values)})


def _visible_models(context: AppContext, values: Mapping[str, Sequence[str]]) -> list[Model]:
    """Declared models that a selected tenant of the caller uses; none without a registry."""
    names, tenants = values.get(MODEL.name), values.get(TENANT.name, current_tenants())
    return [
        model
        for model in (context.registry.models if context.registry else ())
        if (not names or model.name in names)
        and (tenants is None or not set(tenants).isdisjoint(model.tenants))
    ]


_OF_CALLS = (MODEL, TENANT, VERSION)
_OF_SIGNALS = (*_OF_CALLS, KIND, SIGNAL)
_OF_REGISTRY = (MODEL, TENANT)


def _of_labels(name: str, title: str, parameters: tuple[Parameter[Any], ...]) -> Menu:
    return Menu(name, title, parameters, partial(_label_values, VARIABLES[name].name))


MENUS: Mapping[str, Menu] = {
    menu.name: menu
    for menu in (
        _of_labels("tenants", "Tenants", _OF_CALLS),
        _of_labels("models", "Models", _OF_CALLS),
        _of_labels("versions", "Versions", _OF_CALLS),
        _of_labels("kinds", "Kinds of signals", _OF_SIGNALS),
        _of_labels("signals", "Signals", _OF_SIGNALS),
        Menu("slos", "SLOs", _OF_REGISTRY, _slos),
        Menu("owners", "Owners", _OF_REGISTRY, _owners),
    )
}
