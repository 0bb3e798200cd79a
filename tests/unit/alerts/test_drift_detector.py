"""The rules of drift decide as the backend does: limits, and what has moved, by promtool and by NumPy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from drift_detector import Detector, Floats, Values, detect
from generations import Servers
from modelplane_alerts.render import rule_files
from modelplane_datasource.drift import formulas
from modelplane_schema import recorded
from modelplane_schema.calibration import ARMS, PSI, TWO_SIDED_ARMS
from modelplane_schema.metrics import MISSING_BIN
from modelplane_schema.registry import parse_registry
from promtool import complaints
from rule_groups import signal_windows

pytestmark = pytest.mark.slow

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: x, tenants: [a], versions: [{version: v1}]}]
""")
WINDOW, HOURS, TRAINING = "1h", 62, 20_000
IDENTITY = {
    "model_name": "m", "model_version": "v1", "tenant_id": "__all__", "framework": "jax", "kind": "input",
    "baseline": "b",
}  # fmt: skip
RATIOS = np.array([0.3, 0.4, 0.2, 0.1])
BINS = ("00", "01", "02", MISSING_BIN)
COUNTS, DEVIATIONS, SQUARES = (
    series.over(WINDOW)
    for series in (
        recorded.SIGNAL_BIN_INCREASE,
        recorded.SIGNAL_DEVIATION_INCREASE,
        recorded.SIGNAL_DEVIATION_SQUARE_INCREASE,
    )
)
FED = (recorded.SIGNAL_BIN_BASELINE, COUNTS, DEVIATIONS, SQUARES)
SIGNALS = ("calm", "other shares", "higher", "scattered", "missing", "jump", "gap", "new", "rare", "lower")


class Fed:
    """Counts and sums of deviations of each hour, in the order of ``SIGNALS``; NaN for no sample."""

    def __init__(self) -> None:
        random = np.random.default_rng(17)
        shape = (len(SIGNALS), HOURS)
        shares = np.broadcast_to(RATIOS, (*shape, len(BINS))).copy()
        mean, variance = random.normal(0, 0.03, shape), random.normal(1, 0.05, shape)
        of = SIGNALS.index
        shares[of("other shares"), 54:] = (0.2, 0.4, 0.3, 0.1)
        shares[of("missing"), 55:] = (0.28, 0.38, 0.18, 0.16)
        mean[of("higher"), 56:], mean[of("lower"), 54:58] = 0.3, -0.25
        variance[of("scattered"), 55:], variance[of("jump"), 57] = 1.8, 9.0
        n = np.full(shape, 2000)
        n[of("rare")] = 200
        counts = random.multinomial(n, shares).astype(float)
        counts[of("gap"), 7:25] = counts[of("new"), :30] = np.nan
        present = counts[..., :-1].sum(axis=-1)
        self.counts = counts
        self.deviations, self.squares = mean * present, (variance + mean**2) * present

    def values(self) -> Values:
        """The formulas of the backend on what is fed."""
        n = self.counts.sum(axis=-1)
        known = np.nan_to_num(self.counts)
        enough, present = n >= 300, self.counts[..., :-1].sum(axis=-1)
        mean = self.deviations / present
        return Values(
            *(
                np.where(enough, value, np.nan)
                for value in (
                    formulas.psi(known, RATIOS, TRAINING),
                    formulas.psi_noise(known, RATIOS, TRAINING),
                    np.where(present >= 300, mean, np.nan),
                    np.where(present >= 300, self.squares / present - mean**2, np.nan),
                    self.counts[..., -1] / n - RATIOS[-1],
                )
            )
        )

    def series(self) -> Iterator[dict[str, str]]:
        for bin_, ratio in zip(BINS, RATIOS, strict=True):
            for signal in SIGNALS:
                labels = {**IDENTITY, "signal": signal, "bin": bin_}
                del labels["tenant_id"]
                yield written(recorded.SIGNAL_BIN_BASELINE.name, labels, [TRAINING * ratio] * HOURS)
        for row, signal in enumerate(SIGNALS):
            for place, bin_ in enumerate(BINS):
                labels = {**IDENTITY, "signal": signal, "bin": bin_}
                yield written(COUNTS.name, labels, self.counts[row, :, place])
            of_signal = {**IDENTITY, "signal": signal}
            yield written(DEVIATIONS.name, of_signal, self.deviations[row])
            yield written(SQUARES.name, of_signal, self.squares[row])


