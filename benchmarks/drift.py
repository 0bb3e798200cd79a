"""How quickly drift is computed, beside Evidently and NannyML with the raw rows of the same data.

First the backend alone: 10,000 signal-windows of 22 bins by all methods, as formulas on arrays, as series
from Prometheus' parsed answers, and from the same as the JSON of the HTTP route, one request for each method;
a round begins with nothing else kept.
Then psi, js_distance and ks of 50 features, 10,000 live rows against 50,000 of training: ours counts the rows
where the model runs and works from counts; the peers work from the rows. Each subject does a round in turn,
after a round that is not counted. Ratios of CPU time are medians over the rounds. Last, by how much the
figures differ, and by how much when our formulas get the peer's bins. A peer that is not installed is left
out, and the JSON says so. Prints JSON.
"""

from __future__ import annotations

import io
import json
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pandas as pd
from flask import Flask
from prometheus_client import CollectorRegistry
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp
from signals import Subject, installed, measured, report
from support.drift_answers import END, Array, Counts, Fetched
from support.drift_peers import evidently_report, evidently_tests, nannyml_fit, nannyml_values

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.cache import SingleFlightCache
from modelplane_datasource.catalogue import find_metric
from modelplane_datasource.context import AppContext
from modelplane_datasource.drift import formulas
from modelplane_datasource.drift.parameters import METHODS
from modelplane_datasource.drift.series import compute
from modelplane_datasource.series.request import read_selection
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.caller import ANYONE, set_caller
from modelplane_datasource.timeline.grid import Grid
from modelplane_exporter import Baseline, ModelMetricsExporter
from modelplane_exporter.exposition import signal_text
from modelplane_exporter.layout.signals import layout_of
from modelplane_exporter.store.stores import store_for

SHAPES = ((100, 100), (1_000, 10), (10_000, 1))
RANGES, TRAINING = 21, 50_000
FEATURES = [f"feature_{number:02d}" for number in range(50)]
ROWS, FARTHEST = 10_000, 0.5
PEER_METHODS = ("psi", "js_distance", "ks")
# What docs/performance.md has times of; all methods are checked, and their queries counted.
TIMED_METHODS = ("psi", "js_distance", "ks", "mean_shift", "mean_shift_z")
LIMIT = 1.0


@contextmanager
def application(fetched: Fetched) -> Iterator[Flask]:
    """The backend with Prometheus' answers at hand."""
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'alerts.db'}"
        app = create_app(Settings(database_url=database, max_series=10_000), clock=lambda: END / 1000)
        prometheus: Any = app.extensions["modelplane"].prometheus
        prometheus.query_table, prometheus.query = fetched.query_table, fetched.query
        try:
            yield app
        finally:
            close_app(app)


def by_bins(counts: Counts) -> dict[str, Array]:
    """What needs nothing but bins, of (signals, windows) by method."""
    given = (counts.live, counts.ratios[:, None])
    return {
        "psi": formulas.psi(*given, counts.observations),
        "psi_noise": formulas.psi_noise(*given, counts.observations),
        "js_distance": formulas.js_distance(*given),
        "ks": formulas.ks(*(values[..., :-1] for values in given)),
    }


def by_all(counts: Counts) -> dict[str, Array]:
    """All methods."""
    n, known = counts.live[..., :-1].sum(axis=-1), counts.ratios[:, None, :-1].sum(axis=-1)
    sums = (np.maximum(counts.deviations, 0), np.maximum(-counts.deviations, 0))
    shift, missing = formulas.mean_shift(*sums, n), counts.live[..., -1]
    return {
        **by_bins(counts),
        "mean_shift": shift,
        "mean_shift_z": formulas.mean_shift_z(shift, n, counts.observations * known),
        "variance_ratio": formulas.variance_ratio(counts.squares, shift, n),
        "missing_shift": formulas.missing_shift(missing, n + missing, counts.ratios[:, None, -1]),
    }


def forget(context: AppContext) -> None:
    """Keep nothing of what was computed before."""
    object.__setattr__(context, "cache", SingleFlightCache(context.settings.max_cache_bytes))


def series(context: AppContext, grid: Grid, methods: tuple[str, ...]) -> dict[str, Array]:
    """The same, as the route computes them from Prometheus' answers."""
    forget(context)
    set_caller(ANYONE)
    values = {}
    for method in methods:
        selection = read_selection(find_metric("drift"), {"model-name": ["m"], "method": [method]})
        result = compute(context, selection, grid)
        values[method] = np.array([line.values for line in result.series], np.float64)
    return values


def route(app: Flask, grid: Grid, methods: tuple[str, ...]) -> None:
    """The same, as JSON over HTTP."""
    forget(app.extensions["modelplane"])
    client = app.test_client()
    query = f"model-name=m&from={grid.start}&to={grid.end}&step={grid.step // 1000}s"
    answers = [client.get(f"/api/v1/metrics/drift?{query}&method={method}") for method in methods]
    assert all(answer.status_code == 200 and answer.data for answer in answers), answers


