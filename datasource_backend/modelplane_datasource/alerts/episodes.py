"""Episodes of alerts: a pure function of the set of observations that were received.

A notification has no time of sending and no number, so its order of arrival says nothing. What it says is an
interval in which the alert certainly fired: a firing alert at its start, a resolved one from its start
to its end, an alert that Alertmanager lists from its start to the moment of the list. After a resolution the
alert is off; after anything else it fires on until the next known end. Intervals that overlap are one
episode.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import orjson

from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID

DEFAULT_SOURCE = "alertmanager"
NOTHING = "[]"

Kind = Literal["firing", "active", "absent", "resolved", "expired"]
Reason = Literal["", "absent", "resolved", "expired"]
Status = Literal["firing", "suppressed", "resolved"]
STATUSES: tuple[Status, ...] = get_args(Status)

# Of two that speak of the same moment the one with the higher rank decides.
_RANK: Mapping[Kind, int] = {kind: rank for rank, kind in enumerate(get_args(Kind))}
_REASONS: Mapping[Kind, Reason] = {"absent": "absent", "resolved": "resolved", "expired": "expired"}
_WITHOUT_START = ("absent", "expired")


class Key(NamedTuple):
    """Which alert; ``source`` names the Alertmanager, or the cluster of them, that reported it."""

    source: str
    tenant_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What was once said of one alert; times in milliseconds.

    ``firing`` and ``resolved`` come from notifications, the others from Alertmanager's list of alerts:
    ``active`` is on it, ``absent`` is not although it should be, ``expired`` was left to lapse. The last two
    know a moment only, so that ``starts_at`` equals ``last_at``. Texts are canonical JSON.
    """

    source: str
    tenant_id: str
    fingerprint: str
    kind: Kind
    starts_at: int
    last_at: int
    labels: str = "{}"
    annotations: str = "{}"
    generator_url: str = ""
    suppressed_by: str = NOTHING

    @property
    def key(self) -> Key:
        """Which alert."""
        return Key(self.source, self.tenant_id, self.fingerprint)


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from its start to its end, in milliseconds; ``ends_at`` is None while it lasts.

    ``reason`` says how the end is known. ``suppressed_by`` is a JSON list of what keeps the alert from being
    notified, as Alertmanager last said.
    """

    source: str
    tenant_id: str
    fingerprint: str
    starts_at: int
    ends_at: int | None
    status: Status
    reason: Reason
    suppressed_by: str
    alertname: str
    severity: str
    model_name: str
    model_version: str
    labels: str
    annotations: str
    generator_url: str

    @property
    def key(self) -> Key:
        """Which alert."""
        return Key(self.source, self.tenant_id, self.fingerprint)


ObservationKey: TypeAlias = tuple[Key, int, int, Kind]
Texts: TypeAlias = tuple[str, str, str, str]


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def columnar(text: str) -> str:
    """``text`` as a column can hold it: PostgreSQL has no NUL in text."""
    return text.replace("\0", "\ufffd")


def join(observations: Iterable[Observation]) -> dict[ObservationKey, Observation]:
    """One observation for each alert, interval and kind: the one with the greatest texts."""
    distinct: dict[ObservationKey, Observation] = {}
    for observation in observations:
        key = (observation.key, observation.starts_at, observation.last_at, observation.kind)
        previous = distinct.get(key)
        if previous is None or _texts(observation) > _texts(previous):
            distinct[key] = observation
    return distinct


def reduce_alert(observations: Iterable[Observation]) -> tuple[Episode, ...]:
    """The episodes of one alert by start, disjoint; only the set of ``observations`` matters."""
    spans: list[list[Observation]] = []
    latest: Observation | None = None
    for observation in sorted(observations, key=_by_start):
        if latest is not None and _touches(latest, observation):
            spans[-1].append(observation)
            latest = max(latest, observation, key=_moment)
        elif observation.kind not in _WITHOUT_START:
            spans.append([observation])
            latest = observation
    return tuple(_episode(span) for span in spans)


def reduce_all(observations: Iterable[Observation]) -> list[Episode]:
    """The episodes of any number of alerts."""
    alerts: dict[Key, list[Observation]] = defaultdict(list)
    for observation in observations:
        alerts[observation.key].append(observation)
    return [episode for group in alerts.values() for episode in reduce_alert(group)]


def _texts(observation: Observation) -> Texts:
    return observation.annotations, observation.labels, observation.generator_url, observation.suppressed_by


def _by_start(observation: Observation) -> tuple[int, int, int, Texts]:
    return observation.starts_at, *_moment(observation), _texts(observation)


def _moment(observation: Observation) -> tuple[int, int]:
    return observation.last_at, _RANK[observation.kind]


def _touches(latest: Observation, observation: Observation) -> bool:
    """Whether ``observation``, which starts no earlier than all before, belongs to the span that ends so."""
    return latest.kind not in _REASONS or observation.starts_at <= latest.last_at


def _episode(span: list[Observation]) -> Episode:
    latest = max(span, key=_moment)
    described = max(
        (observation for observation in span if observation.kind not in _WITHOUT_START),
        key=lambda observation: (_moment(observation), _texts(observation)),
    )
    listed = [observation for observation in span if observation.kind == "active"]
    suppressed_by = (
        max(listed, key=lambda observation: (observation.last_at, _texts(observation))).suppressed_by
        if listed
        else NOTHING
    )
    reason = _REASONS.get(latest.kind, "")
    labels: dict[str, str] = orjson.loads(described.labels)
    alertname, severity, model_name, model_version = (
        columnar(labels.get(name, "")) for name in ("alertname", "severity", MODEL_NAME, MODEL_VERSION)
    )
    return Episode(
        *span[0].key,
        starts_at=span[0].starts_at,
        ends_at=latest.last_at if reason else None,
        status="resolved" if reason else "firing" if suppressed_by == NOTHING else "suppressed",
        reason=reason,
        suppressed_by=suppressed_by,
        alertname=alertname,
        severity=severity,
        model_name=model_name,
        model_version=model_version,
        labels=described.labels,
        annotations=described.annotations,
        generator_url=described.generator_url,
    )


def tenant_of(labels: Mapping[str, str]) -> str:
    """The tenant that labels name, as a column can hold it; empty when they name none."""
    return columnar(labels.get(TENANT_ID, ""))
