"""Recorded drift, evaluated by promtool on generated counters, against sums written out in plain Python."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from generations import Servers
from modelplane_alerts.render import DEMO_CONFIG, rule_files
from modelplane_schema.metrics import (
    BASELINE_OBSERVATIONS,
    BASELINE_RATIO,
    MISSING_BIN,
    SIGNAL_DEVIATION_NEGATIVE,
    SIGNAL_DEVIATION_POSITIVE,
    SIGNAL_DEVIATION_SQUARE,
    SIGNAL_OBSERVATIONS,
)
from modelplane_schema.recorded import CALIBRATION_SERIES, SIGNAL_SERIES, SIGNAL_WINDOWS
from modelplane_schema.registry import Drift, parse_registry
from promtool import complaints
from rule_groups import groups_behind, groups_of, series_in

pytestmark = pytest.mark.slow

MINUTES = 60
REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: user-A}]
models:
  - {name: resnet50, framework: pytorch, owner: x, tenants: [user-A], versions: [{version: v1}],
     drift: {min_observations: 50}}
""")
VERSION = {"model_name": "resnet50", "model_version": "v1", "framework": "pytorch"}
SIGNAL = {"kind": "input", "signal": "age", "baseline": "0a1b2c3d"}
TENANT = {"tenant_id": "__all__"}
BINS = ("00", "01", "02", MISSING_BIN)
TRAINING = (400, 300, 290, 10)

Check = Callable[[list[dict[str, str]], list[dict[str, Any]]], None]


def series(name: str, labels: Mapping[str, str], values: str) -> dict[str, str]:
    return {"series": selector(name, labels), "values": values}


def selector(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ", ".join(f"{label}={json.dumps(value)}" for label, value in labels.items()) + "}"


def growing(total: float) -> str:
    """A counter that is 0 for half an hour, then ``total``, so that its `increase` is exactly that."""
    return f"0x{MINUTES // 2} {total!r}x{MINUTES // 2 - 1}"


def counters(counts: Iterable[float], bins: Iterable[str] = BINS, **labels: str) -> list[dict[str, str]]:
    identity = {**VERSION, **TENANT, **SIGNAL, **labels}
    return [
        series(SIGNAL_OBSERVATIONS.name, {**identity, "bin": name}, growing(count))
        for name, count in zip(bins, counts, strict=True)
    ]


def baseline(
    training: Sequence[int] = TRAINING, bins: Iterable[str] = BINS, values: str = f"x{MINUTES}", **labels: str
) -> list[dict[str, str]]:
    identity, m = {**VERSION, **SIGNAL, **labels}, sum(training)
    ratios = [
        series(BASELINE_RATIO.name, {**identity, "bin": name}, f"{count / m!r}{values}")
        for name, count in zip(bins, training, strict=True)
    ]
    return [*ratios, series(BASELINE_OBSERVATIONS.name, identity, f"{m}{values}")]


def deviations(
    positive: float, negative: float, square: float = 1000.0, **labels: str
) -> list[dict[str, str]]:
    identity = {**VERSION, **TENANT, **SIGNAL, **labels}
    return [
        series(SIGNAL_DEVIATION_POSITIVE.name, identity, growing(positive)),
        series(SIGNAL_DEVIATION_NEGATIVE.name, identity, growing(negative)),
        series(SIGNAL_DEVIATION_SQUARE.name, identity, growing(square)),
    ]


def golden(counts: Sequence[float], training: Sequence[int] = TRAINING) -> dict[str, float]:
    """n, psi, its noise and the shift of what is missing as the design writes them."""
    used = [(c, t) for c, t in zip(counts, training, strict=True) if c > 0 or t > 0]
    n, m, bins = math.fsum(counts), sum(training), len(used)
    pairs = [((c + 0.5) / (n + bins / 2), (t + 0.5) / (m + bins / 2)) for c, t in used]
    return {
        "modelplane:signal_observations:increase": n,
        "modelplane:signal_psi:": math.fsum((p - q) * math.log(p / q) for p, q in pairs),
        "modelplane:signal_psi_noise:": (bins - 1) * (1 / n + 1 / m) if n else math.nan,
        "modelplane:signal_missing_shift:": counts[-1] / n - training[-1] / m if n else math.nan,
    }


def is_close(prefix: str, expected: float, minute: int = MINUTES, **labels: str) -> list[dict[str, Any]]:
    """Cases: over each window there is exactly one value, it is ``expected``, its labels are as declared."""
    identity = {**VERSION, **TENANT, **SIGNAL, **labels}
    return [
        {
            "expr": f"abs({selector(prefix + window, identity)} - {expected!r}) < bool 1e-9",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": selector("", identity), "value": 1}],
        }
        for window in SIGNAL_WINDOWS
    ]


def all_close(values: Mapping[str, float], **labels: str) -> list[dict[str, Any]]:
    cases = (is_close(prefix, value, MINUTES, **labels) for prefix, value in values.items())
    return [case for of_prefix in cases for case in of_prefix]


def absent(prefix: str, **labels: str) -> list[dict[str, Any]]:
    return [
        {"expr": selector(prefix + window, labels), "eval_time": f"{MINUTES}m", "exp_samples": []}
        for window in SIGNAL_WINDOWS
    ]


@pytest.fixture(scope="module")
def groups() -> list[dict[str, Any]]:
    return groups_of(rule_files(REGISTRY))


@pytest.fixture
def check(servers: Servers, groups: list[dict[str, Any]], tmp_path: Path) -> Check:
    """Evaluate the rendered rules that record what the cases read, on the series given, and compare."""

    def run(inputs: list[dict[str, str]], cases: list[dict[str, Any]]) -> None:
        needed = groups_behind(groups, set().union(*(series_in(case["expr"]) for case in cases)))
        test = {
            "evaluation_interval": "5m",  # what is asked for are values of minutes 30 and 60
            "group_eval_order": [group["name"] for group in needed],
            "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": cases}],
        }
        assert complaints(servers.promtool, tmp_path, needed, test) == ""

    return run


