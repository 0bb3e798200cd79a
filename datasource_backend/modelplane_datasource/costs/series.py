"""The ledger of a window, and its series: what a request about cost may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from modelplane_datasource.context import Plane
from modelplane_datasource.costs.ledger.allocation import IDLE_POLICIES, MICRO, SHARED_POLICIES
from modelplane_datasource.costs.ledger.builder import build_ledger
from modelplane_datasource.costs.ledger.cells import DAY, DEFAULT_CELL, Window, snapped
from modelplane_datasource.costs.ledger.lines import DIRECT, KINDS, SIGNS, Ledger, Line, Policy
from modelplane_datasource.costs.ledger.prices import tariff_of
from modelplane_datasource.costs.ledger.report import CostRow, GroupBy, cost_rows, group_of
from modelplane_datasource.costs.samples import read_samples
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.prometheus.decoding import INVALID, UpstreamError
from modelplane_datasource.series.model import Answer, Series
from modelplane_datasource.series.selection import Scope
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.web.parameters import Parameter, choice, label_text
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import Registry

LONGEST_RANGE = 92 * DAY
MOST_LEAVES = 60_000_000  # identities on devices times cells; 20 bytes each
GROUPS: tuple[GroupBy, ...] = ("tenant", "model", "version", "framework", "device_type")
# Steps that hold whole cells and divide a day.
_STEPS = tuple(minutes * 60_000 for minutes in (5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440))

MODEL = Parameter(
    "model-name", "Model; every one when it is left out.", "the name of a model, repeatable", label_text,
    repeated=True,
)  # fmt: skip
TENANT = Parameter(
    "tenant-id", "Tenant; every one when it is left out.", "the id of a tenant, repeatable", label_text,
    repeated=True,
)  # fmt: skip
VERSION = Parameter(
    "model-version", "Version; every one when it is left out.", "a version of the model, repeatable",
    label_text, repeated=True,
)  # fmt: skip
GROUP_BY = Parameter(
    "group-by", "What costs are told apart by.", f"{', '.join(GROUPS)}; repeatable", choice(*GROUPS),
    repeated=True, default="tenant",
)  # fmt: skip
IDLE_POLICY = Parameter(
    "idle", "Who is charged for idle time.", "keep (nobody), proportional, even",
    choice(*IDLE_POLICIES), default="keep",
)  # fmt: skip
SHARED = Parameter(
    "shared", "Whether charges of several processes beyond a device's time are scaled to it.", "keep, scale",
    choice(*SHARED_POLICIES), default="keep",
)  # fmt: skip
COST_SCOPE: tuple[Parameter[str], ...] = (MODEL, TENANT, VERSION)
COST_OPTIONS: tuple[Parameter[Any], ...] = (GROUP_BY, IDLE_POLICY, SHARED)


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


def groups_of(scope: Scope) -> tuple[GroupBy, ...]:
    """The labels by which costs are told apart, each once."""
    return tuple(dict.fromkeys(scope.options[GROUP_BY.name]))


def chosen_rows(ledger: Ledger, scope: Scope, step: int | None, most: int) -> tuple[CostRow, ...]:
    """Rows of the models, tenants and versions asked for, grouped as asked.

    Without any of them also what belongs to nobody: idle, unknown and over, capacity. ApiError 422 when there
    may be more than ``most`` rows.
    """
    by = groups_of(scope)
    lines = tuple(line for line in ledger.lines if is_asked(line, scope))
    groups = {(group_of(line, by), line.kind) for line in lines}
    check_rows(len(groups) * len(ledger.window.first_of_each(step)), most)
    return cost_rows(replace(ledger, lines=lines), by, step)


def check_rows(rows: int, most: int) -> None:
    """ApiError 422 when an answer may have more than ``most`` rows."""
    if rows > most:
        raise ApiError(
            422,
            "too_many_rows",
            f"The answer may have {rows} rows, and at most {most} are allowed: "
            "ask for a larger step, a shorter range, fewer groups or one tenant.",
            {"rows": rows, "max_rows": most},
        )


def is_asked(line: Line, scope: Scope) -> bool:
    """Whether a line is of the models, tenants and versions asked for; without any of them each is."""
    who = line.identity
    if who is None:
        return not (scope.models or scope.tenants or scope.versions)
    asked = (
        (who.model_name, scope.models),
        (who.tenant_id, scope.tenants),
        (who.model_version, scope.versions),
    )
    return all(value in values for value, values in asked if values)


def compute(plane: Plane, scope: Scope, grid: Grid) -> Answer:
    """Cost of each group in each step: series whose values add up to the cost of all capacity.

    A step holds whole cells, so it may be larger than asked for. One point stands for the step before it, as
    it does for a rate. What is unpriced has no value, and its quantity beside.
    """
    step, window = _steps(grid, plane.now())
    ledger = ledger_of(plane, window, scope.options[IDLE_POLICY.name], scope.options[SHARED.name])
    own = Grid(window.start, window.end - 1, step or window.end - window.start)
    rows = chosen_rows(ledger, scope, step, plane.settings.max_points)
    return Answer(own, tuple(_lines((row for row in rows if SIGNS[row.kind]), scope, own)), ledger.warnings)


def _steps(grid: Grid, now: int) -> tuple[int | None, Window]:
    """The step, None where the window is one, and the window of a grid."""
    if len(grid) == 1:
        return None, window_of(grid.end - grid.step, grid.end, now)
    step = next((step for step in _STEPS if step >= grid.step), -(-grid.step // DAY) * DAY)
    return step, window_of(grid.start - grid.start % step, grid.end, now, LONGEST_RANGE + step)


class _Key(NamedTuple):
    """What tells series of cost apart."""

    group: tuple[str | None, ...]
    kind: str
    currency: str | None
    unit: str

    @property
    def name(self) -> str:
        """How people call it: a direct charge by its group, unless that reads as a kind of charge."""
        who = " ".join(value for value in self.group if value)
        what = "" if self.kind == DIRECT and who and who not in KINDS else self.kind
        return " ".join(part for part in (who, what, "" if self.currency else "unpriced") if part)


def _lines(rows: Iterable[CostRow], scope: Scope, grid: Grid) -> list[Series]:
    by_line: dict[_Key, dict[int, CostRow]] = {}
    for row in rows:
        by_line.setdefault(_Key(row.group, row.kind, row.currency, row.unit), {})[row.start] = row
    names = Counter(key.name for key in by_line)
    ordered = sorted(by_line.items(), key=lambda item: tuple(map(str, item[0])))
    return [_line(key, names[key.name] > 1, found, scope, grid) for key, found in ordered]


def _line(key: _Key, ambiguous: bool, found: dict[int, CostRow], scope: Scope, grid: Grid) -> Series:
    rows = [found.get(instant) for instant in grid.times]
    return Series(
        f"{key.name} {key.currency}" if ambiguous and key.currency else key.name,
        {
            **{label: value or "" for label, value in zip(groups_of(scope), key.group, strict=True)},
            "kind": key.kind,
            "unit": key.unit,
            "currency": key.currency or "",
            "state": "priced" if key.currency else "unpriced",
        },
        tuple(_amount(row, key.kind) for row in rows),
        {"quantity": tuple(None if row is None else _quantity(row) for row in rows)},
    )


def _amount(row: CostRow | None, kind: str) -> float | None:
    if row is None or row.amount is None:
        return None
    return SIGNS[kind] * row.amount / MICRO


def _quantity(row: CostRow) -> float:
    return row.quantity if row.kind in TOKEN_KINDS else row.quantity / MICRO
