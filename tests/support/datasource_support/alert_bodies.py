"""Notifications of Alertmanager."""

from __future__ import annotations

import orjson

START = "2023-10-27T09:00:00.123456789Z"
Alert = dict[str, object]


def alert(fingerprint: str = "f1", status: str = "firing", **more: object) -> Alert:
    return {
        "status": status,
        "labels": {"alertname": "ModelDown", "tenant_id": "user-A", "severity": "critical"},
        "annotations": {"summary": "down"},
        "startsAt": START,
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2023-10-27T10:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint,
        **more,
    }


def payload(*alerts: Alert) -> bytes:
    return orjson.dumps({"version": "4", "status": "firing", "receiver": "all", "alerts": alerts})
