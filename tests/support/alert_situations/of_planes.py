"""Processes, what models say, costs, and the monitoring itself."""

from __future__ import annotations

from alert_situations.building import (
    DAY,
    Expected,
    Situations,
    call_labels,
    calls,
    labelled,
    loaded,
)

PLANES: Situations = {
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
        [Expected(1, "Watchdog", 1, severity="info"), Expected(100, "Watchdog", 1)],
    ),
}