@pytest.mark.parametrize(
    ("counts", "training"),
    [
        ((400, 300, 290, 10), TRAINING),
        ((40_000.5, 30_000.25, 28_999.25, 1_000), TRAINING),
        ((100, 300, 550, 50), TRAINING),
        ((0, 0, 120, 0), TRAINING),
        ((0, 50, 50, 20), (500, 250, 250, 0)),
        ((0, 60, 60, 0), (500, 250, 250, 0)),
        ((70, 60, 50, 1), (1, 0, 0, 0)),
        ((80, 0, 0, 0), (7, 0, 0, 0)),
    ],
    ids=[
        "no drift", "fractions", "drift", "empty live bins", "empty baseline bin", "empty on both sides",
        "tiny baseline", "constant",
    ],
)  # fmt: skip
def test_psi_and_noise(check: Check, counts: Sequence[float], training: Sequence[int]) -> None:
    check([*counters(counts), *baseline(training)], all_close(golden(counts, training)))


def test_what_the_goldens_are_near() -> None:
    assert golden(TRAINING)["modelplane:signal_psi:"] == pytest.approx(0, abs=1e-15)
    # By hand from the shares alone: 0.3 ln 4 + 0.26 ln(55/29) + 0.04 ln 5; smoothing takes a little.
    assert golden((100, 300, 550, 50))["modelplane:signal_psi:"] == pytest.approx(0.6467, abs=0.008)
    assert golden((100, 300, 550, 50))["modelplane:signal_psi_noise:"] == pytest.approx(0.006)


def test_categories_of_any_name(check: Check) -> None:
    bins = ('a"b\\', "ü", "__other__", MISSING_BIN)
    counts = (30, 20, 10, 0)
    check([*counters(counts, bins), *baseline(bins=bins)], all_close(golden(counts)))


def test_two_replicas_are_one_and_share_one_baseline(check: Check) -> None:
    first, second = (100, 20, 0, 7), (50, 0, 30, 3)
    inputs = [
        *counters(first, instance="a"), *counters(second, instance="b"),
        *baseline(instance="a"), *baseline(instance="b"),
        *deviations(60, 20, instance="a"), *deviations(0, 10, instance="b"),
    ]  # fmt: skip
    total = [a + b for a, b in zip(first, second, strict=True)]
    check(
        inputs,
        [
            *all_close(golden(total)),
            *is_close("modelplane:signal_mean_shift:", 30 / (sum(total) - 10)),
            *is_close("modelplane:signal_variance_ratio:", 2000 / 200 - (30 / 200) ** 2),
        ],
    )