def signal_windows(signals: int, windows: int, rounds: int = 7) -> dict[str, Any]:
    """All methods over counts at random, from 5,000 observations in a window."""
    chance = np.random.default_rng(1)
    ratios = chance.dirichlet(np.full(RANGES + 1, 20.0), signals)
    live = chance.multinomial(5_000, ratios, (windows, signals)).swapaxes(0, 1).astype(np.float64)
    deviations = chance.normal(0, 70, (signals, windows))
    counts = Counts(live, ratios, TRAINING, deviations, chance.normal(5_000, 100, (signals, windows)))
    fetched = Fetched(counts)
    with application(fetched) as app:
        context = app.extensions["modelplane"]
        of_series, of_arrays = series(context, fetched.grid, METHODS), by_all(counts)
        for method in METHODS:
            np.testing.assert_allclose(of_series[method], of_arrays[method], rtol=1e-9, atol=1e-9)
        subjects = {
            "formulas": Subject(lambda: by_all(counts)),
            "series": Subject(lambda: series(context, fetched.grid, TIMED_METHODS)),
            "route": Subject(lambda: route(app, fetched.grid, TIMED_METHODS)),
        }
        took = report(measured(subjects, rounds), 1.0)["took"]
        queries = queries_by_method(app, fetched)
    return {"signals": signals, "windows": windows, "bins": RANGES + 1, **took, "queries": queries}


def queries_by_method(app: Flask, fetched: Fetched) -> dict[str, int]:
    """How many queries a request makes when nothing is kept."""
    counted = {}
    for method in METHODS:
        before = fetched.queries
        route(app, fetched.grid, (method,))
        counted[method] = fetched.queries - before
    return counted


class Data(NamedTuple):
    """Raw rows, and a model service that counts them."""

    reference: pd.DataFrame
    live: pd.DataFrame
    service: Service


class Service:
    """A model's process: the exporter with the baseline, and a call of it that is observed."""

    def __init__(self, baseline: Baseline) -> None:
        registry = CollectorRegistry()
        exporter = ModelMetricsExporter("m", "v1", "t", "sklearn", baseline=baseline, registry=registry)
        self.baseline, self.store, self.call = baseline, store_for(registry), exporter.track()
        self.seen = self.cells()

    def cells(self) -> Array:
        """Counts of (signals, bins) since the start; every signal has as many bins."""
        ((_, _, (snapshot,)),) = self.store.local_signals()
        bins = snapshot.cells[: layout_of(self.baseline).bins]
        return np.array(bins, dtype=np.float64).reshape(len(self.baseline.signals), -1)

    def count(self, rows: pd.DataFrame) -> Counts:
        """The counts of these rows alone."""
        self.call.features(rows)
        before, self.seen = self.seen, self.cells()
        ratios = np.array([signal.ratios for signal in self.baseline.signals])
        live = (self.seen - before)[:, None]
        sums = np.zeros(live.shape[:2])
        return Counts(live, ratios, float(self.baseline.signals[0].observations), sums, sums)

    def exposition(self) -> bytes:
        """The lines of a scrape that are about signals."""
        state = self.store.state()
        return b"".join(signal_text.chunks(state.signals, state.baselines, openmetrics=False))


def generate_data() -> Data:
    """Normal features; the live mean of the last is ``FARTHEST`` standard deviations off, of the first 0."""
    chance = np.random.default_rng(0)
    reference = pd.DataFrame(chance.normal(size=(TRAINING, len(FEATURES))), columns=FEATURES)
    means = np.linspace(0, FARTHEST, len(FEATURES))
    live = pd.DataFrame(chance.normal(means, 1, (ROWS, len(FEATURES))), columns=FEATURES)
    return Data(reference, live, Service(Baseline.fit("m", reference)))


def raw_rows(data: Data, rounds: int = 5) -> dict[str, Any]:
    counts = data.service.count(data.live)
    fetched = Fetched(counts)
    with application(fetched) as app:
        subjects = {
            "modelplane_rows": Subject(lambda: by_bins(data.service.count(data.live))),
            "modelplane_counts": Subject(lambda: by_bins(counts)),
            "modelplane_route": Subject(lambda: route(app, fetched.grid, PEER_METHODS)),
        }
        fits = {"modelplane": Subject(lambda: Baseline.fit("m", data.reference))}
        peers = {
            "evidently_report": evidently_report(data.reference, data.live),
            "evidently_tests": evidently_tests(data.reference, data.live),
        }
        fit = nannyml_fit(data.reference, ROWS)
        if fit is not None:
            fits["nannyml"] = Subject(fit)
            calculator = fit()
            peers["nannyml_js_ks"] = lambda: nannyml_values(calculator, data.live)
        subjects.update({name: Subject(run) for name, run in peers.items() if run is not None})
        return {
            "unit": "ms for all features",
            **report(measured(subjects, rounds), 1e3),
            "fit": {"unit": "s", **report(measured(fits, rounds), 1.0)},
            "bytes": volumes(data, fetched),
        }


