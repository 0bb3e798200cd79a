"""The ledger of a window, from the registry and the samples of Prometheus."""

from __future__ import annotations

from modelplane_datasource.context import Plane
from modelplane_datasource.costs.ledger.builder import build_ledger
from modelplane_datasource.costs.ledger.cells import DAY, DEFAULT_CELL, Window, snapped
from modelplane_datasource.costs.ledger.lines import Ledger, Policy
from modelplane_datasource.costs.ledger.prices import tariff_of
from modelplane_datasource.costs.samples import read_samples
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.prometheus.decoding import INVALID, UpstreamError
from modelplane_schema.registry import Registry

LONGEST_RANGE = 92 * DAY
MOST_LEAVES = 60_000_000  # identities on devices times cells; 20 bytes each


def required_registry(plane: Plane) -> Registry:
    """The registry; ApiError 422 when the backend has none."""
    if plane.registry is None:
        raise ApiError(
            422,
            "no_registry",
            "Costs need the registry's devices and prices: set MODELPLANE_DATASOURCE_REGISTRY_FILE.",
            {"setting": "registry_file"},
        )
    return plane.registry


def window_of(start: int, end: int, now: int, longest: int = LONGEST_RANGE) -> Window:
    """The whole cells of a range that are over; ApiError 400 when there is none, 422 when there are too many.

    What is to come has no cost yet, though its devices will be there.
    """
    if end - start > longest:
        raise ApiError(
            422, "range_too_large", f"A range of costs holds at most {LONGEST_RANGE // DAY} days.",
            {"parameter": "from", "max_days": LONGEST_RANGE // DAY},
        )  # fmt: skip
    try:
        return snapped(start, min(end, now), DEFAULT_CELL)
    except ValueError as error:
        raise invalid(
            "to",
            "leaves no whole cell of 5 minutes that is over",
            "at least 5 minutes after from, which is not in the last 5 minutes or later",
        ) from error


def ledger_of(plane: Plane, window: Window, idle: str, shared: str) -> Ledger:
    """The ledger of a window, of every identity. ApiError, UpstreamError."""
    registry = required_registry(plane)
    policy = Policy(idle=idle, shared=shared)  # type: ignore[arg-type]
    return plane.kept(
        ("ledger", window, policy),
        window.cell / 1000,
        lambda: _build(plane, registry, window, policy),
        lambda ledger: ledger.bytes,
        for_everyone=True,
    )


def _build(plane: Plane, registry: Registry, window: Window, policy: Policy) -> Ledger:
    tariff = tariff_of(registry.devices, registry.models)
    try:
        samples = read_samples(plane.prometheus, window, plane.scrape_interval, bool(tariff.tokens))
        devices, tokens = ({one.key for one in own} for own in (samples.device_seconds, samples.tokens))
        _check_leaves(len(devices) + len(tokens), window)
        return build_ledger(window, samples, tariff, policy)
    except ValueError as error:
        raise UpstreamError(INVALID, f"What Prometheus holds cannot be charged: {error}.") from error


def _check_leaves(keys: int, window: Window) -> None:
    if keys * len(window) > MOST_LEAVES:
        raise ApiError(
            422,
            "range_too_large",
            f"The range has {keys} identities on devices in {len(window)} cells of 5 minutes, and at most "
            f"{MOST_LEAVES} of both together are allowed: ask for a shorter one.",
            {"parameter": "from", "identities": keys, "max_cells": MOST_LEAVES // keys},
        )
