"""Each alert in ordinary and hostile situations: it fires, it does not, it ends. Evaluated by promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generations import Servers, available_servers
from modelplane_alerts.render import rule_files
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.alerts import ALERTS
from modelplane_schema.registry import parse_registry

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: user-A, budget: {amount: 100, currency: USD}}, {id: user-B}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    replicas: 2
    max_in_flight: 10
    versions: [{version: v1}, {version: v2, stage: canary}, {version: v3, stage: development}]
    slos:
      - {name: availability, objective: 0.99, indicator: {type: errors}}
      - {name: latency, objective: 0.99, indicator: {type: latency, threshold_seconds: 0.25}}
  - {name: plain, framework: jax, owner: research, tenants: [user-A], versions: [{version: v1}]}
devices:
  prices: [{device_type: h200, amount: 3.60, currency: USD, effective_from: 1970-01-01}]
""")
# Alerts whose own tests are elsewhere: those of drift, in test_drift_alert_rules.py.
ELSEWHERE = {alert.name for alert in ALERTS if alert.name.startswith("ModelSignal")}

Series = Mapping[str, str]


def labelled(name: str, **labels: str) -> str:
    return f"{name}{{{','.join(f'{key}={value!r}' for key, value in labels.items())}}}".replace("'", '"')


def call_labels(**labels: str) -> dict[str, str]:
    identity = {
        "model_name": "resnet50",
        "model_version": "v1",
        "tenant_id": "user-A",
        "framework": "pytorch",
    }
    return {**identity, **labels}


def calls(values: str, outcome: str = "success", **labels: str) -> Series:
    labels = call_labels(outcome=outcome, **labels)
    return {labelled("model_inference_requests_total", **labels): values}


def latencies(fast: str, every: str, le: str = "0.25", **labels: str) -> Series:
    name = "model_inference_latency_seconds"
    return {
        labelled(f"{name}_bucket", **call_labels(le=le, **labels)): fast,
        labelled(f"{name}_bucket", **call_labels(le="+Inf", **labels)): every,
        labelled(f"{name}_count", **call_labels(**labels)): every,
    }


def loaded(values: str = "1x2000", **labels: str) -> Series:
    described = {"model_name": "resnet50", "model_version": "v1", "framework": "pytorch", **labels}
    return {labelled("model_info", **described): values}


@dataclass(frozen=True)
class Expected:
    """How many instances of ``alert`` fire at ``minute``, and for whom and how severe."""

    minute: int
    alert: str
    instances: int = 1
    severity: str = ""
    tenant_id: str = ""
    owner: str = ""
    cluster: str = ""
    model_version: str = ""

    def as_test(self) -> dict[str, Any]:
        chosen = {
            key: getattr(self, key)
            for key in ("severity", "tenant_id", "owner", "cluster", "model_version")
            if getattr(self, key)
        }
        chosen |= {"alertname": self.alert, "alertstate": "firing"}
        samples = [{"labels": "{}", "value": self.instances}] if self.instances else []
        return {
            "expr": f"count({labelled('ALERTS', **chosen)})",
            "eval_time": f"{self.minute}m",
            "exp_samples": samples,
        }


HOUR, DAY = 60, 1440
# From minute 30 on half of the calls of user-A fail for half an hour.
BURNING = {
    **loaded(instance="a"),
    **loaded(instance="b"),
    **calls("0+100x200"),
    **calls("0x30 0+100x30 3000x140", "failure"),
    **calls("0+100x200", tenant_id="user-B"),
    **calls("0x200", "failure", tenant_id="user-B"),
}