def expected_series(name: str, values: Floats) -> Iterator[dict[str, str]]:
    for signal, row in zip(SIGNALS, values, strict=True):
        yield written("expected", {"of": name, "signal": signal}, row)


def written(name: str, labels: Mapping[str, str], values: Iterable[float]) -> dict[str, str]:
    samples = " ".join("_" if np.isnan(value) else repr(float(value)) for value in values)
    return {"series": f"{name}{{{selected(labels)}}}", "values": samples}


def selected(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())


def expected(values: Values, detector: Detector) -> dict[str, Floats]:
    """By recorded series, and ``method`` of what has moved, its values of shape (signals, hours)."""
    has_psi = ~np.isnan(values.psi)
    series = {
        recorded.SIGNAL_PSI.over(WINDOW).name: values.psi,
        recorded.SIGNAL_PSI_LIMIT.over(WINDOW).name: detector.limits[PSI][0],
        recorded.SIGNAL_WARMING_UP.over(WINDOW).name: np.where(has_psi, detector.warming_up, np.nan),
    }
    for arm in TWO_SIDED_ARMS:
        low, high = detector.limits[arm.method]
        series |= {arm.series.over(WINDOW).name: values.of(arm.method)}
        series |= {arm.low.over(WINDOW).name: low, arm.high.over(WINDOW).name: high}
    for method, moved in zip(ARMS, detector.moved, strict=True):
        name = f'{recorded.SIGNAL_MOVED.over(WINDOW).name}{{method="{method}"}}'
        series[name] = np.where(moved, values.of(method), np.nan)
    return series


def cases(name: str, values: npt.NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    """At each hour there are the values expected, and no others."""
    same = f"abs({name} - on (signal) expected{{of={json.dumps(name)}}}) < 1e-9"
    samples = int((~np.isnan(values)).sum())
    for expression, value in (
        (f"sum(sum_over_time(count({name})[{HOURS}h:1h])) or vector(0)", samples),
        (f"sum(sum_over_time(count({same})[{HOURS}h:1h])) or vector(0)", samples),
    ):
        yield {
            "expr": expression,
            "eval_time": f"{HOURS - 1}h",
            "exp_samples": [{"labels": "{}", "value": value}],
        }


def rules() -> list[dict[str, Any]]:
    """The groups of rules of one window, without those whose series the test feeds."""
    text = rule_files(REGISTRY, {"signalWindows": signal_windows("1m", WINDOW)})["modelplane-rules.yml"]
    groups = [group for group in yaml.safe_load(text)["groups"] if "signal" in group["name"]]
    fed = {series.name for series in FED}
    return [
        {**group, "rules": [rule for rule in group["rules"] if rule["record"] not in fed]} for group in groups
    ]


def test_the_rules_decide_as_the_backend_does(servers: Servers, tmp_path: Path) -> None:
    fed = Fed()
    values = fed.values()
    detector = detect(values, per_hour=1)
    assert {SIGNALS[row] for row in np.flatnonzero(detector.moved.any(axis=(0, 2)))} == {
        "other shares", "higher", "scattered", "missing", "jump", "lower",
    }  # fmt: skip
    groups, wanted = rules(), expected(values, detector)
    content = {
        "evaluation_interval": "1h",
        # Else promtool takes groups in any order, and a value of an hour ago is forgotten.
        "group_eval_order": [group["name"] for group in groups],
        "tests": [
            {
                "interval": "1h",
                "input_series": [
                    *fed.series(),
                    *(line for each in wanted.items() for line in expected_series(*each)),
                ],
                "promql_expr_test": [case for each in wanted.items() for case in cases(*each)],
            }
        ],
    }
    assert complaints(servers.promtool, tmp_path, groups, content) == ""
