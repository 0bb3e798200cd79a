"""Calls that fail, are slow, or stop, and SLOs."""

from __future__ import annotations

from alert_situations.building import (
    HOUR,
    Expected,
    Situations,
    calls,
    latencies,
    loaded,
)

# From minute 30 on half of the calls of user-A fail for half an hour.
BURNING = {
    **loaded(instance="a"),
    **loaded(instance="b"),
    **calls("0+100x200"),
    **calls("0x30 0+100x30 3000x140", "failure"),
    **calls("0+100x200", tenant_id="user-B"),
    **calls("0x200", "failure", tenant_id="user-B"),
}

CALLS: Situations = {
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
    "a development version whose process is gone": (
        {
            **loaded("1x40 stale", model_version="v9", stage="development"),
            **calls("0+10x40 stale", "failure", model_version="v9"),
        },
        [
            Expected(35, "ModelSloBurn", 0),
            *(Expected(minute, "ModelSloBurnSlow", 0) for minute in (60, 100, 160)),
        ],
    ),
    "a version that is promoted by its processes, of which one is still the old": (
        {
            **loaded("1x200", model_name="plain", model_version="v9", stage="development", instance="a"),
            **loaded("_x60 1x140", model_name="plain", model_version="v9", stage="production", instance="b"),
            **calls("0+10x200", "failure", model_name="plain", model_version="v9"),
        },
        [
            Expected(50, "ModelErrorRatioHigh", 0),
            Expected(90, "ModelErrorRatioHigh", 1, severity="critical"),
        ],
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
    "one cluster of two loses the buckets of its SLO": (
        {
            **loaded(cluster="eu"),
            **loaded(cluster="us"),
            **calls("0+10x300", cluster="eu"),
            **calls("0+10x300", cluster="us"),
            **latencies("0+10x60 stale", "0+10x60 stale", cluster="eu"),
            **latencies("0+10x300", "0+10x300", cluster="us"),
        },
        [
            Expected(100, "ModelSloWithoutData", 0),
            Expected(200, "ModelSloWithoutData", 1, owner="vision", cluster="eu"),
            Expected(200, "ModelSloWithoutData", 0, cluster="us"),
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
}