SITUATIONS: dict[str, tuple[Series, Sequence[Expected]]] = {
    "a budget burns for one tenant, and no longer": (
        BURNING,
        [
            Expected(29, "ModelSloBurn", 0),
            Expected(50, "ModelSloBurn", 1, severity="critical", tenant_id="user-A"),
            Expected(50, "ModelSloBurn", 0, tenant_id="user-B"),
            Expected(50, "ModelSloBurnSlow", 0),
            Expected(50, "ModelErrorRatioHigh", 0),
            Expected(150, "ModelSloBurn", 0),
        ],
    ),
    "a canary warns, and what nobody is served by is silent": (
        {
            **calls("0+10x100", "failure", model_version="v2"),
            **calls("0+10x100", "failure", model_version="v3"),
        },
        [
            Expected(60, "ModelSloBurn", 1, severity="warning", model_version="v2"),
            Expected(60, "ModelSloBurn", 0, severity="critical"),
            Expected(60, "ModelSloBurn", 0, model_version="v3"),
        ],
    ),
    "a development version that only its process declares": (
        {
            **loaded(model_name="plain", model_version="v9", stage="development"),
            **calls("0+10x100", "failure", model_name="plain", model_version="v9"),
        },
        [Expected(60, "ModelErrorRatioHigh", 0)],
    ),
    "slow calls beyond the objective, and within": (
        {
            **loaded(instance="a"),
            **loaded(instance="b"),
            **calls("0+100x400"),
            **latencies("0+60x400", "0+100x400"),
            **calls("0+1000x400", tenant_id="user-B"),
            **latencies("0+995x400", "0+1000x400", le="0.250", tenant_id="user-B"),
        },
        [Expected(60, "ModelSloBurn", 1, tenant_id="user-A"), Expected(60, "ModelLatencyHigh", 0)],
    ),
    "five percent of errors for hours are no page, but a ticket": (
        {
            **loaded(instance="a"),
            **loaded(instance="b"),
            **calls("0+950x400"),
            **calls("0+49x400", "failure"),
        },
        [Expected(200, "ModelSloBurn", 0), Expected(200, "ModelSloBurnSlow", 1, severity="warning")],
    ),
    "a call every two hours, each a failure": (
        calls(" ".join(str(minute // 120) for minute in range(1500)), "failure"),
        [
            Expected(100, "ModelSloBurnSlow", 0),
            Expected(20 * HOUR, "ModelSloBurnSlow", 1),
            Expected(20 * HOUR, "ModelSloBurn", 0),
        ],
    ),
    "a failure a day is no ticket": (
        {**calls("0+1x1400"), **calls("0x700 1x700", "failure")},
        [Expected(720, "ModelSloBurn", 0), Expected(760, "ModelSloBurnSlow", 0)],
    ),
    "bursts of errors are one alert": (
        {
            **calls("0+400x120", model_name="plain"),
            **calls(
                " ".join(str(400 * (minute // 8)) for minute in range(60)) + " 2800x60",
                "failure",
                model_name="plain",
            ),
        },
        [Expected(minute, "ModelErrorRatioHigh", 1) for minute in range(12, 62, 3)]
        + [Expected(110, "ModelErrorRatioHigh", 0)],
    ),
    "failures without an SLO": (
        {
            **calls("0+90x60", model_name="plain"),
            **calls("0+10x60", "failure", model_name="plain"),
            **calls("0+900x60", "cancelled", model_name="plain"),
            **calls("0+97x60", model_name="plain", tenant_id="user-B"),
            **calls("0+3x60", "failure", model_name="plain", tenant_id="user-B"),
        },
        [
            Expected(20, "ModelErrorRatioHigh", 1, severity="critical", tenant_id="user-A"),
            Expected(20, "ModelErrorRatioHigh", 0, tenant_id="user-B"),
        ],
    ),
    "some calls a minute, all failing": (
        calls(" ".join(str(minute * 4 // 5) for minute in range(60)), "failure", model_name="plain"),
        [Expected(5, "ModelErrorRatioHigh", 0), Expected(25, "ModelErrorRatioHigh", 1)],
    ),
    "a model that the registry does not know": (
        {
            **calls("0+10x60", "failure", model_name="stranger"),
            **latencies("0x60", "0+10x60", le="30.0", model_name="stranger"),
        },
        [
            Expected(30, "ModelErrorRatioHigh", 1, severity="critical"),
            Expected(30, "ModelLatencyHigh", 1, severity="warning"),
        ],
    ),
    "a slow call now and then": (
        latencies("0x60", " ".join(str(minute // 4) for minute in range(60)), model_name="plain", le="10"),
        [Expected(15, "ModelLatencyHigh", 0), Expected(50, "ModelLatencyHigh", 0)],
    ),
    "slow calls without an SLO end": (
        latencies("0x30 0+10x60", "0+10x90", model_name="plain", le="10"),
        [Expected(20, "ModelLatencyHigh", 1), Expected(50, "ModelLatencyHigh", 0)],
    ),
    "a counter starts anew, a replica comes and goes": (
        {
            **calls("1000+10x20 0+10x20 _x10 0+10x20 stale _x40 5000+10x60", instance="a"),
            **calls("900x20 0x20 _x10 0x20 stale _x40 300x60", "failure", instance="a"),
            **calls("_x60 400x60", "failure", instance="b"),
        },
        [
            *(Expected(minute, "ModelSloBurn", 0) for minute in (15, 35, 65, 100)),
            *(Expected(minute, "ModelSloBurnSlow", 0) for minute in (35, 100)),
        ],
    ),
    "two clusters do not hide each other": (
        {
            **loaded("1x20 stale", cluster="eu", instance="a"),
            **loaded(cluster="us", instance="a"),
            **calls("0+10x20 stale", cluster="eu"),
            **calls("0+10x200", cluster="us"),
            **calls("0+1000x200", cluster="us", tenant_id="user-B"),
            **calls("0+10x200", "failure", cluster="asia", tenant_id="user-B"),
        },
        [
            Expected(40, "ModelDown", 1, owner="vision", cluster="eu"),
            Expected(40, "ModelDown", 1, tenant_id="user-A", cluster="eu"),
            Expected(40, "ModelDown", 0, cluster="us"),
            Expected(60, "ModelSloBurn", 1, cluster="asia"),
            Expected(60, "ModelSloBurn", 0, cluster="us"),
        ],
    ),
    "a model that is gone is known to both tenants and its owner, and comes back": (
        {
            **loaded("1x20 stale _x20 1x60"),
            **calls("0+10x20 stale _x20 0+10x60"),
            **loaded(model_name="plain"),
        },
        [
            Expected(24, "ModelDown", 0, owner="vision"),
            Expected(30, "ModelDown", 1, tenant_id="user-A", severity="critical"),
            Expected(30, "ModelDown", 1, tenant_id="user-B"),
            Expected(30, "ModelDown", 1, owner="vision"),
            Expected(30, "ModelDown", 0, model_version="v2"),
            Expected(30, "NoTraffic", 0),
            Expected(50, "ModelDown", 0, owner="vision"),
        ],
    ),
    "a model that is not there from the start": ({}, [Expected(10, "ModelDown", 1, owner="research")]),
    "processes that live for a minute and a half": (
        loaded(" ".join(["1x1 stale _x0"] * 40), instance="a"),
        [Expected(30, "ModelDown", 1, owner="vision")],
    ),
    "one replica of two, then both": (
        {
            **loaded(instance="a"),
            **loaded("_x40 1x60", instance="b"),
            **loaded(model_version="v2", instance="a"),
        },
        [
            Expected(20, "ReplicasMissing", 1, owner="vision", severity="warning"),
            Expected(50, "ReplicasMissing", 0),
        ],
    ),
    "a process that starts again and again": (
        {
            **loaded(instance="a", job="models"),
            **loaded(instance="b", job="models"),
            labelled("process_start_time_seconds", instance="a", job="models"): "1x10 2x5 3x5 4x80",
            labelled("process_start_time_seconds", instance="b", job="models"): "1x10 2x90",
        },
        [
            Expected(15, "RestartLoop", 0),
            Expected(25, "RestartLoop", 1, owner="vision"),
            Expected(70, "RestartLoop", 0),
        ],
    ),
    "every call hangs": (
        {
            labelled("model_active_inference_requests", **call_labels(instance="a")): "0+1x5 5x60",
            labelled("model_active_inference_requests", **call_labels(instance="b")): "0+1x5 5x60",
            **calls("0+10x10 100x60"),
        },
        [Expected(45, "Saturation", 1, owner="vision"), Expected(45, "NoTraffic", 0)],
    ),
    "half as many calls as there may be": (
        {labelled("model_active_inference_requests", **call_labels()): "5x60"},
        [Expected(45, "Saturation", 0)],
    ),
    "traffic stops": (
        {**loaded(), **calls("0+100x60 6000x100"), **calls("0+1x160", tenant_id="user-B")},
        [
            Expected(65, "NoTraffic", 0),
            Expected(90, "NoTraffic", 1, tenant_id="user-A", severity="warning"),
            Expected(160, "NoTraffic", 0),
        ],
    ),
    "traffic stops every evening": (
        {**loaded(), **calls("0+100x600 60000x840 60000+100x600 120000x840")},
        [Expected(630, "NoTraffic", 1), Expected(DAY + 630, "NoTraffic", 0)],
    ),
    "every call is given up": (
        {
            **loaded(),
            **calls("0+100x60 6000x60", "cancelled"),
            **calls("0x60 0+100x60"),
            **calls("0+10x60", "cancelled", tenant_id="user-B"),
            **calls("0+90x60", tenant_id="user-B"),
        },
        [
            Expected(40, "CancelledStorm", 1, tenant_id="user-A"),
            Expected(40, "CancelledStorm", 0, tenant_id="user-B"),
            Expected(110, "CancelledStorm", 0),
        ],
    ),
    "an SLO for which nothing is counted": (
        {**loaded(), **calls("0+10x300")},
        [
            Expected(100, "ModelSloWithoutData", 0),
            Expected(250, "ModelSloWithoutData", 1, owner="vision"),
        ],
    ),
    "nothing is counted for a model that nobody calls": (
        {**loaded(), **calls("0x300")},
        [Expected(250, "ModelSloWithoutData", 0)],
    ),
    "confidence falls": (
        {
            labelled(
                "model_prediction_confidence_sum", **call_labels()
            ): f"0+90x{2 * DAY} {180 * DAY}+60x200",
            labelled("model_prediction_confidence_count", **call_labels()): f"0+100x{2 * DAY + 200}",
        },
        [
            Expected(2 * DAY, "ConfidenceShift", 0),
            Expected(2 * DAY + 120, "ConfidenceShift", 1, owner="vision"),
        ],
    ),
    "values break the contract": (
        {
            **calls("0+100x200"),
            labelled(
                "model_invalid_observations_total", **call_labels(reason="value_missing")
            ): "0+5x60 300x140",
            labelled("model_invalid_observations_total", **call_labels(reason="signal_unknown")): "0x200",
        },
        [Expected(60, "DataContract", 1, owner="vision"), Expected(150, "DataContract", 0)],
    ),
    "a version without a baseline, until it comes": (
        {
            **loaded(),
            **loaded(model_name="plain"),
            labelled(
                "model_signal_baseline_observations", model_name="resnet50", model_version="v0"
            ): "1000x10 stale",
            labelled(
                "model_signal_baseline_observations", model_name="resnet50", model_version="v1"
            ): "_x90 1000x30",
        },
        [
            Expected(20, "BaselineMissing", 0),
            Expected(60, "BaselineMissing", 1, owner="vision"),
            Expected(110, "BaselineMissing", 0),
        ],
    ),
    "a tenant spends more than its budget, another has none": (
        {
            labelled("model_inference_device_seconds_total", device_type="h200", **call_labels()): "0+6x400",
            labelled(
                "model_inference_device_seconds_total", device_type="h200", **call_labels(tenant_id="user-B")
            ): "0+6x400",
        },
        [Expected(300, "TenantOverBudget", 1, tenant_id="user-A"), Expected(30, "TenantOverBudget", 0)],
    ),
    "a tenant within its budget": (
        {labelled("model_inference_device_seconds_total", device_type="h200", **call_labels()): "0+0.6x400"},
        [Expected(300, "TenantOverBudget", 0), Expected(300, "UnpricedUse", 0)],
    ),
    "a device without a price": (
        {
            labelled(
                "model_inference_device_seconds_total", device_type="b300", **call_labels()
            ): "0+6x100 600x100"
        },
        [Expected(90, "UnpricedUse", 1), Expected(180, "UnpricedUse", 0)],
    ),
    "too many values of a label": (
        {
            labelled(
                "model_series_overflow_total", model_name="plain", model_version="v1", label="event"
            ): "0x20 0+1x30 30x60"
        },
        [
            Expected(19, "CardinalityOverflow", 0),
            Expected(45, "CardinalityOverflow", 1),
            Expected(90, "CardinalityOverflow", 0),
        ],
    ),
    "two of three targets are down, and one comes back": (
        {
            labelled("up", job="models", instance="a"): "1x60",
            labelled("up", job="models", instance="b"): "0x30 1x30",
            labelled("up", job="models", instance="c"): "0x30 1x30",
            labelled("up", job="healthy", instance="a"): "1x60",
        },
        [Expected(20, "TargetDown", 1), Expected(50, "TargetDown", 0)],
    ),
    "rules fail": (
        {
            labelled(
                "prometheus_rule_evaluation_failures_total", job="prometheus", rule_group="g"
            ): "0+1x30 30x60",
            labelled("vmalert_recording_rules_errors_total", job="vmalert", group="h"): "0+1x30 30x60",
        },
        [Expected(25, "RuleFailing", 2), Expected(80, "RuleFailing", 0)],
    ),
    "alerts are not delivered": (
        {
            labelled(
                "alertmanager_notifications_failed_total", job="am", integration="slack"
            ): "0+1x30 30x60",
            labelled("alertmanager_notifications_failed_total", job="am", integration="email"): "0x90",
            labelled("prometheus_notifications_dropped_total", job="prometheus"): "0+1x30 30x60",
        },
        [Expected(25, "AlertDelivery", 2), Expected(80, "AlertDelivery", 0)],
    ),
    "the store fails": (
        {
            labelled(
                "modelplane_datasource_store_calls_total", job="b", operation="add", result="error"
            ): "0+1x30 30x60",
            labelled(
                "modelplane_datasource_store_calls_total", job="b", operation="add", result="ok"
            ): "0+1x90",
        },
        [Expected(25, "StoreFailing", 1), Expected(80, "StoreFailing", 0)],
    ),
    "the switch of a dead man": (
        {},
        [Expected(1, "Watchdog", 1, severity="info"), Expected(500, "Watchdog", 1)],
    ),
}


# Hours are evaluated every minute; days every four, for a recorded value is found for less than five.
LONG_MINUTES = 6 * HOUR
INTERVALS = (
    "replicaInterval", "sloInterval", "sloLongInterval", "sloPeriodInterval", "trafficInterval",
    "qualityInterval", "tokenCostInterval", "signalBaselineInterval",
)  # fmt: skip


def evaluate(servers: Servers, folder: Path, interval: str, names: Sequence[str]) -> str:
    """The complaints of promtool, or nothing."""
    config = dict.fromkeys(INTERVALS, interval)
    for name, text in rule_files(REGISTRY, config).items():
        # Drift has situations of its own, and its rules are many.
        groups = [group for group in yaml.safe_load(text)["groups"] if "signal" not in group["name"]]
        (folder / name).write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [
                {"series": key, "values": values} for key, values in SITUATIONS[name][0].items()
            ],
            "promql_expr_test": [expected.as_test() for expected in SITUATIONS[name][1]],
        }
        for name in names
    ]
    files = sorted(path.name for path in folder.glob("modelplane-*.yml"))
    content = {"rule_files": files, "evaluation_interval": interval, "tests": tests}
    (folder / "situations.yml").write_text(yaml.safe_dump(content, width=1_000_000), encoding="utf-8")
    done = subprocess.run(
        [servers.promtool, "test", "rules", "situations.yml"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def is_long(name: str) -> bool:
    return max(expected.minute for expected in SITUATIONS[name][1]) > LONG_MINUTES


def test_situations_of_hours(servers: Servers, tmp_path: Path) -> None:
    complaints = evaluate(servers, tmp_path, "1m", [name for name in SITUATIONS if not is_long(name)])
    assert not complaints, complaints


def test_situations_of_days(tmp_path: Path) -> None:
    newest = available_servers()[-1]
    complaints = evaluate(newest, tmp_path, "4m", [name for name in SITUATIONS if is_long(name)])
    assert not complaints, complaints


def test_every_alert_has_a_situation_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    expectations = [expected for _, several in SITUATIONS.values() for expected in several]
    firing = {expected.alert for expected in expectations if expected.instances}
    silent = {expected.alert for expected in expectations if not expected.instances}
    always = {"Watchdog"}
    assert firing == {alert.name for alert in ALERTS} - ELSEWHERE
    assert silent == firing - always
