"""Silences: what keeps alerts from being notified for some time, and whose alerts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import orjson

from modelplane_datasource.alerts.episodes import canonical, columnar
from modelplane_schema.metrics import TENANT_ID
from modelplane_schema.promql import Matcher

SilenceStatus = Literal["active", "pending", "missing", "expired"]
SILENCE_STATUSES: tuple[SilenceStatus, ...] = get_args(SilenceStatus)
SILENCE_ID_PATTERN = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
NO_TENANT = ""
# How ``suppressed_by`` of an alert begins where it names a silence.
SILENCE_PREFIX = "silence "


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that fit all ``matchers`` are not notified from start to end, in milliseconds.

    ``by`` and ``comment`` say who wanted it and why.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    by: str
    comment: str

    @property
    def tenant_id(self) -> str:
        """The tenant whose alerts alone it can fit, ``NO_TENANT`` when its matchers do not say so."""
        required = {
            matcher.value if matcher.op == "=" else NO_TENANT
            for matcher in self.matchers
            if matcher.label == TENANT_ID
        }
        return required.pop() if len(required) == 1 else NO_TENANT

    def is_visible(self, tenants: tuple[str, ...] | None) -> bool:
        """Whether those may see it who may see ``tenants``, None for all of them."""
        return tenants is None or (self.tenant_id != NO_TENANT and self.tenant_id in tenants)


class Expiry(NamedTuple):
    """Somebody ended a silence before its time; ``at`` in milliseconds."""

    at: int
    by: str
    note: str


class SilenceRecord(NamedTuple):
    """A silence, how it was ended if it was, and what it does now."""

    silence: Silence
    expiry: Expiry | None
    status: SilenceStatus


def confined(matchers: Iterable[Matcher], tenant: str) -> tuple[Matcher, ...]:
    """``matchers`` that can fit alerts of ``tenant`` alone.

    ValueError when one of them is about the tenant and does not say just that.
    """
    required = Matcher(TENANT_ID, tenant)
    others = [matcher for matcher in matchers if matcher != required]
    if any(matcher.label == TENANT_ID for matcher in others):
        raise ValueError(f"one on {TENANT_ID} says something else than {required}")
    return (*others, required)


def records(
    listed: Iterable[Silence], stored: Iterable[tuple[Silence, Expiry | None]], now: int
) -> list[SilenceRecord]:
    """Each silence once, the newest start first: as Alertmanager lists it, else as it is stored.

    One that should be in force and that Alertmanager does not list is ``missing``.
    """
    current = {silence.id: silence for silence in listed}
    known = {silence.id: (silence, expiry) for silence, expiry in stored}
    merged = [
        _record(current.get(number) or known[number][0], known.get(number), now, number in current)
        for number in {**current, **known}
    ]
    return sorted(merged, key=lambda record: (-record.silence.starts_at, record.silence.id))


def _record(
    silence: Silence, stored: tuple[Silence, Expiry | None] | None, now: int, is_listed: bool
) -> SilenceRecord:
    expiry = stored[1] if stored else None
    if expiry is not None or silence.ends_at <= now:
        return SilenceRecord(silence, expiry, "expired")
    if not is_listed:
        return SilenceRecord(silence, None, "missing")
    return SilenceRecord(silence, None, "pending" if silence.starts_at > now else "active")


def silence_columns(silence: Silence) -> dict[str, Any]:
    """The columns of a table that say what a silence is."""
    return {
        "id": silence.id,
        "tenant_id": columnar(silence.tenant_id),
        "matchers": canonical([[matcher.label, matcher.value, matcher.op] for matcher in silence.matchers]),
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "created_by": columnar(silence.by),
        "comment": columnar(silence.comment),
    }


def as_silence(row: Mapping[str, Any]) -> Silence:
    """The silence of a row that has at least its columns."""
    matchers = tuple(Matcher(*parts) for parts in orjson.loads(row["matchers"]))
    return Silence(row["id"], matchers, row["starts_at"], row["ends_at"], row["created_by"], row["comment"])


def silence_ids(suppressed_by: str) -> tuple[str, ...]:
    """The silences that an alert's ``suppressed_by`` names."""
    reasons: list[str] = orjson.loads(suppressed_by)
    return tuple(
        reason.removeprefix(SILENCE_PREFIX) for reason in reasons if reason.startswith(SILENCE_PREFIX)
    )
