"""Links from a table's row to the board about that row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from modelplane_dashboards.board import Link
from modelplane_schema.uids import FLEET_UID, dashboard_uid

_VALUE = "${__value.raw:percentencode}"
_CONTEXT = ("${datasource:queryparam}", "${__url_time_range}")


def row_links(
    kind: Literal["tenant", "model"], names: Iterable[str], context: Mapping[str, str]
) -> tuple[Link, ...]:
    """Links for a cell that holds the name of a tenant or model.

    Grafana cannot compute a uid from a cell, so the link to the row's own board exists only where the
    uid of each of ``names`` is the name itself. The link to the fleet board, filtered by its variable,
    works for every name. ``context`` maps further variables to encoded values or to Grafana's variables.
    """
    parameters = [f"var-{variable}={value}" for variable, value in context.items()]
    fleet = Link(
        f"Fleet board with this {kind} only",
        _address(FLEET_UID, [f"var-{kind}={_VALUE}", *parameters]),
    )
    if not all(dashboard_uid(kind, name) == f"mp-{kind}-{name}" for name in names):
        return (fleet,)
    return (Link(f"Board of this {kind}", _address(f"mp-{kind}-{_VALUE}", parameters)), fleet)


def _address(uid: str, parameters: list[str]) -> str:
    return f"/d/{uid}?{'&'.join((*parameters, *_CONTEXT))}"