def volumes(data: Data, fetched: Fetched) -> dict[str, int | None]:
    """What moves: rows to a peer, or counts, to Prometheus at each scrape, to the backend at each request."""
    answered = [
        {"metric": dict(labels), "values": [[END / 1000, f"{values[0]:g}"]]}
        for labels, values in zip(fetched.counts.labels, fetched.counts.values, strict=True)
    ]
    trained = [
        {"metric": dict(sample.labels), "value": [END / 1000, repr(sample.value)]}
        for sample in fetched.ratios
    ]
    return {
        "live_rows": int(data.live.to_numpy().nbytes),
        "live_rows_parquet": parquet_bytes(data.live),
        "training_rows": int(data.reference.to_numpy().nbytes),
        "scrape": len(data.service.exposition()),
        "live_counts_json": len(orjson.dumps(answered)),
        "baseline_json": len(orjson.dumps(trained)),
    }


def parquet_bytes(frame: pd.DataFrame) -> int | None:
    """None without pyarrow."""
    if installed("pyarrow") is None:
        return None
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.tell()


def agreement(data: Data) -> dict[str, Any]:
    """Values of the first feature, which did not move, and of the last, and the largest difference of all."""
    counts = data.service.count(data.live)
    ours = {method: values[:, 0] for method, values in by_bins(counts).items()}
    exact_ks = np.array([ks_2samp(data.reference[name], data.live[name]).statistic for name in FEATURES])
    pairs = zip(counts.live[:, 0], counts.ratios, strict=True)
    scipys = np.array([jensenshannon(live, ratios, base=2) for live, ratios in pairs])
    against = {
        "scipy_js_distance_of_our_bins": comparison(ours["js_distance"], scipys),
        "scipy_ks_of_rows": comparison(ours["ks"], exact_ks),
    }
    run = evidently_tests(data.reference, data.live)
    if run is not None:
        theirs = run()
        sturges = rebinned(data, lambda live, training: np.histogram_bin_edges([*training, *live], "sturges"))
        nats = theirs["js_distance"] / np.sqrt(np.log(2))
        against["evidently_psi"] = comparison(ours["psi"], theirs["psi"], sturges["psi"])
        against["evidently_js_distance_as_base_2"] = comparison(
            ours["js_distance"], nats, sturges["js_distance"]
        )
    fit = nannyml_fit(data.reference, ROWS)
    if fit is not None:
        theirs = nannyml_values(fit(), data.live)
        doane = rebinned(data, lambda _live, training: np.histogram_bin_edges(training, "doane"))
        against["nannyml_js_distance"] = comparison(
            ours["js_distance"], theirs["js_distance"], doane["js_distance"]
        )
        against["nannyml_ks"] = comparison(ours["ks"], theirs["ks"])
        against["nannyml_ks_of_rows"] = comparison(exact_ks, theirs["ks"])
    return against


def rebinned(data: Data, edges_of: Callable[[Array, Array], Array]) -> dict[str, Array]:
    """Our formulas on the bins of a peer; live rows beyond them go to one more bin, as NannyML has it."""
    values = []
    for name in FEATURES:
        live, training = data.live[name].to_numpy(), data.reference[name].to_numpy()
        edges = edges_of(live, training)
        (counted, trained) = (np.histogram(rows, edges)[0] for rows in (live, training))
        counted = np.append(counted, len(live) - counted.sum())
        ratios = np.append(trained / len(training), 0.0)
        values.append((formulas.psi(counted, ratios, TRAINING), formulas.js_distance(counted, ratios)))
    psi, js_distance = np.array(values).T
    return {"psi": psi, "js_distance": js_distance}


def comparison(ours: Array, theirs: Array, on_their_bins: Array | None = None) -> Mapping[str, Any]:
    ends = [0, len(ours) - 1]
    summary = {
        "ours": [figures(value) for value in ours[ends]],
        "theirs": [figures(value) for value in theirs[ends]],
        "largest_difference": figures(np.abs(ours - theirs).max()),
        "median_ratio": figures(statistics.median((theirs / ours).tolist())),
    }
    if on_their_bins is not None:
        summary["largest_difference_on_their_bins"] = figures(np.abs(on_their_bins - theirs).max())
    return summary


def figures(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    data = generate_data()
    printed = {
        "benchmark": "drift",
        "method": "interleaved rounds after one that is not counted; thread CPU time and wall time; medians",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "peers": {name: installed(name) or "not installed" for name in ("evidently", "nannyml")},
        "signal_windows": {
            "unit": "s for all methods",
            "limit": LIMIT,
            "shapes": [signal_windows(*shape) for shape in SHAPES],
        },
        "rows": {"features": len(FEATURES), "live": ROWS, "training": TRAINING, **raw_rows(data)},
        "agreement": agreement(data),
    }
    print(json.dumps(printed, indent=2))


if __name__ == "__main__":
    main()
