"""The way of an alert: Prometheus, Alertmanager, the backend's store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelplane_provisioning.clients.plane import prometheus_query
from modelplane_provisioning.doctor.finding import Finding, Problem
from modelplane_provisioning.doctor.parts import Parts, required
from modelplane_provisioning.doctor.start import ages_of, just_started
from modelplane_provisioning.processes import wait_until
from modelplane_schema.alerts import PROBE_ALERT

ALERTS_ARE_SENT = "Prometheus sends alerts to an Alertmanager"
ALERTMANAGER_DELIVERS = "Alertmanager answers and delivers"
BACKEND_STORES = "the backend answers and stores"
PROBE_ARRIVES = "a test alert reaches the store"
_PROBE_SECONDS = 90
_MOST_ALERTS = 1000


def check_alerting(parts: Parts) -> Finding:
    """Prometheus knows an Alertmanager."""
    active = parts.prometheus.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    problems: tuple[Problem, ...] = ()
    if not active and (ages := ages_of(parts.prometheus)).looks_up:
        problems = (just_started(ages),)
    elif not active:
        advice = "check `alerting` in prometheus.yml; of rules that vmalert or a ruler evaluates, ask there"
        text = "Prometheus sends alerts to no Alertmanager"
        problems = (Problem("error", "alertmanagers-none:", text, advice),)
    return Finding(ALERTS_ARE_SENT, f"{len(active)} known", problems)


def check_alertmanager(parts: Parts) -> Finding:
    """Alertmanager answers, and its deliveries succeed as far as Prometheus knows."""
    status = required(parts.alertmanager, "/api/v2/status")
    problems = tuple(
        Problem(
            "error",
            "deliveries-failing:",
            f"Alertmanager failed {float(item['value'][1]):.0f} webhook deliveries in the last 5 minutes",
            "its log says to which address and why",
        )
        for item in _failed_deliveries(parts)
    )
    version = status.get("versionInfo", {}).get("version", "of an unknown version")
    return Finding(ALERTMANAGER_DELIVERS, f"Alertmanager {version}", problems)


def _failed_deliveries(parts: Parts) -> list[dict[str, list[str]]]:
    if parts.given_prometheus is None:
        return []
    failed = 'sum(increase(alertmanager_notifications_failed_total{integration="webhook"}[5m])) > 0'
    return prometheus_query(parts.prometheus, failed)


def check_backend(parts: Parts) -> Finding:
    """The backend is ready, and its store can be read."""
    required(parts.backend, "/readyz")
    stored = len(required(parts.backend, "/api/v1/alerts", {"limit": _MOST_ALERTS})["alerts"])
    more = " or more" if stored == _MOST_ALERTS else ""
    return Finding(BACKEND_STORES, f"{stored} alerts{more} stored")


def check_probe(parts: Parts) -> Finding:
    """Send a test alert to Alertmanager and wait for it in the store."""
    backend = parts.backend
    sent = datetime.now(UTC)
    label = str(int(sent.timestamp()))
    alert = {
        "labels": {"alertname": PROBE_ALERT, "severity": "info", "probe": label},
        "annotations": {"summary": "A test alert of modelplane doctor."},
        "startsAt": sent.isoformat(),
        "endsAt": (sent + timedelta(minutes=2)).isoformat(),
    }
    parts.alertmanager.post("/api/v2/alerts", [alert])

    def arrived() -> bool:
        alerts = backend.get("/api/v1/alerts", {"alertname": PROBE_ALERT, "limit": 1})["alerts"]
        return any(alert["starts_at"] >= int(sent.timestamp()) * 1000 for alert in alerts)

    problems: tuple[Problem, ...] = ()
    if not wait_until(arrived, _PROBE_SECONDS, interval=0.5):
        text = f"the test alert did not arrive within {_PROBE_SECONDS} s"
        advice = "Alertmanager's log says why its webhook to the backend fails"
        problems = (Problem("error", "probe-lost:", text, advice),)
    waited = (datetime.now(UTC) - sent).total_seconds()
    return Finding(PROBE_ARRIVES, f"waited {waited:.0f} s", problems)
