"""Incidents: the episodes of one tenant and model that lie close together in time. Pure.

An incident's id is the start of its first episode and the digest of its tenant and model. Incidents of one
tenant and model do not overlap, so that the moment in an id still finds its incident when a late notification
has moved the start or has joined two incidents.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

from modelplane_datasource.alerts.episodes import STATUSES, Episode, Status
from modelplane_datasource.alerts.keys import group_key
from modelplane_datasource.alerts.suppression import SuppressionWindow, names_of
from modelplane_schema.alerts import Severity

ID_PATTERN = r"^-?[0-9a-f]{1,15}-[0-9a-f]{16}$"
SEVERITIES: tuple[str, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class IncidentRules:
    """How episodes make incidents; times in milliseconds.

    Episodes not more than ``gap`` apart are one incident. An alert flaps when it starts ``flap_episodes``
    times within ``flap_window``.
    """

    gap: int = 600_000
    flap_episodes: int = 5
    flap_window: int = 3_600_000
    windows: tuple[SuppressionWindow, ...] = ()


class Member(NamedTuple):
    """An episode of an incident and how often its alert started within the flap window until then."""

    episode: Episode
    recent_starts: int


class Acknowledgement(NamedTuple):
    """Somebody has seen an incident; ``at`` in milliseconds."""

    at: int
    by: str
    note: str


class Comment(NamedTuple):
    """What somebody says about an incident; ``at`` in milliseconds."""

    at: int
    by: str
    comment: str


class IncidentId(NamedTuple):
    """A moment of the incident in milliseconds and the key of its tenant and model."""

    moment: int
    group: str

    @classmethod
    def parse(cls, text: str) -> IncidentId | None:
        """The parts of an id, None for other texts."""
        if not re.fullmatch(ID_PATTERN, text):
            return None
        moment, _, group = text.rpartition("-")
        return cls(int(moment, 16), group)

    def __str__(self) -> str:
        return f"{self.moment:x}-{self.group}"


@dataclass(frozen=True, slots=True)
class Incident:
    """Episodes of one tenant and model by start; ``ends_at`` is None while one of them lasts.

    ``planned``: every episode started in a declared suppression window.
    """

    members: tuple[Member, ...]
    acknowledgements: tuple[Acknowledgement, ...]
    tenant_id: str
    model_name: str
    starts_at: int
    ends_at: int | None
    status: Status
    severity: str
    alertnames: tuple[str, ...]
    flapping: tuple[str, ...]
    suppression_windows: tuple[str, ...]
    planned: bool

    @property
    def id(self) -> str:
        """The id of the incident."""
        return str(IncidentId(self.starts_at, group_key(self.tenant_id, self.model_name)))


@dataclass(frozen=True, slots=True)
class NoisyAlert:
    """How often and for how long, in milliseconds, an alert of a tenant and model fired."""

    alertname: str
    tenant_id: str
    model_name: str
    episodes: int
    firing: int
    flapping: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of incidents that were not planned; means in milliseconds, None without any to take the mean of.

    ``time_to_acknowledge`` (MTTA) is from the start to the first acknowledgement, ``time_to_resolve`` (MTTR)
    to the end.
    """

    incidents: int
    planned: int
    acknowledged: int
    resolved: int
    time_to_acknowledge: float | None
    time_to_resolve: float | None
    noisiest: tuple[NoisyAlert, ...]


def incident_of(
    members: Sequence[Member], acknowledgements: Iterable[Acknowledgement], rules: IncidentRules
) -> Incident:
    """The incident that some episodes of one tenant and model, at least one, are."""
    ordered = tuple(sorted(members, key=lambda member: (member.episode.starts_at, member.episode.key)))
    episodes = [member.episode for member in ordered]
    windows = [names_of(rules.windows, episode) for episode in episodes]
    ends = [episode.ends_at for episode in episodes]
    return Incident(
        members=ordered,
        acknowledgements=tuple(sorted(acknowledgements)),
        tenant_id=episodes[0].tenant_id,
        model_name=episodes[0].model_name,
        starts_at=episodes[0].starts_at,
        ends_at=None if None in ends else max(end for end in ends if end is not None),
        status=min((episode.status for episode in episodes), key=STATUSES.index),
        severity=min((episode.severity for episode in episodes), key=_severity_rank),
        alertnames=_unique(episode.alertname for episode in episodes),
        flapping=_unique(member.episode.alertname for member in ordered if _flaps(member, rules)),
        suppression_windows=_unique(name for names in windows for name in names),
        planned=all(windows),
    )


def summarise(incidents: Iterable[Incident], rules: IncidentRules, now: int, noisiest: int) -> Statistics:
    """Statistics of incidents, and the ``noisiest`` alerts of those that were not planned."""
    every = list(incidents)
    real = [incident for incident in every if not incident.planned]
    reactions = [
        max(0, incident.acknowledgements[0].at - incident.starts_at)
        for incident in real
        if incident.acknowledgements
    ]
    repairs = [incident.ends_at - incident.starts_at for incident in real if incident.ends_at is not None]
    return Statistics(
        incidents=len(real),
        planned=len(every) - len(real),
        acknowledged=len(reactions),
        resolved=len(repairs),
        time_to_acknowledge=_mean(reactions),
        time_to_resolve=_mean(repairs),
        noisiest=_noisiest(real, rules, now)[:noisiest],
    )


def _noisiest(incidents: Iterable[Incident], rules: IncidentRules, now: int) -> tuple[NoisyAlert, ...]:
    groups: Mapping[tuple[str, str, str], list[Member]] = defaultdict(list)
    for incident in incidents:
        for member in incident.members:
            name = (member.episode.alertname, incident.tenant_id, incident.model_name)
            groups[name].append(member)
    alerts = (
        NoisyAlert(
            *name,
            episodes=len(members),
            firing=sum(_length(member.episode, now) for member in members),
            flapping=any(_flaps(member, rules) for member in members),
        )
        for name, members in groups.items()
    )
    return tuple(
        sorted(alerts, key=lambda alert: (-alert.episodes, -alert.firing, alert.alertname, alert.tenant_id))
    )


def _length(episode: Episode, now: int) -> int:
    return max(0, (now if episode.ends_at is None else episode.ends_at) - episode.starts_at)


def _flaps(member: Member, rules: IncidentRules) -> bool:
    return member.recent_starts >= rules.flap_episodes


def _severity_rank(severity: str) -> tuple[int, str]:
    rank = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
    return rank, severity


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None
