"""Selections of episodes and incidents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from modelplane_datasource.alerts.episodes import STATUSES, columnar
from modelplane_datasource.alerts.incidents import IncidentRules
from modelplane_datasource.alerts.tables import EPISODES
from modelplane_schema.alerts import PROBE_ALERT

_NEVER = 2**62
_NO_PROBE = EPISODES.c.alertname != PROBE_ALERT

Query = sa.Select[Any]


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts to list. Empty tuples select all; times in milliseconds select what overlaps them."""

    tenant_ids: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    alertnames: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents to list. ``groups`` are keys of a tenant and model."""

    tenant_ids: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    limit: int = 100


def select_alerts(wanted: AlertFilter, tenants: tuple[str, ...] | None) -> Query:
    """Episodes, the newest start first."""
    columns = EPISODES.c
    query = (
        sa.select(EPISODES)
        .where(*_conditions(wanted.tenant_ids, wanted.model_names, tenants))
        .order_by(columns.starts_at.desc(), columns.fingerprint, columns.alert_key)
        .limit(wanted.limit)
    )
    for column, values in ((columns.status, wanted.statuses), (columns.alertname, wanted.alertnames)):
        if values:
            query = query.where(column.in_([columnar(value) for value in values]))
    if wanted.start is not None:
        query = query.where(sa.or_(columns.ends_at.is_(None), columns.ends_at >= wanted.start))
    if wanted.end is not None:
        query = query.where(columns.starts_at <= wanted.end)
    return query


def select_incidents(wanted: IncidentFilter, rules: IncidentRules, tenants: tuple[str, ...] | None) -> Query:
    """The episodes of incidents, with ``incident_at``, ``incident_end`` and ``recent_starts``.

    Probe alerts belong to none. The newest incident comes first. Incidents are whole: one that touches the
    time of the filter has its episodes outside of it, too.
    """
    visible = [*_conditions(wanted.tenant_ids, wanted.model_names, tenants), _NO_PROBE]
    chosen = _incidents(_with_incident_number(_with_end_before(wanted, visible), rules), wanted)
    starts = EPISODES.alias()
    recent = sa.select(sa.func.count()).where(
        starts.c.alert_key == EPISODES.c.alert_key,
        starts.c.starts_at.between(EPISODES.c.starts_at - rules.flap_window, EPISODES.c.starts_at),
    )
    return (
        sa.select(
            EPISODES,
            chosen.c.incident_at,
            chosen.c.incident_end,
            recent.correlate(EPISODES).scalar_subquery().label("recent_starts"),
        )
        .join(
            chosen,
            sa.and_(
                EPISODES.c.group_key == chosen.c.group_key,
                EPISODES.c.starts_at.between(chosen.c.incident_at, chosen.c.incident_end),
            ),
        )
        # The key is a digest, and what somebody may see must not hang on that.
        .where(*visible)
        .order_by(
            chosen.c.incident_at.desc(), EPISODES.c.group_key, EPISODES.c.starts_at, EPISODES.c.alert_key
        )
    )


def _with_end_before(wanted: IncidentFilter, visible: list[sa.ColumnElement[bool]]) -> sa.CTE:
    """Episodes with the latest end of those before them in their tenant and model."""
    columns = EPISODES.c
    groups = sa.select(columns.group_key).where(
        *visible,
        *([columns.group_key.in_(wanted.groups)] if wanted.groups else ()),
    )
    until = sa.func.coalesce(columns.ends_at, _NEVER).label("until")
    end_before = sa.func.max(until).over(
        partition_by=columns.group_key, order_by=(columns.starts_at, columns.alert_key), rows=(None, -1)
    )
    return (
        sa.select(
            columns.group_key,
            columns.starts_at,
            columns.alert_key,
            until,
            _status_rank().label("status_rank"),
            end_before.label("end_before"),
        )
        .where(columns.group_key.in_(groups), _NO_PROBE)
        .cte("ordered")
    )


def _with_incident_number(ordered: sa.CTE, rules: IncidentRules) -> sa.CTE:
    """Episodes with the number of their incident: it grows where the gap is too long."""
    columns = ordered.c
    begins = sa.case((columns.starts_at - columns.end_before <= rules.gap, 0), else_=1)
    number = sa.func.sum(begins).over(
        partition_by=columns.group_key, order_by=(columns.starts_at, columns.alert_key), rows=(None, 0)
    )
    return sa.select(ordered, number.label("number")).cte("numbered")


def _incidents(numbered: sa.CTE, wanted: IncidentFilter) -> sa.CTE:
    """Start and end of the incidents that match, the newest."""
    columns = numbered.c
    start, end = sa.func.min(columns.starts_at), sa.func.max(columns.until)
    incidents = (
        sa.select(columns.group_key, start.label("incident_at"), end.label("incident_end"))
        .group_by(columns.group_key, columns.number)
        .order_by(start.desc(), columns.group_key)
        .limit(wanted.limit)
    )
    if wanted.statuses:
        status = sa.func.min(columns.status_rank)
        incidents = incidents.having(status.in_([_rank(status) for status in wanted.statuses]))
    if wanted.start is not None:
        incidents = incidents.having(end >= wanted.start)
    if wanted.end is not None:
        incidents = incidents.having(start <= wanted.end)
    return incidents.cte("incidents")


def _status_rank() -> sa.Case[int]:
    ranks = ((EPISODES.c.status == status, _rank(status)) for status in STATUSES)
    return sa.case(*ranks, else_=len(STATUSES))


def _rank(status: str) -> int:
    return [*STATUSES].index(status)  # type: ignore[arg-type]


def _conditions(
    tenant_ids: tuple[str, ...], model_names: tuple[str, ...], tenants: tuple[str, ...] | None
) -> list[sa.ColumnElement[bool]]:
    """Conditions of the filter, and of what the caller may see."""
    selected = ((EPISODES.c.tenant_id, tenant_ids), (EPISODES.c.model_name, model_names))
    conditions: list[sa.ColumnElement[bool]] = [
        column.in_([columnar(value) for value in values]) for column, values in selected if values
    ]
    if tenants is not None:
        conditions.append(EPISODES.c.tenant_id.in_([columnar(tenant) for tenant in tenants]))
    return conditions
