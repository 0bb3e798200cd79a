"""The ledger of a window, and its series: what a request about cost may say."""

from __future__ import annotations

from typing import Any

from modelplane_datasource.cost_samples import read_samples
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.grid import Grid
from modelplane_datasource.ledger.allocation import MICRO
from modelplane_datasource.ledger.book import build_ledger
from modelplane_datasource.ledger.cells import DAY, DEFAULT_CELL, Window, snapped
from modelplane_datasource.ledger.lines import DIRECT, SIGNS, Ledger, Policy
from modelplane_datasource.ledger.prices import tariff_of
from modelplane_datasource.ledger.rows import CostRow, cost_rows
from modelplane_datasource.parameters import Parameter, choice, label_text
from modelplane_datasource.plane import Plane
from modelplane_datasource.scope import Scope
from modelplane_datasource.series import Answer, Series
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import Registry

LONGEST_RANGE = 92 * DAY
GROUPS = ("tenant", "model", "version", "framework", "device_type")
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
    choice("keep", "proportional", "even"), default="keep",
)  # fmt: skip
SHARED = Parameter(
    "shared", "Whether charges of several processes beyond a device's time are scaled to it.", "keep, scale",
    choice("keep", "scale"), default="keep",
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


def window_of(start: int, end: int) -> Window:
    """The whole cells of a range; ApiError 400 when there is none, 422 when there are too many."""
    if end - start > LONGEST_RANGE:
        raise ApiError(
            422, "range_too_large", f"A range of costs holds at most {LONGEST_RANGE // DAY} days.",
            {"parameter": "from", "max_days": LONGEST_RANGE // DAY},
        )  # fmt: skip
    try:
        return snapped(start, end, DEFAULT_CELL)
    except ValueError as error:
        raise invalid("to", "leaves no whole cell of 5 minutes", "at least 5 minutes after from") from error


def ledger_of(plane: Plane, window: Window, idle: str, shared: str) -> Ledger:
    """The ledger of a window, of every identity. ApiError, UpstreamError."""
    registry = required_registry(plane)
    samples = read_samples(plane.prometheus, window, plane.scrape_interval)
    policy = Policy(idle=idle, shared=shared)  # type: ignore[arg-type]
    return build_ledger(window, samples, tariff_of(registry.devices, registry.models), policy)


def chosen_rows(ledger: Ledger, scope: Scope, step: int | None) -> tuple[CostRow, ...]:
    """Rows of the models, tenants and versions asked for, grouped as asked.

    Without any of them also what belongs to nobody: idle, unknown and over, capacity.
    """
    by = scope.options[GROUP_BY.name]
    asked = {"model": scope.models, "tenant": scope.tenants, "version": scope.versions}
    wanted = {label: values for label, values in asked.items() if values}
    fine = tuple(dict.fromkeys((*by, *wanted)))
    rows = cost_rows(ledger, fine, step)
    if not wanted:
        return rows
    kept = [
        row for row in rows if all(row.group[fine.index(label)] in values for label, values in wanted.items())
    ]
    return _regrouped(kept, len(by))


def _regrouped(rows: list[CostRow], labels: int) -> tuple[CostRow, ...]:
    """Rows by their first ``labels`` labels."""
    sums: dict[tuple[Any, ...], CostRow] = {}
    for row in rows:
        key = (row.start, row.end, row.group[:labels], row.kind, row.unit, row.currency)
        before = sums.get(key)
        quantity = row.quantity + (before.quantity if before else 0)
        amount = None if row.amount is None else row.amount + ((before.amount or 0) if before else 0)
        sums[key] = CostRow(
            row.start, row.end, row.group[:labels], row.kind, row.unit, quantity, row.currency, amount
        )
    return tuple(sums.values())


def compute(plane: Plane, scope: Scope, grid: Grid) -> Answer:
    """Cost of each group in each step: series whose values add up to the cost of all capacity.

    A step holds whole cells, so it may be larger than asked for. What is unpriced has no value, and its
    quantity beside.
    """
    step = next((step for step in _STEPS if step >= grid.step), -(-grid.step // DAY) * DAY)
    start = grid.start - grid.start % step
    window = window_of(start, grid.end)
    ledger = ledger_of(plane, window, scope.options[IDLE_POLICY.name], scope.options[SHARED.name])
    rows = [row for row in chosen_rows(ledger, scope, step) if SIGNS[row.kind]]
    own = Grid(start, window.end - 1, step)
    return Answer(own, tuple(_lines(rows, scope, own)), tuple(ledger.warnings))


def _lines(rows: list[CostRow], scope: Scope, grid: Grid) -> list[Series]:
    by_line: dict[tuple[Any, ...], dict[int, CostRow]] = {}
    for row in rows:
        key = (row.group, row.kind, row.currency, row.unit)
        by_line.setdefault(key, {})[row.start - row.start % grid.step] = row
    ordered = sorted(by_line.items(), key=lambda item: tuple(map(str, item[0])))
    return [_line(key, found, scope, grid) for key, found in ordered]


def _line(key: tuple[Any, ...], found: dict[int, CostRow], scope: Scope, grid: Grid) -> Series:
    group, kind, currency, unit = key
    by = scope.options[GROUP_BY.name]
    labels = {label: value or "" for label, value in zip(by, group, strict=True)}
    who = [value for value in group if value]
    what = [] if kind == DIRECT and who else [kind]
    state = "priced" if currency else "unpriced"
    rows = [found.get(instant) for instant in grid.times]
    return Series(
        " ".join([*who, *what, *([] if currency else [state])]),
        {
            **labels,
            "kind": kind,
            "unit": unit,
            "currency": currency or "",
            "state": state,
        },
        tuple(_amount(row, kind) for row in rows),
        {"quantity": tuple(None if row is None else _quantity(row) for row in rows)},
    )


def _amount(row: CostRow | None, kind: str) -> float | None:
    if row is None or row.amount is None:
        return None
    return SIGNS[kind] * row.amount / MICRO


def _quantity(row: CostRow) -> float:
    return row.quantity if row.kind in TOKEN_KINDS else row.quantity / MICRO
