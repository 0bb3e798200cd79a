"""Reconciliation with Alertmanager's own list of alerts.

Silenced and inhibited alerts are never notified, a resolution can get lost, and an alert that fires again
under its old start looks like a repetition. The list shows all three. What it shows is stored as observations
with the moment of the list, so that the state stays a function of what was received.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import requests
from pydantic import BaseModel, Field, TypeAdapter

from modelplane_datasource.alerts.episodes import (
    DEFAULT_SOURCE,
    Episode,
    Key,
    Observation,
    canonical,
    columnar,
    tenant_of,
)
from modelplane_datasource.alerts.plausible_times import plausible_span
from modelplane_datasource.alerts.silences import SILENCE_PREFIX
from modelplane_datasource.alerts.store import AlertStore
from modelplane_datasource.timeline.times import parse_rfc3339

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 10
# Clocks differ, and a list may be older than the notification that has overtaken it.
TOLERANCE = 60_000


class ReconcileError(RuntimeError):
    """Alertmanager gave no usable list of alerts."""


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """An alert on Alertmanager's list; times in milliseconds. It lapses unless it is sent again."""

    key: Key
    starts_at: int
    lapses_at: int
    labels: str
    annotations: str
    generator_url: str
    suppressed_by: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What one comparison leaves for the next: when each alert lapses, and since when one is missing."""

    lapses_at: Mapping[Key, int] = field(default_factory=dict)
    absent_since: Mapping[Key, int] = field(default_factory=dict)


def compare(
    now: int, listed: Collection[ListedAlert], newest: Mapping[Key, Episode], memory: Memory, grace: int
) -> tuple[tuple[Observation, ...], Memory]:
    """What the list of ``now`` says that ``newest`` does not: the newest episode of each alert.

    An alert that is open but not listed ends when it has been missing for ``grace`` milliseconds, at the
    moment it was first missed; at once when it was left to lapse, at the moment it lapsed.
    """
    by_key = {alert.key: alert for alert in listed}
    news = [_active(alert, now) for alert in by_key.values() if _is_news(alert, newest.get(alert.key), now)]
    absent_since = {}
    for key, episode in newest.items():
        if episode.ends_at is not None or key in by_key:
            continue
        lapsed_at = memory.lapses_at.get(key, now + 1)
        missed_at = memory.absent_since.get(key, now)
        if lapsed_at <= now:
            news.append(Observation(*key, "expired", lapsed_at, lapsed_at))
        elif now - missed_at >= grace:
            news.append(Observation(*key, "absent", missed_at, missed_at))
        else:
            absent_since[key] = missed_at
    lapses_at = {alert.key: alert.lapses_at for alert in listed}
    waiting = {key: memory.lapses_at[key] for key in absent_since if key in memory.lapses_at}
    return tuple(news), Memory({**waiting, **lapses_at}, absent_since)


def parse_list(body: bytes, source: str) -> tuple[ListedAlert, ...]:
    """The alerts of an answer of ``GET /api/v2/alerts``; ReconcileError."""
    try:
        return tuple(_listed(alert, source) for alert in _ALERTS.validate_json(body))
    except ValueError as error:
        raise ReconcileError(f"the list of alerts cannot be read: {error}") from error


class Reconciler:
    """Compares the store with the Alertmanagers of one source; an alert is listed if one of them lists it.

    ``clock`` gives milliseconds since 1970, ``grace`` is in milliseconds.
    """

    def __init__(
        self,
        store: AlertStore,
        urls: Sequence[str],
        clock: Callable[[], int],
        grace: int = 600_000,
        source: str = DEFAULT_SOURCE,
    ) -> None:
        self._store = store
        self._urls = tuple(urls)
        self._clock = clock
        self._grace = grace
        self._source = source
        self._memory = Memory()
        self._session = requests.Session()
        self._session.trust_env = False

    def run_once(self) -> int:
        """Look at the lists, store what is new; the number of observations. ReconcileError, StoreError.

        Nothing is concluded unless every Alertmanager answers.
        """
        now = self._clock()  # what happens while the lists are read is not on them
        listed = {alert.key: alert for alert in self._listed()}
        newest = self._store.newest(self._source, listed)
        news, memory = compare(now, listed.values(), newest, self._memory, self._grace)
        if news:
            self._store.record_poll(news, now, self._source)
            _LOG.info("%d differences to Alertmanager's list of alerts were stored", len(news))
        self._memory = memory
        return len(news)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _listed(self) -> Iterable[ListedAlert]:
        for url in self._urls:
            yield from parse_list(self._fetch(url), self._source)

    def _fetch(self, url: str) -> bytes:
        try:
            answer = self._session.get(f"{url.rstrip('/')}/api/v2/alerts", timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise ReconcileError(f"{url} gives no answer: {error}") from error
        if answer.status_code != requests.codes.ok:
            raise ReconcileError(f"{url} answers with status {answer.status_code}")
        return answer.content


class _State(BaseModel):
    silenced_by: tuple[str, ...] = Field((), alias="silencedBy")
    inhibited_by: tuple[str, ...] = Field((), alias="inhibitedBy")
    muted_by: tuple[str, ...] = Field((), alias="mutedBy")


class _Alert(BaseModel):
    fingerprint: str
    starts_at: str = Field(alias="startsAt")
    ends_at: str = Field(alias="endsAt")
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    generator_url: str = Field("", alias="generatorURL")
    status: _State


_ALERTS = TypeAdapter(list[_Alert])


def _listed(alert: _Alert, source: str) -> ListedAlert:
    state = alert.status
    suppressed_by = (
        *(f"{SILENCE_PREFIX}{silence}" for silence in state.silenced_by),
        *(f"alert {fingerprint}" for fingerprint in state.inhibited_by),
        *(f"time interval {name}" for name in state.muted_by),
    )
    return ListedAlert(
        Key(source, tenant_of(alert.labels), columnar(alert.fingerprint)),
        parse_rfc3339(alert.starts_at),
        parse_rfc3339(alert.ends_at),
        canonical(alert.labels),
        canonical(alert.annotations),
        columnar(alert.generator_url),
        canonical(sorted(suppressed_by)),
    )


def _is_news(alert: ListedAlert, newest: Episode | None, now: int) -> bool:
    if newest is None:
        return True
    if newest.ends_at is not None:
        return now - newest.ends_at > TOLERANCE
    return newest.suppressed_by != alert.suppressed_by


def _active(alert: ListedAlert, now: int) -> Observation:
    starts_at, last_at = plausible_span(alert.starts_at, now, now)
    return Observation(
        *alert.key,
        "active",
        starts_at,
        last_at,
        alert.labels,
        alert.annotations,
        alert.generator_url,
        alert.suppressed_by,
    )
