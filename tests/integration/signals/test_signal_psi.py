"""Psi, recorded by the rules and served by the backend, is that of the raw rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_exporter.baseline import NumericSignal
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema import recorded
from signal_plane import (
    CHUNK_ROWS,
    CHUNK_SECONDS,
    DRIFTING,
    STREAM_SECONDS,
    WINDOW_SECONDS,
    Columns,
    Plane,
    Prometheus,
)


class Stream(NamedTuple):
    """Rows that went to one replica, and when each was handed over (seconds since 1970)."""

    columns: Columns
    times: NDArray[np.float64]


def streamed(plane: Plane) -> list[Stream]:
    """Rows at an even load, to two replicas."""
    chunks = [CHUNK_ROWS] * round(STREAM_SECONDS / CHUNK_SECONDS)
    with ExitStack() as stack:
        services = [plane.start(stack, port) for port in plane.ports["drift"]]
        plane.prometheus.await_scrape("drift", 2)
        sent = []
        for seed, service in enumerate(services):
            random = np.random.default_rng(seed)
            stable, shifted = random.normal(40, 12, sum(chunks)), random.normal(48, 9, sum(chunks))
            sent.append({"stable": stable.tolist(), "shifted": shifted.tolist()})
            service.tell(
                {"model": DRIFTING, "features": sent[-1], "chunks": chunks, "interval": CHUNK_SECONDS}
            )
        return [
            Stream(columns, np.repeat(service.answer()["times"], CHUNK_ROWS))
            for service, columns in zip(services, sent, strict=True)
        ]


@pytest.fixture
def backend(plane: Plane, tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app(
        Settings(
            prometheus_url=plane.prometheus.url,
            prometheus_timeout_seconds=PATIENCE_SECONDS,
            database_url=f"sqlite:///{tmp_path / 'alerts.db'}",
        )
    )
    yield app.test_client()
    close_app(app)


def served_psi(backend: FlaskClient, instant: float) -> dict[str, float]:
    """What the backend says of the window that ends at an instant, by signal."""
    end = str(round(instant * 1000))
    query = {"model-name": DRIFTING, "window": f"{WINDOW_SECONDS}s", "from": end, "to": end}
    answer = backend.get("/api/v1/metrics/drift", query_string={**query, "maxDataPoints": "1"}).json
    assert answer is not None
    return {line["labels"]["signal"]: line["data"][0]["y"] for line in answer["data"]}


def test_psi_recorded_and_served_is_that_of_the_raw_rows(plane: Plane, backend: FlaskClient) -> None:
    streams = streamed(plane)
    begin = max(stream.times[0] for stream in streams)
    end = min(stream.times[-1] for stream in streams)
    compared = 0
    for instant, psi, n in recorded_values(plane.prometheus):
        if not begin + WINDOW_SECONDS < instant < end:
            continue
        served, late = served_psi(backend, instant), longest_gap(plane.prometheus, instant) / WINDOW_SECONDS
        for signal in plane.baselines[DRIFTING].of_kind("input"):
            assert isinstance(signal, NumericSignal)
            rows = np.concatenate([within(stream, signal.name, instant) for stream in streams])
            # Prometheus extrapolates to the window's edges, by more where a busy machine scraped late.
            assert n[signal.name] == pytest.approx(len(rows), rel=0.02 + late)
            assert psi[signal.name] == pytest.approx(numpy_psi(signal, rows), abs=0.005)
            assert served[signal.name] == pytest.approx(numpy_psi(signal, rows), abs=0.005)
            compared += 1
        assert psi["stable"] < 0.01
        assert psi["shifted"] > 0.25
    assert compared >= 4
    scrapes = plane.prometheus.query(f'count_over_time(up{{job="drift"}}[{WINDOW_SECONDS}s])')
    assert min(float(series["value"][1]) for series in scrapes) >= 40


def longest_gap(prometheus: Prometheus, instant: float) -> float:
    """The seconds between two scrapes, or a scrape and an edge of the window, that ends at an instant."""
    edges = instant - WINDOW_SECONDS, instant
    targets = prometheus.query(f'up{{job="drift"}}[{WINDOW_SECONDS}s] @ {instant!r}')
    times = [sorted((*edges, *(at for at, _ in target["values"]))) for target in targets]
    return float(max(after - before for each in times for before, after in pairwise(each)))


def recorded_values(prometheus: Prometheus) -> Iterator[tuple[float, dict[str, float], dict[str, float]]]:
    """Instants of evaluation, with psi and the number of observations by signal."""
    histories = []
    for family in (recorded.SIGNAL_PSI, recorded.SIGNAL_INCREASE):
        name = family.over(f"{WINDOW_SECONDS}s").name
        history: dict[float, dict[str, float]] = {}
        for series in prometheus.query(f'{name}{{model_name="{DRIFTING}"}}[5m]'):
            for instant, value in series["values"]:
                history.setdefault(instant, {})[series["metric"]["signal"]] = float(value)
        histories.append(history)
    psi, n = histories
    for instant in sorted(psi):
        yield instant, psi[instant], n[instant]


def within(stream: Stream, signal: str, instant: float) -> NDArray[np.float64]:
    chosen = (stream.times > instant - WINDOW_SECONDS) & (stream.times <= instant)
    return np.array(stream.columns[signal])[chosen]


def numpy_psi(signal: NumericSignal, rows: NDArray[np.float64]) -> float:
    """The design's psi of raw rows, all of whose bins hold training data."""
    c, _ = np.histogram(rows, [-math.inf, *signal.edges, math.inf])
    q, m, bins = np.array(signal.ratios[:-1]), signal.observations, len(c)
    assert q.min() > 0
    p = (c + 0.5) / (c.sum() + bins / 2)
    smoothed = (m * q + 0.5) / (m + bins / 2)
    return float(((p - smoothed) * np.log(p / smoothed)).sum())
