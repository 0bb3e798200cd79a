"""What the registry leaves unheard: who has no receiver, for which alerts, and who hears of them instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelplane_schema.alerts import ALERTS, WATCHDOG, Audience, Severity
from modelplane_schema.fields import joined
from modelplane_schema.receivers import SEVERITIES, Owner, Recipient
from modelplane_schema.registry import Registry, Tenant

Severities = tuple[Severity, ...]


def alerts_for(audience: Audience) -> str:
    """The names of the alerts that somebody hears of."""
    return ", ".join(alert.name for alert in ALERTS if audience in alert.audiences and alert is not WATCHDOG)


def coverage_warnings(registry: Registry) -> list[str]:
    """A sentence, with places in the registry, for each gap; empty when everybody hears of everything."""
    return [
        *_people_warnings("tenants", registry.tenants, alerts_for("tenant"), registry),
        *_people_warnings("owners", registry.owners or (), alerts_for("owner"), registry),
        *_undeclared_owners(registry),
        *_platform_warnings(registry.platform),
    ]


def unheard(recipient: Recipient) -> Severities:
    """The severities that no receiver takes."""
    return tuple(
        severity
        for severity in SEVERITIES
        if not any(receiver.takes(severity) for receiver in recipient.receivers)
    )


def _people_warnings(
    kind: str, people: Sequence[Owner | Tenant], alerts: str, registry: Registry
) -> Iterator[str]:
    places: dict[Severities, list[str]] = {}
    for position, person in enumerate(people):
        places.setdefault(unheard(person), []).append(f"{kind}[{position}] {person.id!r}")
    for severities, silent in places.items():
        if severities:
            yield f"{joined(silent)}: {_gap(severities)} for {alerts}; {_instead(severities, registry)}"


def _undeclared_owners(registry: Registry) -> Iterator[str]:
    if registry.owners is None:
        names = joined(map(repr, dict.fromkeys(model.owner for model in registry.models)))
        instead = _instead(SEVERITIES, registry)
        yield f"owners: {names} not declared, hence no receivers for {alerts_for('owner')}; {instead}"


def _platform_warnings(platform: Recipient) -> Iterator[str]:
    severities = unheard(platform)
    if severities:
        rest = "what no tenant or owner hears of"
        yield f"platform: {_gap(severities)} for {alerts_for('platform')}, and {rest}; {_store_alone()}"


def _gap(severities: Severities) -> str:
    return "no receivers" if severities == SEVERITIES else f"no receiver takes {', '.join(severities)}"


def _instead(severities: Severities, registry: Registry) -> str:
    lost = [severity for severity in severities if severity in unheard(registry.platform)]
    if not lost:
        return "the platform hears of it instead"
    if len(lost) == len(severities):
        return _store_alone()
    heard = [severity for severity in severities if severity not in lost]
    return f"the platform hears of {', '.join(heard)} instead, and of {', '.join(lost)} nobody does"


def _store_alone() -> str:
    return "nobody hears of it: only the alert store has it"
