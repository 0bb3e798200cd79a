"""Rendering: both formats say exactly what the families say, whatever the labels and the numbers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter_support.exposing import parse_openmetrics
from generations import Servers
from modelplane_exporter.exposition.families import families, family
from modelplane_exporter.exposition.text import END, chunks
from modelplane_exporter.layout.calls import (
    ACTIVE,
    CALL_METRICS,
    CELLS,
    DEVICE_SECONDS,
    FIRST_TOKEN,
    INVALID,
    ITEMS,
    LATENCY,
    REQUESTS,
    TOKENS,
    Exemplar,
    Key,
    MetricCells,
    Snapshot,
)
from modelplane_exporter.layout.state import MetricSample, State
from modelplane_exporter.serving.responder import exposition
from modelplane_schema import metrics
from modelplane_schema.identity import Identity

values = st.text(st.sampled_from('"\\\n\r\t%{},=# \0\x1fsd1') | st.characters(codec="utf-8"), max_size=12)
devices = st.sampled_from(["GPU-1", "GPU-2", 'host/"p%s"'])
keys = st.builds(Key, st.builds(Identity, values, values, values, st.just("jax")), devices, values)
numbers = st.sampled_from([0, 1, 1_500_000_000, 2**53 + 1]) | st.integers(0, 2**63 - 1)
sparse = st.dictionaries(st.integers(0, CELLS - 1), numbers, max_size=12).map(
    lambda cells: tuple(cells.get(cell, 0) for cell in range(CELLS))
)
exemplars = st.dictionaries(
    st.integers(0, len(LATENCY.metric.buckets)),
    st.builds(
        Exemplar,
        st.integers(0, 2**128 - 1).map(lambda trace: f"{trace:032x}"),
        st.floats(0, 1e5),
        st.integers(0, 10**11).map(lambda ticks: ticks / 64),  # exact in the parser's two parts
    ),
    max_size=3,
)
snapshot_lists = st.lists(
    st.builds(Snapshot, keys, sparse, exemplars), max_size=5, unique_by=lambda snapshot: snapshot.key
).flatmap(
    lambda snapshots: st.lists(devices, unique=True).map(
        lambda more: (
            snapshots
            + [on_device(snapshots[0], device) for device in more if snapshots and is_new(snapshots, device)]
        )
    )
)
sample_lists = st.lists(
    st.builds(
        MetricSample,
        st.just(metrics.MODEL_INFO),
        st.tuples(*[values] * len(metrics.MODEL_INFO.labels)),
        st.just(1.0),
    )
    | st.builds(
        MetricSample,
        st.just(metrics.SERIES_OVERFLOW),
        st.tuples(*[values] * len(metrics.SERIES_OVERFLOW.labels)),
        st.floats(0, 1e18),
    )
    | st.builds(MetricSample, st.just(metrics.EXPORTER_SCRAPE_DURATION), st.just(()), st.floats(0, 100)),
    max_size=6,
    unique_by=lambda sample: (sample.metric.name, sample.labels),
)


class StoreOfState:
    """A store that has nothing but a state."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.scrape_seconds = 0.0

    def state(self) -> State:
        return self._state

    def describe(self) -> Iterable[Family]:
        return []


def exposed(snapshots: list[Snapshot], samples: list[MetricSample], openmetrics: bool) -> bytes:
    accept = "application/openmetrics-text; version=1.0.0" if openmetrics else ""
    store = StoreOfState(State(snapshots, samples))
    body, _ = exposition(CollectorRegistry(), store, accept)
    assert store.scrape_seconds > 0
    return body


def text_of(snapshots: Iterable[Snapshot], samples: Iterable[MetricSample]) -> bytes:
    return b"".join(chunks(snapshots, samples))


def openmetrics_of(snapshots: Iterable[Snapshot], samples: Iterable[MetricSample]) -> bytes:
    return b"".join([*chunks(snapshots, samples, openmetrics=True), END])


def on_device(snapshot: Snapshot, device: str) -> Snapshot:
    return snapshot._replace(key=snapshot.key._replace(device=device, device_type="t"))


def is_new(snapshots: list[Snapshot], device: str) -> bool:
    return on_device(snapshots[0], device).key not in [snapshot.key for snapshot in snapshots]


# The parser of prometheus_client reads every value as a float before its release 0.22.
READS_INTEGERS = next(iter(parse_text("x 9007199254740993\n"))).samples[0].value == 2**53 + 1


