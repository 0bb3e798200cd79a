"""What ``modelplane doctor`` looks at; every check says in plain words what is wrong and what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import modelplane_dashboards
from modelplane_dashboards import Board, PanelQuery
from modelplane_provisioning import credentials
from modelplane_provisioning.plane import Connection, Plane, PlaneError, prometheus_query
from modelplane_provisioning.processes import wait_until
from modelplane_schema.alerts import PROBE_ALERT
from modelplane_schema.metrics import CONFIDENCE, LATENCY, MODEL_INFO, MODEL_NAME
from modelplane_schema.registry import Registry
from modelplane_schema.uids import API_DATASOURCE_UID, PLUGIN_APP_ID, PROMETHEUS_DATASOURCE_UID

_RANGE_SECONDS = 900
_PROBE_SECONDS = 90
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.*), (?P<label>\w+)\)")
_HISTOGRAMS = (LATENCY, CONFIDENCE)
_PLUGIN_SETTINGS = f"/api/plugins/{PLUGIN_APP_ID}/settings"
_API_IDENTITY = f"/api/datasources/proxy/uid/{API_DATASOURCE_UID}/read/identity"


@dataclass(frozen=True, slots=True)
class BoardState:
    """How many panels of a board have data, how many say why they have none, and how many are at fault."""

    title: str
    with_data: int = 0
    not_reported: int = 0
    faulty: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check: ``problems`` is empty when all is well; ``boards`` is what panels show."""

    check: str
    summary: str
    problems: tuple[str, ...]
    boards: tuple[BoardState, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Parts:
    """Connections to the parts of a plane."""

    def __init__(self, plane: Plane) -> None:
        token = plane.token(credentials.OPERATOR.file)
        self.prometheus = Connection("Prometheus", plane.prometheus_url)
        self.alertmanager = Connection("Alertmanager", plane.alertmanager_url)
        self.backend = Connection("the backend", plane.backend_url, token)
        self.grafana = Connection("Grafana", plane.grafana_url) if plane.grafana_url else None
        self.grafana_login = ("admin", plane.token(credentials.GRAFANA_PASSWORD_FILE))
        self.scrape_interval_seconds = plane.scrape_interval_seconds


Check = Callable[[Parts, Registry], Finding]


def diagnose(parts: Parts, registry: Registry, probe: bool) -> Iterator[Finding]:
    """Run every check that applies to the plane."""
    checks: list[tuple[str, Check]] = [
        ("targets are up", check_targets),
        ("rules are healthy", check_rules),
        ("histograms have their buckets", check_histograms),
        ("alerts can reach the store", check_alert_path),
        ("every panel query returns data", check_panels),
    ]
    if probe:
        checks.append(("a test alert reaches the store", check_probe))
    if parts.grafana:
        checks.append(("Grafana has the boards and reaches its datasources", check_grafana))
    return run_checks(checks, parts, registry)


def run_checks(checks: Iterable[tuple[str, Check]], parts: Parts, registry: Registry) -> Iterator[Finding]:
    """Run named checks in turn; one that cannot be made is a finding of its own."""
    for name, check in checks:
        try:
            yield check(parts, registry)
        except PlaneError as error:
            yield Finding(name, "not checked", (str(error),))


def check_targets(parts: Parts, registry: Registry) -> Finding:
    """Every scrape target answers, and every model of the registry is reported by one."""
    targets = parts.prometheus.get("/api/v1/targets", {"state": "active"})["data"]["activeTargets"]
    problems = [
        f"{target['scrapeUrl']} is {target['health']}: {target['lastError'] or 'not scraped yet'}; "
        "is the service running, and is its port open to Prometheus?"
        for target in targets
        if target["health"] != "up"
    ]
    reported = {item["metric"][MODEL_NAME] for item in prometheus_query(parts.prometheus, MODEL_INFO.name)}
    problems += [
        f"model {model.name!r} is in the registry but no target reports it; check its `targets`"
        for model in registry.models
        if model.name not in reported
    ]
    up = sum(target["health"] == "up" for target in targets)
    return Finding("targets are up", f"{up} of {len(targets)} targets", tuple(problems))


def check_rules(parts: Parts, registry: Registry) -> Finding:
    """Prometheus loaded our rules and evaluates them without errors.

    A group is first evaluated within its interval after the configuration was loaded; until twice that
    time has passed, a rule that was not evaluated yet is no problem.
    """
    groups = parts.prometheus.get("/api/v1/rules")["data"]["groups"]
    loaded = parts.prometheus.get("/api/v1/status/runtimeinfo")["data"]["lastConfigTime"]
    age = time.time() - datetime.fromisoformat(loaded).timestamp()
    rules = [(rule, group) for group in groups for rule in group["rules"]]
    waiting = [rule for rule, group in rules if rule["health"] == "unknown" and age < 2 * group["interval"]]
    problems = [
        f"rule {rule['name']} is {rule['health']}: {rule.get('lastError') or 'not evaluated yet'}"
        for rule, _ in rules
        if rule["health"] != "ok" and rule not in waiting
    ]
    if not rules:
        problems.append("Prometheus has no rules; mount the bundle's prometheus/rules and check `rule_files`")
    summary = f"{len(rules)} rules" + (f", {len(waiting)} wait for their first evaluation" if waiting else "")
    return Finding("rules are healthy", summary, tuple(problems))


def check_histograms(parts: Parts, registry: Registry) -> Finding:
    """No target's histograms are stored as native ones alone, of which rules and boards see nothing."""
    problems = []
    for metric in _HISTOGRAMS:
        converted = f"{metric.name} unless on (job, instance) {metric.name}_bucket"
        problems += [
            f"{metric.name} of job {item['metric'].get('job', '')!r} is stored as native histograms alone, "
            "as by `convert_classic_histograms_to_nhcb`: recording rules, alerts and boards read its _bucket "
            "series and see nothing; set `always_scrape_classic_histograms: true` for that job"
            for item in prometheus_query(parts.prometheus, f"count by (job) ({converted})")
        ]
    return Finding("histograms have their buckets", f"{len(_HISTOGRAMS)} histograms", tuple(problems))


def check_alert_path(parts: Parts, registry: Registry) -> Finding:
    """Prometheus knows an Alertmanager, whose deliveries succeed, and the backend can store."""
    problems = []
    active = parts.prometheus.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    if not active:
        problems.append("Prometheus sends alerts to no Alertmanager; check `alerting` in prometheus.yml")
    parts.alertmanager.get("/api/v2/status")
    parts.backend.get("/readyz")
    failures = prometheus_query(
        parts.prometheus,
        'increase(alertmanager_notifications_failed_total{integration="webhook"}[5m]) > 0',
    )
    problems += [
        f"Alertmanager failed {float(item['value'][1]):.0f} webhook deliveries in the last 5 minutes; "
        "its log says to which address and why"
        for item in failures
    ]
    stored = len(parts.backend.get("/api/v1/alerts", {"limit": 1000})["alerts"])
    return Finding("alerts can reach the store", f"{stored} alerts stored", tuple(problems))


def check_probe(parts: Parts, registry: Registry) -> Finding:
    """Send a test alert to Alertmanager and wait for it in the store."""
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
        alerts = parts.backend.get("/api/v1/alerts", {"alertname": PROBE_ALERT, "limit": 1})["alerts"]
        return any(alert["starts_at"] >= int(sent.timestamp()) * 1000 for alert in alerts)

    problems: tuple[str, ...] = ()
    if not wait_until(arrived, _PROBE_SECONDS, interval=0.5):
        problems = (
            f"the test alert did not arrive within {_PROBE_SECONDS} s; "
            "Alertmanager's log says why its webhook to the backend fails",
        )
    waited = (datetime.now(UTC) - sent).total_seconds()
    return Finding("a test alert reaches the store", f"waited {waited:.0f} s", problems)


def check_panels(parts: Parts, registry: Registry) -> Finding:
    """Each query of each generated board, run as Grafana would, returns data unless it may be empty."""
    boards = [_with_menu_values(parts, board) for board in modelplane_dashboards.build(registry)]
    queries = list(modelplane_dashboards.panel_queries(boards))
    states: dict[str, BoardState] = {}
    problems: list[str] = []
    for (board, _), of_panel in groupby(queries, key=lambda query: (query.board_title, query.panel_title)):
        state, faults = _panel_state(parts, of_panel)
        problems += faults
        before = states.setdefault(board, BoardState(board))
        states[board] = replace(before, **{state: getattr(before, state) + 1})
    return Finding(
        "every panel query returns data", f"{len(queries)} queries", tuple(problems), tuple(states.values())
    )


def _with_menu_values(parts: Parts, board: Board) -> Board:
    """The board with the first value of each menu that lacks the example, as Grafana would select it."""
    examples = dict(board.examples)
    for variable in board.variables:
        menu = _LABEL_VALUES.fullmatch(variable.query)
        if variable.all_value or menu is None:
            continue
        defaults = {item.name: item.all_value for item in board.variables} | examples
        series = modelplane_dashboards.expand(menu["series"], defaults)
        answer = parts.prometheus.get(f"/api/v1/label/{menu['label']}/values", {"match[]": series})
        if answer["data"] and examples.get(variable.name) not in answer["data"]:
            examples[variable.name] = answer["data"][0]
    return replace(board, examples=tuple(examples.items()))


def _panel_state(parts: Parts, queries: Iterable[PanelQuery]) -> tuple[str, list[str]]:
    """The field of ``BoardState`` in which a panel counts, and what is wrong with it."""
    problems, has_data = [], False
    for query in queries:
        try:
            rows = panel_rows(parts, query)
        except PlaneError as error:
            problems.append(f"{_place(query)}: {error}")
            continue
        has_data = has_data or bool(rows)
        if not rows and not query.may_be_empty:
            problems.append(f"{_place(query)} returns nothing: {query.text}")
    return ("faulty" if problems else "with_data" if has_data else "not_reported"), problems


def panel_rows(parts: Parts, query: PanelQuery) -> list[Any]:
    """What one panel query returns now, over the last quarter of an hour."""
    now = time.time()
    step = max(parts.scrape_interval_seconds, _RANGE_SECONDS // 300)
    text = modelplane_dashboards.expand(
        query.text,
        {
            **dict(query.defaults),
            "__rate_interval": f"{max(4 * parts.scrape_interval_seconds, 60)}s",
            "__interval": f"{step}s",
            "__interval_ms": str(step * 1000),
            "__from": str(int((now - _RANGE_SECONDS) * 1000)),
            "__to": str(int(now * 1000)),
        },
    )
    if query.datasource == "api":
        answer = parts.backend.get(text)
        api_rows: list[Any] = answer[query.root] if query.root else [answer]
        return api_rows
    if query.instant:
        return prometheus_query(parts.prometheus, text)
    window = {"start": now - _RANGE_SECONDS, "end": now, "step": step}
    answer = parts.prometheus.get("/api/v1/query_range", {"query": text, **window})
    result: list[Any] = answer["data"]["result"]
    return result


def check_grafana(parts: Parts, registry: Registry) -> Finding:
    """Every board is there, the plugin is loaded, and Grafana can ask both datasources."""
    grafana = parts.grafana
    if grafana is None:
        return Finding("Grafana", "not part of this plane", ())
    paths = [f"/api/dashboards/uid/{board.uid}" for board in modelplane_dashboards.build(registry)]
    paths += [f"/api/datasources/uid/{PROMETHEUS_DATASOURCE_UID}/health", _PLUGIN_SETTINGS, _API_IDENTITY]
    answers, problems = {}, []
    for path in paths:
        try:
            answers[path] = grafana.get(path, auth=parts.grafana_login)
        except PlaneError as error:
            problems.append(str(error))
    problems += _plugin_problems(answers)
    return Finding(
        "Grafana has the boards and reaches its datasources", f"{len(paths)} answers", tuple(problems)
    )


def _plugin_problems(answers: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong although Grafana answered; a data source without a server part has no health."""
    plugin, identity = answers.get(_PLUGIN_SETTINGS), answers.get(_API_IDENTITY)
    if plugin is not None and not plugin["enabled"]:
        yield f"the app {PLUGIN_APP_ID} is not enabled; enable it under Administration, Plugins"
    if identity is not None and identity["role"] == "grafana" and identity["user"] is None:
        yield (
            "Grafana sends no identity (X-Grafana-Id), so that nobody can acknowledge through it; "
            "Grafana 11 sends it with the feature toggle idForwarding alone"
        )
    if plugin is not None and identity is not None and plugin["info"]["version"] != identity["version"]:
        yield (
            f"Grafana has loaded version {plugin['info']['version']} of the plugin, and the backend has "
            f"{identity['version']}; start Grafana again"
        )


def _place(query: PanelQuery) -> str:
    return f"board {query.board_title!r}, panel {query.panel_title!r}, query {query.ref_id}"
