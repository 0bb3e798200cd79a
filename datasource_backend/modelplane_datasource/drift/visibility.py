"""Which signals a caller may see: those of its tenants, and common ones where the registry says so.

Common signals are those that are counted for all tenants together, as they are unless a model's team wants
each. ``drift.visible_to_tenants`` of a model shows them to its tenants, of the versions that these call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.parameters import CONFIDENCE_KIND, KIND
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.caller import also_permitted, current_tenants
from modelplane_datasource.tenancy.notices import Notice, note
from modelplane_schema.metrics import ALL_TENANTS
from modelplane_schema.registry import Registry

T = TypeVar("T")
SETTING = "models[].drift.visible_to_tenants"


def models_with_common_signals(registry: Registry | None, tenants: Iterable[str]) -> tuple[str, ...]:
    """Models that serve one of ``tenants`` and show their tenants the common signals."""
    callers = set(tenants)
    return tuple(
        model.name
        for model in (() if registry is None else registry.models)
        if model.drift.visible_to_tenants and not callers.isdisjoint(model.tenants)
    )


def of_visible_signals(
    context: AppContext, selection: Selection, read: Callable[[Selection], Sequence[T]]
) -> list[T]:
    """What ``read`` gives of all that the caller may see of a selection.

    ApiError 403 when that is nothing and there may be common signals: it says the same whether there are.
    """
    tenants = current_tenants()
    if tenants is None or ALL_TENANTS not in selection.tenants:
        return list(read(selection))
    visible = _visible(context.registry, tenants, selection)
    own = tuple(tenant for tenant in selection.tenants if tenant != ALL_TENANTS)
    results = list[T]()
    if visible:
        also_own = own if selection.models else ()
        with also_permitted((ALL_TENANTS,)):
            results += read(replace(selection, models=visible, tenants=(*also_own, ALL_TENANTS)))
    hidden = tuple(name for name in selection.models if name not in visible)
    if selection.models and not hidden:
        return results
    # No model stands for every model.
    of_own = read(replace(selection, models=hidden, tenants=own)) if own else ()
    if not of_own:
        _tell(hidden, has_others=bool(results))
    return [*results, *of_own]


def _visible(registry: Registry | None, tenants: Iterable[str], selection: Selection) -> tuple[str, ...]:
    """Models whose common signals the caller sees, among the selected ones; confidence has none."""
    if CONFIDENCE_KIND in selection.options[KIND.name]:
        return ()
    visible = models_with_common_signals(registry, tenants)
    return tuple(name for name in visible if not selection.models or name in selection.models)


def _tell(hidden: Sequence[str], has_others: bool) -> None:
    """Say that common signals are not shown: a notice beside other signals, else ApiError 403."""
    of_models = f" of {', '.join(hidden)[:200]}" if hidden else ""
    text = (
        f"There are no signals{of_models} of your tenants alone, and those of all tenants together are not "
        f"shown: {SETTING} in the registry is not true. Ask who runs the plane."
    )
    if not has_others:
        raise ApiError(403, "forbidden", text, {"models": list(hidden), "setting": SETTING})
    if hidden:
        note([Notice.for_everyone(text)])