def content(parsed: Iterable[Family]) -> list[tuple[object, ...]]:
    """All that the text format carries, as exactly as the parser reads it."""
    exact: Callable[[float], float] = (lambda value: value) if READS_INTEGERS else float
    return [
        (
            family.name,
            family.type,
            family.documentation,
            [(sample.name, sample.labels, exact(sample.value)) for sample in family.samples],
        )
        for family in parsed
    ]


def exemplars_of(parsed: Iterable[Family]) -> list[tuple[object, ...]]:
    return [
        (sample.labels, sample.exemplar.labels, sample.exemplar.value, float(str(sample.exemplar.timestamp)))
        for family in parsed
        for sample in family.samples
        if sample.exemplar
    ]


@pytest.mark.slow
@given(snapshot_lists, sample_lists)
def test_text_parses_to_the_same_samples_as_the_families(
    snapshots: list[Snapshot], samples: list[MetricSample]
) -> None:
    text = text_of(snapshots, samples).decode()
    assert content(parse_text(text)) == content(families(snapshots, samples))
    assert not any("_created" in line.partition("{")[0] for line in text.split("\n"))


@pytest.mark.slow
@given(snapshot_lists, sample_lists)
def test_openmetrics_parses_to_the_same_families_with_units_and_exemplars(
    snapshots: list[Snapshot], samples: list[MetricSample]
) -> None:
    parsed = list(parse_openmetrics(openmetrics_of(snapshots, samples).decode()))
    expected = families(snapshots, samples)
    assert content(parsed) == content(expected)
    assert [family.unit for family in parsed] == [family.unit for family in expected]
    assert exemplars_of(parsed) == exemplars_of(expected)


