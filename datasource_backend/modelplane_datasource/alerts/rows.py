"""Alerts, incidents and silences as table rows: each schema and what fits it."""

from __future__ import annotations

from typing import Any, get_args

import orjson

from modelplane_datasource.alerts.episodes import STATUSES, Episode
from modelplane_datasource.alerts.incidents import (
    Incident,
    IncidentRules,
    NoisyAlert,
)
from modelplane_datasource.alerts.silences import SILENCE_STATUSES, SilenceRecord
from modelplane_datasource.alerts.suppression import names_of
from modelplane_datasource.web.schemas import INSTANT, LABELS, NUMBER, TEXT, array, record
from modelplane_schema.promql import MatchOp

_ANNOTATIONS = ("summary", "description", "runbook_url", "dashboard_url")
ALERT_ROW = record(
    {
        "starts_at": INSTANT,
        "ends_at": {**INSTANT, "type": ["integer", "null"]},
        "duration_seconds": {"type": "number"},
        "status": {"enum": [*STATUSES]},
        "reason": {"enum": ["", "resolved", "absent", "expired"], "description": "How the end is known."},
        "suppressed_by": {**TEXT, "description": "Silences and alerts that keep it from being notified."},
        "suppression_windows": {**TEXT, "description": "Declared windows in which it started."},
        **dict.fromkeys(
            ("alertname", "severity", "tenant_id", "model_name", "model_version", *_ANNOTATIONS), TEXT
        ),
        "source": TEXT,
        "fingerprint": TEXT,
        "labels": {**LABELS, "description": "All labels of the alert."},
    }
)


def alert_row(alert: Episode, rules: IncidentRules, now: int) -> dict[str, Any]:
    """One alert as a table row; an alert without an end has lasted until ``now`` (milliseconds)."""
    annotations = orjson.loads(alert.annotations)
    end = now if alert.ends_at is None else alert.ends_at
    return {
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "duration_seconds": _seconds_between(alert.starts_at, end),
        "status": alert.status,
        "reason": alert.reason,
        "suppressed_by": ", ".join(orjson.loads(alert.suppressed_by)),
        "suppression_windows": ", ".join(names_of(rules.windows, alert)),
        "alertname": alert.alertname,
        "severity": alert.severity,
        "tenant_id": alert.tenant_id,
        "model_name": alert.model_name,
        "model_version": alert.model_version,
        **{name: annotations.get(name, "") for name in _ANNOTATIONS},
        "source": alert.source,
        "fingerprint": alert.fingerprint,
        "labels": orjson.loads(alert.labels),
    }


_BOOLEAN = {"type": "boolean"}
_COUNT = {"type": "integer"}
_NUMBER = {"type": "number"}
_LATER = {**INSTANT, "type": ["integer", "null"]}
INCIDENT_ROW = {
    "id": TEXT,
    "starts_at": INSTANT,
    "ends_at": _LATER,
    "duration_seconds": _NUMBER,
    "status": {"enum": [*STATUSES]},
    **dict.fromkeys(("severity", "tenant_id", "model_name", "alertnames"), TEXT),
    "episodes": _COUNT,
    "flapping": {**TEXT, "description": "Names of the alerts that flap."},
    "suppression_windows": {**TEXT, "description": "Declared windows in which an alert of it started."},
    "planned": {**_BOOLEAN, "description": "Every alert of it started in a declared window."},
    "acknowledged_at": _LATER,
    "acknowledged_by": TEXT,
    "time_to_acknowledge_seconds": NUMBER,
}
ACKNOWLEDGEMENT_ROW = record({"at": INSTANT, "by": TEXT, "note": TEXT})
COMMENT_ROW = record({"at": INSTANT, "by": TEXT, "comment": TEXT})
MATCHER_ROW = record({"name": TEXT, "operator": {"enum": list(get_args(MatchOp))}, "value": TEXT})
SILENCE_ROW = record(
    {
        "id": TEXT,
        "status": {
            "enum": [*SILENCE_STATUSES],
            "description": "missing: it should be in force, and Alertmanager does not know it.",
        },
        "tenant_id": {**TEXT, "description": "Whose alerts alone it fits; empty when not only one tenant's."},
        "matchers": array(MATCHER_ROW),
        **dict.fromkeys(("starts_at", "ends_at"), INSTANT),
        **dict.fromkeys(("by", "comment"), TEXT),
        "expired_at": {**_LATER, "description": "When it was ended through this backend before its time."},
        **dict.fromkeys(("expired_by", "expiry_note"), TEXT),
    }
)
NOISY_ALERT_ROW = record(
    {
        **dict.fromkeys(("alertname", "tenant_id", "model_name"), TEXT),
        "episodes": _COUNT,
        "firing_seconds": _NUMBER,
        "flapping": _BOOLEAN,
    }
)


def incident_row(incident: Incident, now: int) -> dict[str, Any]:
    """One incident as a table row; one without an end has lasted until ``now`` (milliseconds)."""
    first = incident.acknowledgements[0] if incident.acknowledgements else None
    end = now if incident.ends_at is None else incident.ends_at
    return {
        "id": incident.id,
        "starts_at": incident.starts_at,
        "ends_at": incident.ends_at,
        "duration_seconds": _seconds_between(incident.starts_at, end),
        "status": incident.status,
        "severity": incident.severity,
        "tenant_id": incident.tenant_id,
        "model_name": incident.model_name,
        "alertnames": ", ".join(incident.alertnames),
        "episodes": len(incident.members),
        "flapping": ", ".join(incident.flapping),
        "suppression_windows": ", ".join(incident.suppression_windows),
        "planned": incident.planned,
        "acknowledged_at": first.at if first else None,
        "acknowledged_by": first.by if first else "",
        "time_to_acknowledge_seconds": _seconds_between(incident.starts_at, first.at) if first else None,
    }


def silence_row(record: SilenceRecord) -> dict[str, Any]:
    """One silence as a table row."""
    silence, expiry = record.silence, record.expiry
    return {
        "id": silence.id,
        "status": record.status,
        "tenant_id": silence.tenant_id,
        "matchers": [
            {"name": matcher.label, "operator": matcher.op, "value": matcher.value}
            for matcher in silence.matchers
        ],
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "by": silence.by,
        "comment": silence.comment,
        "expired_at": expiry.at if expiry else None,
        "expired_by": expiry.by if expiry else "",
        "expiry_note": expiry.note if expiry else "",
    }


def _seconds_between(start: int, end: int) -> float:
    """None passed where ``end`` comes first: the clock that gave the start was ahead."""
    return max(0, end - start) / 1000


def noisy_alert_row(alert: NoisyAlert) -> dict[str, Any]:
    """One noisy alert as a table row."""
    return {
        "alertname": alert.alertname,
        "tenant_id": alert.tenant_id,
        "model_name": alert.model_name,
        "episodes": alert.episodes,
        "firing_seconds": alert.firing / 1000,
        "flapping": alert.flapping,
    }
