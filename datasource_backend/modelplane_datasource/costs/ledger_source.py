"""The ledger of a time range, from the registry and the samples of Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelplane_datasource.context import AppContext
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import DEFAULT_CELL, CellGrid, snapped
from modelplane_datasource.costs.ledger.lines import Ledger, Policy
from modelplane_datasource.costs.ledger.prices import Tariff, tariff_of
from modelplane_datasource.costs.ledger.usage import ScrapeTiming
from modelplane_datasource.costs.parameters import IDLE_POLICY, SHARED
from modelplane_datasource.costs.samples import read_samples
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.prometheus.errors import INVALID, REASON_FOR_OPERATORS, UpstreamError
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import DAY
from modelplane_datasource.web.parameters import Parameter
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import Registry, TokenPrice

LONGEST_RANGE = 92 * DAY
MAX_LEAVES = 60_000_000  # identities on devices times cells; 20 bytes each


def required_registry(context: AppContext) -> Registry:
    """The registry; ApiError 422 when the backend has none."""
    if context.registry is None:
        raise ApiError(
            422,
            "no_registry",
            "Costs need the registry's devices and prices: set MODELPLANE_DATASOURCE_REGISTRY_FILE.",
            {"setting": "registry_file"},
        )
    return context.registry


def cells_of(time_range: TimeRange, now: int, longest: int = LONGEST_RANGE) -> CellGrid:
    """The whole cells of a range that are over; ApiError 400 when there is none, 422 when there are too many.

    What is to come has no cost yet, though its devices will be there.
    """
    if time_range.length > longest:
        raise ApiError(
            422, "range_too_large", f"A range of costs holds at most {LONGEST_RANGE // DAY} days.",
            {"parameter": "from", "max_days": LONGEST_RANGE // DAY},
        )  # fmt: skip
    try:
        return snapped(time_range.start, min(time_range.end, now), DEFAULT_CELL)
    except ValueError as error:
        raise invalid(
            "to",
            "leaves no whole cell of 5 minutes that is over",
            "at least 5 minutes after from, which is not in the last 5 minutes or later",
        ) from error


def ledger_of(context: AppContext, cells: CellGrid, options: Mapping[str, str | None]) -> Ledger:
    """The ledger of ``cells``, of every identity, by the policies that ``options`` of a request name.

    ApiError, which is 403 for a policy that is not the caller's to choose, UpstreamError.
    """
    registry = required_registry(context)
    policy = Policy(
        idle=permitted(IDLE_POLICY, options, "idle_policy", context.settings.idle_policy),
        shared=permitted(SHARED, options, "shared_policy", context.settings.shared_policy),
    )
    return _cached(context, registry, cells, policy)


def token_ledger_of(context: AppContext, cells: CellGrid) -> Ledger:
    """The ledger of ``cells`` in which idle time is nobody's, with the tokens of all models.

    Those of a model without token prices have no price. ApiError, UpstreamError.
    """
    policy = Policy("keep", "scale" if context.settings.shared_policy == "scale" else "keep")
    return _cached(context, required_registry(context), cells, policy, of_all_models=True)


def _cached(
    context: AppContext, registry: Registry, cells: CellGrid, policy: Policy, *, of_all_models: bool = False
) -> Ledger:
    """``of_all_models``: with tokens of models that have no token prices."""
    return context.cached(
        ("ledger", cells, policy, of_all_models),
        cells.cell / 1000,
        lambda: _build(context, registry, cells, policy, of_all_models=of_all_models),
        lambda ledger: ledger.bytes,
        for_everyone=True,
    )


def permitted(
    parameter: Parameter[str], options: Mapping[str, str | None], setting: str, configured: str
) -> Any:
    """The policy that a request names, else the ``configured`` one; ApiError 403.

    Those who see some tenants alone may name no other: of two policies the difference is others' use.
    """
    requested = options.get(parameter.name)
    if requested not in (None, configured) and current_tenants() is not None:
        raise ApiError(
            403,
            "forbidden",
            f"{parameter.name}={requested} would tell what other tenants use; allowed for this token: "
            f"{configured}, which is the server's setting {setting}.",
            {"parameter": parameter.name, "allowed": [configured], "setting": setting},
        )
    return requested or configured


def _build(
    context: AppContext, registry: Registry, cells: CellGrid, policy: Policy, *, of_all_models: bool
) -> Ledger:
    tariff = tariff_of(registry.devices, registry.models)
    with_tokens = of_all_models or bool(tariff.tokens)
    try:
        samples = read_samples(context.prometheus, cells, _timing(context), context.now(), with_tokens)
        if of_all_models:
            samples, tariff = _of_all_models(samples, tariff)
        device_uses = {series.key for series in samples.device_seconds}
        token_uses = {series.key for series in samples.tokens}
        _check_leaves(len(device_uses) + len(token_uses), cells)
        return build_ledger(cells, samples, tariff, policy)
    except ValueError as error:
        refused = "What Prometheus holds cannot be charged"
        raise UpstreamError(INVALID, f"{refused}: {REASON_FOR_OPERATORS}.", f"{refused}: {error}.") from error


def _of_all_models(samples: Samples, tariff: Tariff) -> tuple[Samples, Tariff]:
    """A tariff that has every model of ``samples``, and these without kinds that no such model declares."""
    tokens = tuple(
        series
        for series in samples.tokens
        if series.key.kind in TOKEN_KINDS or series.key.identity.model_name in tariff.tokens
    )
    unpriced: dict[str, Sequence[TokenPrice]] = {series.key.identity.model_name: () for series in tokens}
    return replace(samples, tokens=tokens), replace(tariff, tokens=unpriced | dict(tariff.tokens))


def _timing(context: AppContext) -> ScrapeTiming:
    lookback = round(1000 * context.settings.lookback_seconds)
    return ScrapeTiming(context.scrape_interval, max(lookback, 2 * context.scrape_interval))


def _check_leaves(keys: int, cells: CellGrid) -> None:
    if keys * len(cells) > MAX_LEAVES:
        raise ApiError(
            422,
            "range_too_large",
            "The range holds more use of devices than is allowed: ask for a shorter one.",
            {"parameter": "from"},
            operator_message=(
                f"The range has {keys} identities on devices in {len(cells)} cells of 5 minutes, and at "
                f"most {MAX_LEAVES} of both together are allowed: ask for a shorter one."
            ),
            operator_details={"identities": keys, "max_cells": MAX_LEAVES // keys},
        )
