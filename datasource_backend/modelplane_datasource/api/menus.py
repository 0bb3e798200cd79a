"""Menus: the values that a parameter may have, as far as the caller may see them.

Tenants, models and versions are those that were called and those that the registry declares; kinds and
signals are those of signals that were observed, objectives and owners are declared alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.parameters import KIND, SIGNAL
from modelplane_datasource.grafana.menus import variable_values
from modelplane_datasource.series.selection import MODEL, TENANT, VERSION
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.web.parameters import Parameter, Values
from modelplane_schema.registry import Model

TENANTS, MODELS, VERSIONS = "tenants", "models", "versions"
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


def _called_or_declared(
    name: str, context: AppContext, values: Mapping[str, Sequence[str]], time_range: TimeRange
) -> Sequence[str]:
    called = variable_values(context, name, values, time_range)
    return sorted({*called, *_declared(context, name, values)})


def _declared(context: AppContext, name: str, values: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Declared tenants, models or versions that ``values`` leave.

    A tenant does not know of versions that others alone call, and an operator sees what a tenant does.
    """
    tenants, versions = _selected_tenants(values), values.get(VERSION.name)
    if tenants is not None and (versions or name == VERSIONS):
        return ()
    models = [
        model
        for model in _visible_models(context, values)
        if not versions or any(declared.version in versions for declared in model.versions)
    ]
    if name == MODELS:
        return (model.name for model in models)
    if name == VERSIONS:
        declared = (version.version for model in models for version in model.versions)
        return (version for version in declared if not versions or version in versions)
    if versions or values.get(MODEL.name):
        served: Iterable[str] = (tenant for model in models for tenant in model.tenants)
    else:
        served = (tenant.id for tenant in (context.registry.tenants if context.registry else ()))
    return (tenant for tenant in served if tenants is None or tenant in tenants)


def _selected_tenants(values: Mapping[str, Sequence[str]]) -> frozenset[str] | None:
    """Those that are named, or all of the caller's; None for everyone."""
    tenants = values.get(TENANT.name, current_tenants())
    return None if tenants is None else frozenset(tenants)


def _visible_models(context: AppContext, values: Mapping[str, Sequence[str]]) -> list[Model]:
    """Declared models that a selected tenant of the caller uses; none without a registry."""
    names, tenants = values.get(MODEL.name), _selected_tenants(values)
    return [
        model
        for model in (context.registry.models if context.registry else ())
        if (not names or model.name in names) and (tenants is None or not tenants.isdisjoint(model.tenants))
    ]


_OF_CALLS = (MODEL, TENANT, VERSION)
_OF_SIGNALS = (*_OF_CALLS, KIND, SIGNAL)
_OF_REGISTRY = (MODEL, TENANT)


MENUS: Mapping[str, Menu] = {
    menu.name: menu
    for menu in (
        Menu(TENANTS, "Tenants", _OF_CALLS, partial(_called_or_declared, TENANTS)),
        Menu(MODELS, "Models", _OF_CALLS, partial(_called_or_declared, MODELS)),
        Menu(VERSIONS, "Versions", _OF_CALLS, partial(_called_or_declared, VERSIONS)),
        Menu("kinds", "Kinds of signals", _OF_SIGNALS, partial(_label_values, "kinds")),
        Menu("signals", "Signals", _OF_SIGNALS, partial(_label_values, "signals")),
        Menu("slos", "SLOs", _OF_REGISTRY, _slos),
        Menu("owners", "Owners", _OF_REGISTRY, _owners),
    )
}
