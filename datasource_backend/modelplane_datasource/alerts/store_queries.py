"""Selections of episodes and incidents. Those with an ``offset`` are pages of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa

from modelplane_datasource.alerts.episodes import STATUSES, columnar
from modelplane_datasource.alerts.incidents import SEVERITIES, IncidentRules
from modelplane_datasource.alerts.tables import EPISODES
from modelplane_schema.alerts import PROBE_ALERT, WATCHDOG

IncidentOrder = Literal["newest", "worst"]
NEWEST, WORST = INCIDENT_ORDERS = get_args(IncidentOrder)
_NEVER = 2**62
_ABOUT_A_MODEL = EPISODES.c.alertname.not_in([PROBE_ALERT, WATCHDOG.name])

Query = sa.Select[Any]


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts to list. Empty tuples select all; times in milliseconds select what overlaps them.

    A list has at most ``limit`` of them, after the first ``offset``.
    """

    tenant_ids: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    alertnames: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents to list, as ``AlertFilter``. ``groups`` are keys of a tenant and model."""

    tenant_ids: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    limit: int = 100
    offset: int = 0
    order: IncidentOrder = NEWEST


def select_alerts(wanted: AlertFilter, tenants: tuple[str, ...] | None) -> Query:
    """Episodes, the newest start first."""
    columns = EPISODES.c
    return (
        sa.select(EPISODES)
        .where(*_alert_conditions(wanted, tenants))
        .order_by(columns.starts_at.desc(), columns.fingerprint, columns.alert_key)
        .limit(wanted.limit)
        .offset(wanted.offset)
    )


def count_alerts(wanted: AlertFilter, tenants: tuple[str, ...] | None) -> Query:
    """How many episodes there are on all pages."""
    return sa.select(sa.func.count()).select_from(EPISODES).where(*_alert_conditions(wanted, tenants))


def select_incidents(wanted: IncidentFilter, rules: IncidentRules, tenants: tuple[str, ...] | None) -> Query:
    """The episodes of incidents, with ``incident_at``, ``incident_end`` and ``recent_starts``.

    Probes and the watchdog belong to none. Incidents are whole: one that touches the time of the filter has
    its episodes outside of it, too. ``total`` says how many incidents there are on all pages.
    """
    visible = [*_conditions(wanted.tenant_ids, wanted.model_names, tenants), _ABOUT_A_MODEL]
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
            chosen.c.total,
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
        .order_by(*_incident_order(chosen, wanted.order), EPISODES.c.starts_at, EPISODES.c.alert_key)
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
            _rank(columns.status, tuple(STATUSES)).label("status_rank"),
            _rank(columns.severity, SEVERITIES).label("severity_rank"),
            end_before.label("end_before"),
        )
        .where(columns.group_key.in_(groups), _ABOUT_A_MODEL)
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
    """Start, end and ranks of the incidents that match: those of a page, and how many there are in all."""
    columns = numbered.c
    start, end = sa.func.min(columns.starts_at), sa.func.max(columns.until)
    status = sa.func.min(columns.status_rank)
    incidents = sa.select(
        columns.group_key,
        start.label("incident_at"),
        end.label("incident_end"),
        status.label("status_rank"),
        sa.func.min(columns.severity_rank).label("severity_rank"),
        sa.func.count().over().label("total"),
    ).group_by(columns.group_key, columns.number)
    if wanted.statuses:
        ranks = [rank for rank, name in enumerate(STATUSES) if name in wanted.statuses]
        incidents = incidents.having(status.in_(ranks))
    if wanted.start is not None:
        incidents = incidents.having(end >= wanted.start)
    if wanted.end is not None:
        incidents = incidents.having(start <= wanted.end)
    matching = incidents.subquery("matching")
    return (
        sa.select(matching)
        .order_by(*_incident_order(matching, wanted.order))
        .limit(wanted.limit)
        .offset(wanted.offset)
        .cte("incidents")
    )


def _incident_order(incidents: sa.FromClause, order: IncidentOrder) -> tuple[sa.ColumnElement[Any], ...]:
    """The newest first; ``worst``: before that the open ones, and among these the most severe."""
    columns = incidents.c
    by_start = (columns.incident_at.desc(), columns.group_key)
    return by_start if order == NEWEST else (columns.status_rank, columns.severity_rank, *by_start)


def _rank(column: sa.Column[str], names: tuple[str, ...]) -> sa.Case[int]:
    """The place of a value in ``names``; others come last."""
    return sa.case(*((column == name, rank) for rank, name in enumerate(names)), else_=len(names))


def _alert_conditions(wanted: AlertFilter, tenants: tuple[str, ...] | None) -> list[sa.ColumnElement[bool]]:
    columns = EPISODES.c
    conditions = _conditions(wanted.tenant_ids, wanted.model_names, tenants)
    for column, values in ((columns.status, wanted.statuses), (columns.alertname, wanted.alertnames)):
        if values:
            conditions.append(column.in_([columnar(value) for value in values]))
    if not wanted.alertnames:  # it fires always, and would stand first on every list
        conditions.append(columns.alertname != WATCHDOG.name)
    if wanted.start is not None:
        conditions.append(sa.or_(columns.ends_at.is_(None), columns.ends_at >= wanted.start))
    if wanted.end is not None:
        conditions.append(columns.starts_at <= wanted.end)
    return conditions


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
