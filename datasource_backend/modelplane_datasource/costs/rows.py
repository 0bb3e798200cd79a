"""The rows of a ledger that a request selects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice

from modelplane_datasource.costs.ledger.lines import SIGNS, Ledger, Line
from modelplane_datasource.costs.ledger.report import CostRow, GroupBy, cost_rows, group_of
from modelplane_datasource.costs.parameters import GROUP_BY
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.notices import Notice
from modelplane_schema.identity import Identity


def groups_of(selection: Selection) -> tuple[GroupBy, ...]:
    """The labels by which costs are grouped, each once."""
    return tuple(dict.fromkeys(selection.options[GROUP_BY.name]))


def selected_rows(
    ledger: Ledger, selection: Selection, step: int | None, max_rows: int
) -> tuple[CostRow, ...]:
    """Rows of the selected models, tenants and versions, in the groups of the selection.

    Without any of them also what belongs to nobody: idle, unknown and over, capacity. ApiError 422 when there
    may be more than ``max_rows``.
    """
    by = groups_of(selection)
    lines = tuple(line for line in ledger.lines if is_selected(line, selection))
    groups = {(group_of(line, by), line.kind) for line in lines}
    check_rows(len(groups) * len(ledger.cells.first_of_each(step)), max_rows)
    return cost_rows(replace(ledger, lines=lines), by, step)


def dearest(rows: Iterable[CostRow], limit: int) -> tuple[CostRow, ...]:
    """The ``limit`` rows of each currency that cost most, the dearest first; amounts of two do not compare.

    Without what is only reported: capacity, and excess. Rows without a price come last, those of each unit by
    their quantity.
    """
    charged = [row for row in rows if SIGNS[row.kind]]
    charged.sort(key=lambda row: (row.currency is None, row.currency or row.unit, -_size(row)))
    by_currency = groupby(charged, key=lambda row: (row.currency, None if row.currency else row.unit))
    return tuple(row for _, of_currency in by_currency for row in islice(of_currency, limit))


def _size(row: CostRow) -> int:
    """What a row adds to the total, or its quantity where it has no price."""
    return SIGNS[row.kind] * (row.quantity if row.amount is None else row.amount)


def check_rows(rows: int, max_rows: int) -> None:
    """ApiError 422 when an answer may have more than ``max_rows``."""
    if rows > max_rows:
        raise ApiError(
            422,
            "too_many_rows",
            f"The answer may have {rows} rows, and at most {max_rows} are allowed: "
            "ask for a larger step, a shorter range, fewer groups or one tenant.",
            {"rows": rows, "max_rows": max_rows},
        )


def is_selected(line: Line, selection: Selection) -> bool:
    """Whether a line is of the selected models, tenants and versions; without any of them each is."""
    return is_everything(selection) if line.identity is None else _is_of(line.identity, selection)


def is_everything(selection: Selection) -> bool:
    """Whether no model, tenant or version is selected: what belongs to nobody is selected, too."""
    return not (selection.models or selection.tenants or selection.versions)


def notices_of(ledger: Ledger, selection: Selection) -> Iterator[Notice]:
    """The warnings about selected lines, each for the tenants of these; all of them with everything."""
    for warning in ledger.warnings:
        selected = [identity for identity in warning.identities if _is_of(identity, selection)]
        if selected or is_everything(selection):
            yield Notice(warning.text, {identity.tenant_id for identity in selected})


def _is_of(identity: Identity, selection: Selection) -> bool:
    selected = (
        (identity.model_name, selection.models),
        (identity.tenant_id, selection.tenants),
        (identity.model_version, selection.versions),
    )
    return all(value in values for value, values in selected if values)
