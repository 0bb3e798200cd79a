"""Tables of signals by bin: what is looked up is what was put in."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Mapping

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter_support.worker_processes import exit_status, forked
from modelplane_datasource.drift.bin_counts import (
    SIGNAL_LABELS,
    Block,
    QueryAnswer,
    SignalKey,
    bin_table,
    live_counts_of,
    shares_of_counts,
)
from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN

TIMES = 2
BINS = ("00", "01", "10", "ant", "~", "", OTHER_BIN, MISSING_BIN)
signals = st.builds(SignalKey, *(st.sampled_from(("", "a", "b")) for _ in SIGNAL_LABELS))
cells = st.dictionaries(st.tuples(signals, st.sampled_from(BINS)), st.integers(0, 9), max_size=30)


def answer_of(numbers: Mapping[tuple[SignalKey, str], int]) -> QueryAnswer:
    """As Prometheus has it, which leaves empty labels out; at the second time it is one more."""
    labels = [{**signal._asdict(), "bin": name} for signal, name in numbers]
    values = np.array(list(numbers.values()), dtype=np.float64)[:, None] + np.arange(TIMES)
    return QueryAnswer([{name: text for name, text in each.items() if text} for each in labels], values)


@pytest.mark.slow
@given(cells)
def test_every_count_is_in_one_block(numbers: Mapping[tuple[SignalKey, str], int]) -> None:
    seen = {}
    for live in live_counts_of(bin_table(answer_of(numbers), SIGNAL_LABELS)):
        assert list(live.signals) == sorted(live.signals)
        for row, signal in enumerate(live.signals):
            names = live.bins_of(row)
            assert list(names) == sorted(
                names, key=lambda name: (name == MISSING_BIN, name == OTHER_BIN, name)
            )
            assert live.is_numeric == (OTHER_BIN not in names)
            assert live.present(live.counts).shape[-1] == len(names) - (MISSING_BIN in names)
            seen.update(
                {(signal, name): counts for name, counts in zip(names, live.counts[row].T, strict=True)}
            )
    assert {key: list(counts) for key, counts in seen.items()} == {
        key: [number, number + 1] for key, number in numbers.items()
    }


@pytest.mark.slow
@given(cells, cells)
def test_other_counts_are_those_of_the_same_signal_and_bin(
    numbers: Mapping[tuple[SignalKey, str], int], others: Mapping[tuple[SignalKey, str], int]
) -> None:
    other = bin_table(answer_of(others), SIGNAL_LABELS)
    owners = {signal for signal, _ in others}
    for live in live_counts_of(bin_table(answer_of(numbers), SIGNAL_LABELS)):
        assert other.has(live.signals).tolist() == [signal in owners for signal in live.signals]
        picked = other.of_bins(live.signals, live.names, live.bins)
        for row, signal in enumerate(live.signals):
            wanted = [others.get((signal, name)) for name in live.bins_of(row)]
            assert picked[row, 0].tolist() == [number or 0 for number in wanted]
            assert picked[row, 1].tolist() == [0 if number is None else number + 1 for number in wanted]
        whole = [others.get((signal, "")) or 0 for signal in live.signals]
        assert other.of_signals(live.signals)[:, 0].tolist() == whole


@pytest.mark.slow
def test_the_size_of_a_block_is_about_what_it_takes() -> None:
    # In a process without other threads, whose memory would count.
    assert exit_status(forked(_check_size_of_a_block)) == 0


def _check_size_of_a_block() -> None:
    base = {"model_name": "churn", "model_version": "v1.2.0", "tenant_id": "__all__", "kind": "input"}
    text = orjson.dumps(
        [
            {**base, "signal": f"feature_{number:04d}", "baseline": "a1b2c3d4", "bin": f"{index:02d}"}
            for number in range(1000)
            for index in range(10)
        ]
    )
    gc.collect()
    tracemalloc.start()
    try:
        table = bin_table(QueryAnswer(orjson.loads(text), np.ones((10_000, TIMES))), SIGNAL_LABELS)
        (block,) = [Block(live, shares_of_counts(live, table)) for live in live_counts_of(table)]
        estimate = block.bytes
        del table
        gc.collect()
        with_block, _ = tracemalloc.get_traced_memory()
        del block
        gc.collect()
        without, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.75 < estimate / (with_block - without) < 1.5