@pytest.mark.slow
@given(snapshot_lists, sample_lists)
@settings(max_examples=20)
def test_text_passes_promtool(
    servers: Servers, snapshots: list[Snapshot], samples: list[MetricSample]
) -> None:
    text = text_of(snapshots, samples)
    checked = subprocess.run(
        [servers.promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


@pytest.mark.slow
@given(snapshot_lists, sample_lists, st.booleans())
def test_pieces_are_whole_lines_and_join_to_the_exposition(
    snapshots: list[Snapshot], samples: list[MetricSample], openmetrics: bool
) -> None:
    parts = list(chunks(snapshots, samples, openmetrics=openmetrics))
    assert all(part.endswith(b"\n") for part in parts if part)
    assert b"".join(parts) == exposed(snapshots, samples, openmetrics).removesuffix(END)


KEY = Key(Identity("m", "v1", "t", "pytorch"), "GPU-1", "a100")


def snapshot(
    key: Key = KEY, cells: Mapping[int, int] = {}, exemplars: Mapping[int, Exemplar] = {}
) -> Snapshot:
    """A snapshot in which all cells are 0 but ``cells``."""
    return Snapshot(key, tuple(cells.get(index, 0) for index in range(CELLS)), exemplars)


def cell(layout: MetricCells, offset: int) -> int:
    return layout.start + offset


def lines(snapshots: Iterable[Snapshot], metric: str, **options: bool) -> list[str]:
    text = b"".join(chunks(snapshots, [], **options)).decode()
    return [line for line in text.split("\n") if line.startswith(metric)]


def test_a_histogram_is_cumulated_and_its_sum_exact() -> None:
    cells = {cell(LATENCY, 0): 2, cell(LATENCY, 3): 1, cell(LATENCY, 15): 4, cell(LATENCY, 16): 1_500_000_000}
    written = lines([snapshot(cells=cells)], "model_inference_latency_seconds")
    identity = 'model_name="m",model_version="v1",tenant_id="t",framework="pytorch"'
    assert written[0] == f'model_inference_latency_seconds_bucket{{{identity},le="0.001"}} 2'
    assert written[3] == f'model_inference_latency_seconds_bucket{{{identity},le="0.01"}} 3'
    assert written[9] == f'model_inference_latency_seconds_bucket{{{identity},le="1.0"}} 3'
    assert written[15] == f'model_inference_latency_seconds_bucket{{{identity},le="+Inf"}} 7'
    assert written[16:] == [
        f"model_inference_latency_seconds_count{{{identity}}} 7",
        f"model_inference_latency_seconds_sum{{{identity}}} 1.5",
    ]


@pytest.mark.parametrize(
    ("billionths", "seconds"),
    [
        (0, "0.0"),
        (1, "1e-09"),
        (100_000_001, "0.100000001"),
        (300_000_000, "0.3"),
        (10**15 + 7, "1000000.000000007"),
    ],
)
def test_device_seconds_have_no_float_noise(billionths: int, seconds: str) -> None:
    (written,) = lines([snapshot(cells={cell(DEVICE_SECONDS, 0): billionths})], DEVICE_SECONDS.metric.name)
    assert written.endswith(f'device="GPU-1",device_type="a100"}} {seconds}')


def test_groups_that_hold_nothing_are_left_out_unless_always_exposed() -> None:
    empty = text_of([snapshot()], []).decode()
    for group in CALL_METRICS:
        assert (f"# TYPE {group.metric.name} " in empty) == (group not in CALL_METRICS[6:])
    other = snapshot(KEY._replace(identity=Identity("m", "v1", "u", "pytorch")), {cell(TOKENS, 2): 5})
    written = lines([snapshot(), other], TOKENS.metric.name)
    assert len(written) == 4
    assert all('tenant_id="u"' in line for line in written)
    assert not lines([snapshot(), other], FIRST_TOKEN.metric.name)


def test_only_reasons_that_occurred_are_shown() -> None:
    key = KEY._replace(identity=Identity("m\r", "v1", "\u2028", "pytorch"))
    text = text_of([snapshot(key, {cell(INVALID, 1): 2, cell(INVALID, 4): 1})], []).decode()
    written = [line for line in text.split("\n") if line.startswith(INVALID.metric.name)]
    assert [line.partition("reason=")[2] for line in written] == [
        f'"{metrics.INVALID_REASONS[1]}"}} 2',
        f'"{metrics.INVALID_REASONS[4]}"}} 1',
    ]


def test_devices_of_one_identity_are_added_and_their_device_seconds_kept_apart() -> None:
    cells = {cell(REQUESTS, 0): 2, cell(ACTIVE, 0): 1, cell(ITEMS, 0): 3, cell(DEVICE_SECONDS, 0): 10**9}
    snapshots = [snapshot(cells=cells), snapshot(KEY._replace(device="GPU-2", device_type="h100"), cells)]
    assert [line.rsplit(" ", 1)[1] for line in lines(snapshots, REQUESTS.metric.name)] == ["4", "0", "0", "0"]
    assert [line.rsplit(" ", 1)[1] for line in lines(snapshots, ACTIVE.metric.name)] == ["2"]
    assert [line.rsplit(" ", 1)[1] for line in lines(snapshots, ITEMS.metric.name)] == ["6"]
    assert [line.partition("device=")[2] for line in lines(snapshots, DEVICE_SECONDS.metric.name)] == [
        '"GPU-1",device_type="a100"} 1.0',
        '"GPU-2",device_type="h100"} 1.0',
    ]


def test_exemplars_are_the_newest_of_each_bucket_and_only_in_openmetrics() -> None:
    old, new = Exemplar("aa", 0.5, 100.0), Exemplar("bb", 0.25, 200.5)
    snapshots = [
        snapshot(exemplars={7: new}),
        snapshot(KEY._replace(device="2"), exemplars={7: old, 15: old}),
    ]
    written = lines(snapshots, "model_inference_latency_seconds", openmetrics=True)
    assert [line.partition(" # ")[2] for line in (written[7], written[15])] == [
        '{trace_id="bb"} 0.25 200.5',
        '{trace_id="aa"} 0.5 100.0',
    ]
    assert sum(" # {" in line for line in written) == 2
    assert not any(" # {" in line for line in lines(snapshots, "model_inference_latency_seconds"))


def test_a_lone_surrogate_costs_one_label_and_not_the_scrape() -> None:
    key = KEY._replace(identity=Identity("m", "v1", "a\udc80b", "pytorch"))
    text = text_of([snapshot(key), snapshot()], []).decode()
    assert 'tenant_id="a?b"' in text
    assert 'tenant_id="t"' in text


def test_nothing_measured_renders_nothing() -> None:
    assert exposed([], [], openmetrics=False) == b""
    assert exposed([], [], openmetrics=True) == b"# EOF\n"


def test_a_family_without_samples_describes_its_metric() -> None:
    described = family(metrics.DEVICE_SECONDS)
    assert (described.name, described.type, described.unit, described.samples) == (
        "model_inference_device_seconds",
        "counter",
        "seconds",
        [],
    )
    assert family(metrics.MODEL_INFO).unit == family(metrics.CONFIDENCE).unit == ""