def test_a_restarted_process_loses_nothing(check: Check) -> None:
    identity = {**VERSION, **TENANT, **SIGNAL}
    # The first sample comes a minute late: the window's left edge belongs to it in Prometheus 2 alone.
    restarted = [
        series(SIGNAL_OBSERVATIONS.name, {**identity, "bin": name}, f"_ 0+{count}x30 0+{count}x28")
        for name, count in zip(BINS, (1, 2, 3, 0), strict=True)
    ]
    check([*restarted, *baseline()], all_close(golden((58, 116, 174, 0))))


def test_a_tenants_signals_beside_those_of_all(check: Check) -> None:
    everyone, many, few = (200, 100, 80, 5), (60, 30, 1, 0), (20, 20, 9, 0)
    inputs = [
        *counters(everyone), *counters(many, tenant_id="user-A"), *counters(few, tenant_id="user-B"),
        *baseline(),
    ]  # fmt: skip
    check(
        inputs,
        [
            *all_close(golden(everyone)),
            *all_close(golden(many), tenant_id="user-A"),
            *is_close("modelplane:signal_observations:increase", 49, tenant_id="user-B"),
            *absent("modelplane:signal_psi:", tenant_id="user-B"),
        ],
    )


def test_a_tenant_that_came_within_the_window(check: Check) -> None:
    identity = {**VERSION, **SIGNAL, "tenant_id": "new"}
    late = [
        series(SIGNAL_OBSERVATIONS.name, {**identity, "bin": name}, f"_x40 0+{count}x20")
        for name, count in zip(BINS, (5, 4, 3, 1), strict=True)
    ]
    # promtool writes "_x40" as 40 gaps, so that the first sample, 0, is that of minute 40.
    check([*late, *baseline()], all_close(golden((100, 80, 60, 20)), tenant_id="new"))


@pytest.mark.parametrize(
    ("model", "counts", "emitted"),
    [
        ("resnet50", (20, 19, 10, 0), False),
        ("resnet50", (20, 20, 10, 0), True),
        ("unregistered", (100, 100, 99, 0), False),
        ("unregistered", (100, 100, 100, 0), True),
    ],
)
def test_drift_needs_enough_observations(
    check: Check, model: str, counts: Sequence[int], emitted: bool
) -> None:
    inputs = [
        *counters(counts, model_name=model), *baseline(model_name=model), *deviations(7, 3, model_name=model)
    ]  # fmt: skip
    n = sum(counts)
    expected = {
        **golden(counts),
        "modelplane:signal_mean_shift:": 4 / n,
        "modelplane:signal_variance_ratio:": 1000 / n - (4 / n) ** 2,
    }
    cases = []
    for prefix, value in expected.items():
        always = prefix.endswith(":increase")
        cases += (
            is_close(prefix, value, model_name=model)
            if emitted or always
            else absent(prefix, model_name=model)
        )
    check(inputs, cases)


def test_without_traffic_there_is_n_and_no_drift(check: Check) -> None:
    check(
        [*counters((0, 0, 0, 0)), *baseline(), *deviations(0, 0)],
        [
            *is_close("modelplane:signal_observations:increase", 0),
            *absent("modelplane:signal_psi:"),
            *absent("modelplane:signal_psi_noise:"),
            *absent("modelplane:signal_mean_shift:"),
            *absent("modelplane:signal_variance_ratio:"),
            *absent("modelplane:signal_missing_shift:"),
        ],
    )


def test_the_mean_shifts_without_what_is_missing(check: Check) -> None:
    constant = {"signal": "constant"}
    inputs = [
        *counters((50, 40, 30, 80)), *baseline(), *deviations(12.5, 72.5, 300),
        *counters((100, 0, 0, 0), **constant), *baseline((10, 0, 0, 0), **constant),
        *counters((20, 20, 9, 80), signal="sparse"), *baseline(signal="sparse"),
        *deviations(5, 5, signal="sparse"),
    ]  # fmt: skip
    check(
        inputs,
        [
            *is_close("modelplane:signal_mean_shift:", (12.5 - 72.5) / 120),
            *is_close("modelplane:signal_variance_ratio:", 300 / 120 - 0.25),
            *is_close("modelplane:signal_missing_shift:", 80 / 200 - 10 / 1000),
            *absent("modelplane:signal_mean_shift:", **constant),
            *absent("modelplane:signal_variance_ratio:", **constant),
            *all_close({"modelplane:signal_missing_shift:": 0}, **constant),
            *absent("modelplane:signal_mean_shift:", signal="sparse"),
            *absent("modelplane:signal_variance_ratio:", signal="sparse"),
            *is_close("modelplane:signal_observations:increase", 129, signal="sparse"),
        ],
    )


