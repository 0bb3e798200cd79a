"""Signals of every shape in one request: each value is that of its signal alone, from its own counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply, vector_reply
from modelplane_datasource.catalogue import find_metric
from modelplane_datasource.drift import bin_counts, formulas, series
from modelplane_datasource.drift.parameters import METHODS
from modelplane_datasource.series.request import read_selection
from modelplane_datasource.timeline.grid import Grid

STEP, START, TIMES = 60, 1_698_400_800, 4
TRAINED, OTHER, MISSING = 4_000, "__other__", "__missing__"
PATH = (
    f"/api/v1/metrics/drift?model-name=churn&from={START * 1000}&to={(START + STEP * (TIMES - 1)) * 1000}"
    f"&step={STEP}&min-observations=1"
)
FloatArray = npt.NDArray[np.float64]


class CountedSignal(NamedTuple):
    """A signal with its counts of shape (times, bins), live and of the 7 days before, and its sums.

    ``deviations`` and ``squares`` are live and of the 7 days before.
    """

    labels: Mapping[str, str]
    bins: tuple[str, ...]
    live: FloatArray
    before: FloatArray
    ratios: FloatArray | None
    deviations: tuple[FloatArray, FloatArray] | None
    squares: tuple[FloatArray, FloatArray] | None

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.labels.values())


def population() -> list[CountedSignal]:
    """Ranges, categories and counts at random; the third time of the second tenant is a gap.

    One signal has no baseline. The first bin of each held nothing before and in training.
    """
    chance = np.random.default_rng(5)
    shapes = (
        [(f"{index:02d}" for index in range(width)) for width in (2, 5, 5, 10)]
        + [("00", "01", MISSING), ("02", "10", "00", "01", MISSING), ("red", OTHER, MISSING)]
        + [("zebra", "ant", OTHER, MISSING), ("a", OTHER), (MISSING, "b", OTHER, "~")]
    )
    result = []
    for index, names in enumerate(tuple(shape) for shape in shapes):
        order = sorted(names, key=lambda name: (name == MISSING, name == OTHER, name))
        shares_of_counts = [0.0, *chance.dirichlet(np.ones(len(order) - 1))]
        ratios = None if index == 1 else np.array(shares_of_counts)
        for tenant in ("user-A", "user-B"):
            live, before = chance.integers(0, 40, (2, TIMES, len(order))).astype(float)
            before[:, 0] = 0
            if tenant == "user-B":
                live[2] = math.nan
            sums = None if OTHER in names else tuple(chance.normal(0, 20, (2, TIMES)))
            squares = None if sums is None else tuple(20 + column**2 for column in sums)
            labels = {
                "model_name": "churn", "model_version": "v1", "tenant_id": tenant, "kind": "input",
                "signal": f"signal {index}", "baseline": "a1b2c3d4",
            }  # fmt: skip
            result.append(CountedSignal(labels, tuple(order), live, before, ratios, sums, squares))
    return result


def points(values: FloatArray) -> list[tuple[float, str]]:
    times = range(START, START + STEP * TIMES, STEP)
    return [(at, str(value)) for at, value in zip(times, values, strict=True) if not math.isnan(value)]


class Prometheus:
    """Answers in an order that has nothing to do with that of the bins, and leaves out what is always 0."""

    def __init__(self, signals: list[CountedSignal], matrix: Any, vector: Any) -> None:
        self._signals, self._matrix, self._vector = signals, matrix, vector

    def __call__(self, path: str, form: dict[str, str]) -> Any:
        query = form["query"]
        is_before = "offset" in query
        if path == "/api/v1/query":
            return self._vector(*self._trained("ratio" in query))
        series = list(self._sums(query, is_before) if "deviation" in query else self._counts(is_before))
        np.random.default_rng(len(query)).shuffle(series)
        return self._matrix(*series)

    def _trained(self, is_ratio: bool) -> Iterator[tuple[dict[str, str], float]]:
        for signal in self._signals:
            labels = {name: value for name, value in signal.labels.items() if name != "tenant_id"}
            if signal.ratios is None:
                continue
            if is_ratio:
                ratios = zip(signal.bins, signal.ratios.tolist(), strict=True)
                yield from (({**labels, "bin": name}, ratio) for name, ratio in ratios if ratio)
                yield {**labels, "bin": "of training only"}, 0.25
            else:
                yield labels, float(TRAINED)

    def _counts(self, is_before: bool) -> Iterator[tuple[dict[str, str], list[tuple[float, str]]]]:
        for signal in self._signals:
            counts = signal.before if is_before else signal.live
            for name, column in zip(signal.bins, counts.T, strict=True):
                if column.any():
                    yield {**signal.labels, "bin": name}, points(column)

    def _sums(self, query: str, is_before: bool) -> Iterator[tuple[dict[str, str], list[tuple[float, str]]]]:
        for signal in self._signals:
            sums = signal.squares if "square" in query else signal.deviations
            if sums is not None:
                yield dict(signal.labels), points(sums[is_before])


def expected(signal: CountedSignal, method: str, is_previous: bool) -> tuple[FloatArray, FloatArray] | None:
    """Values and n at each time, from the formulas on one vector of bins after the other."""
    if signal.ratios is None and not is_previous:
        return None
    values, sizes = [], []
    for at in range(TIMES):
        counts, ratios, size = signal.live[at], signal.ratios, float(TRAINED)
        if is_previous:
            size = signal.before[at].sum()
            ratios = signal.before[at] / size
        assert ratios is not None
        value, n = value_at(signal, method, at, (counts, ratios, size), is_previous)
        values.append(value)
        sizes.append(n)
    return np.array(values), np.array(sizes)


def value_at(
    signal: CountedSignal,
    method: str,
    at: int,
    given: tuple[FloatArray, FloatArray, float],
    is_previous: bool,
) -> tuple[float, float]:
    counts, ratios, size = given
    present = [index for index, name in enumerate(signal.bins) if name != MISSING]
    if method == "psi":
        return float(formulas.psi(counts, ratios, size)), counts.sum()
    if method == "js_distance":
        return float(formulas.js_distance(counts, ratios)), counts.sum()
    if method == "missing_shift":
        missing = signal.bins.index(MISSING)
        return counts[missing] / counts.sum() - ratios[missing], counts.sum()
    n, known = counts[present].sum(), size * ratios[present].sum()
    if method == "ks":
        return float(formulas.ks(counts[present], ratios[present])), n
    assert signal.deviations is not None
    assert signal.squares is not None
    shift = signal.deviations[0][at] / n
    before = signal.deviations[1][at] / known if is_previous else 0.0
    if method == "variance_ratio":
        variance = max(signal.squares[0][at] / n - shift**2, 0.0)
        earlier = max(signal.squares[1][at] / known - before**2, 0.0) if is_previous else 1.0
        return variance / earlier if earlier > 0 else math.nan, n
    shift -= before
    return shift if method == "mean_shift" else shift / math.sqrt(1 / n + 1 / known), n


@pytest.mark.slow
@pytest.mark.parametrize("block_values", [1, 50, bin_counts._BLOCK_VALUES])
@pytest.mark.parametrize("reference", ["baseline", "previous:7d"])
@pytest.mark.parametrize("method", METHODS)
def test_each_signal_among_many_is_as_alone(
    upstream: FakePrometheus, client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch, method: str, reference: str, block_values: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(bin_counts, "_BLOCK_VALUES", block_values)
    signals = population()
    upstream.reply = Prometheus(signals, matrix_reply, vector_reply)
    body = client.get(f"{PATH}&tenant-id=user-A&tenant-id=user-B&method={method}&reference={reference}").json
    assert body is not None
    lines = {tuple(line["labels"].values())[:-1]: line["data"] for line in body["data"]}
    wanted = {
        signal.key: expected(signal, method, "previous" in reference)
        for signal in signals
        if applies(signal, method)
    }
    wanted = {key: result for key, result in wanted.items() if result is not None}
    assert list(lines) == sorted(wanted)
    for key, result in wanted.items():
        assert result is not None
        for point, value, n in zip(lines[key], *result, strict=True):
            assert point["n"] == (None if math.isnan(n) else n)
            if math.isnan(value):
                assert point["y"] is None
            else:
                assert point["y"] == pytest.approx(value, rel=1e-12, abs=1e-12)


def test_what_is_no_number_is_none(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = Prometheus(population(), matrix_reply, vector_reply)
    requested = {"model-name": ["churn"], "tenant-id": ["user-A", "user-B"], "min-observations": ["1"]}
    scope = read_selection(find_metric("drift"), requested)
    grid = Grid(START * 1000, (START + STEP * (TIMES - 1)) * 1000, STEP * 1000)
    plane = client.application.extensions["modelplane"]
    for line in series.compute(plane, scope, grid).series:
        is_gap = [line.labels["tenant_id"] == "user-B" and at == 2 for at in range(TIMES)]
        for column in (line.values, *line.extra.values()):
            assert [value is None for value in column] == is_gap


def applies(signal: CountedSignal, method: str) -> bool:
    """Categories have no order and no moments, and not every signal counts what is missing."""
    if method == "missing_shift":
        return MISSING in signal.bins
    return method in ("psi", "js_distance") or OTHER not in signal.bins


def test_a_label_that_prometheus_leaves_out_is_empty(upstream: FakePrometheus, client: FlaskClient) -> None:
    (first, *_) = population()
    labels = {name: value for name, value in first.labels.items() if name != "model_version"}
    unversioned = first._replace(labels=labels)
    upstream.reply = Prometheus([unversioned], matrix_reply, vector_reply)
    body = client.get(PATH + "&tenant-id=user-A").json
    assert body is not None
    (line,) = body["data"]
    assert line["labels"] == {**first.labels, "model_version": "", "method": "psi"}
    result = expected(first, "psi", False)
    assert result is not None
    assert [point["y"] for point in line["data"]] == pytest.approx(result[0].tolist(), rel=1e-12)