def test_a_new_baseline_starts_anew(check: Check) -> None:
    old, new = "0a1b2c3d", "ffffffff"
    other = (100, 100, 100, 0)
    identity = {**VERSION, **TENANT, **SIGNAL}
    before = [
        series(SIGNAL_OBSERVATIONS.name, {**identity, "bin": name}, f"0+{count}x30 stale")
        for name, count in zip(BINS, (1, 2, 3, 0), strict=True)
    ]
    after = [
        series(SIGNAL_OBSERVATIONS.name, {**identity, "baseline": new, "bin": name}, f"_x31 0+{count}x29")
        for name, count in zip(BINS, (3, 2, 1, 0), strict=True)
    ]
    check(
        [*before, *baseline(values="x30 stale"), *after, *baseline(other, baseline=new)],
        [
            *is_close("modelplane:signal_observations:increase", 180, minute=30),
            *is_close("modelplane:signal_psi:", golden((30, 60, 90, 0))["modelplane:signal_psi:"], minute=30),
            *absent("modelplane:signal_psi:", baseline=old),
            *all_close(golden((87, 58, 29, 0), other), baseline=new),
        ],
    )


def signal_groups(config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    content = yaml.safe_load(rule_files(REGISTRY, config)["modelplane-rules.yml"])
    return {group["name"]: group for group in content["groups"] if "signal" in group["name"]}


def test_windows_are_configured() -> None:
    groups = signal_groups({"signalWindows": {"1d": None, "7d": "3m"}})
    assert {name: group["interval"] for name, group in groups.items()} == {
        "modelplane-signal-baselines": "1m",
        "modelplane-signals-1h": "1m",
        "modelplane-signals-6h": "2m",
        "modelplane-signals-7d": "3m",
        "modelplane-signals-limits-1h": "1m",
        "modelplane-signals-limits-6h": "2m",
        "modelplane-signals-hourly-1h": "1h",
        "modelplane-signals-hourly-6h": "1h",
    }
    recorded = [rule["record"] for rule in groups["modelplane-signals-7d"]["rules"]]
    assert recorded == [series.over("7d").name for series in SIGNAL_SERIES]
    recorded = [rule["record"] for rule in groups["modelplane-signals-limits-6h"]["rules"]]
    assert list(dict.fromkeys(recorded)) == [series.over("6h").name for series in CALIBRATION_SERIES]
    assert all(
        "[7d]" in rule["expr"] or "[" not in rule["expr"] for rule in groups["modelplane-signals-7d"]["rules"]
    )


@pytest.mark.parametrize("config", [None, DEMO_CONFIG], ids=["default", "demo"])
def test_a_recorded_value_is_renewed_before_prometheus_forgets_it(config: Mapping[str, Any] | None) -> None:
    seconds = {"s": 1, "m": 60}
    for name, group in signal_groups(config).items():
        interval = group["interval"]
        if "hourly" in name:  # what reads them looks back for days
            assert interval == "1h"
            continue
        assert int(interval[:-1]) * seconds[interval[-1]] < 5 * 60


def test_the_default_minimum_is_that_of_the_registry() -> None:
    rules = signal_groups()["modelplane-signals-1h"]["rules"]
    psi = next(rule["expr"] for rule in rules if "signal_psi:" in rule["record"])
    assert f"* {Drift().min_observations})" in psi


def test_counters_are_read_once_for_each_window() -> None:
    for name, group in signal_groups().items():
        raw = [rule for rule in group["rules"] if f"{SIGNAL_OBSERVATIONS.name}[" in rule["expr"]]
        assert len(raw) == bool(re.fullmatch("modelplane-signals-[0-9]+[hd]", name))
