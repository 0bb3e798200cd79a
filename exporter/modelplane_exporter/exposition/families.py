"""Snapshots as prometheus_client families, for registries that prometheus_client itself collects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import Exemplar as ClientExemplar
from prometheus_client.core import Metric as Family

from modelplane_exporter.exposition.signal_text import SignalSample, baseline_samples, samples_of
from modelplane_exporter.exposition.text import (
    ExposedIdentity,
    bucket_bounds,
    by_metric,
    identities_with,
    merge,
)
from modelplane_exporter.layout.calls import (
    CALL_METRICS,
    DEVICE_SECONDS,
    INVALID,
    LATENCY,
    MetricCells,
    Snapshot,
)
from modelplane_exporter.layout.signals import SIGNAL_METRICS, LoadedBaseline, SignalSnapshot, layout_of
from modelplane_exporter.layout.state import MetricSample
from modelplane_schema.metrics import Metric, family_name, family_unit


def family(metric: Metric) -> Family:
    """The family of ``metric`` without samples."""
    return Family(family_name(metric), metric.help, metric.type, family_unit(metric))


def families(
    snapshots: Iterable[Snapshot],
    samples: Iterable[MetricSample],
    signals: Iterable[SignalSnapshot] = (),
    baselines: Sequence[LoadedBaseline] = (),
) -> list[Family]:
    """What the modules ``text`` and ``signal_text`` write, as families that have samples."""
    identities = list(merge(snapshots))
    return [
        *(
            _family_of(layout, exposing)
            for layout in CALL_METRICS
            if (exposing := identities_with(layout, identities))
        ),
        *map(_family_of_samples, by_metric(samples)),
        *_signal_families(signals, baselines),
    ]


def _family_of_samples(samples: Sequence[MetricSample]) -> Family:
    filled = family(samples[0].metric)
    for sample in samples:
        labels = dict(zip(sample.metric.labels, sample.labels, strict=True))
        filled.add_sample(sample.metric.name, labels, sample.value)
    return filled


def _signal_families(signals: Iterable[SignalSnapshot], baselines: Sequence[LoadedBaseline]) -> list[Family]:
    by_name = {metric.name: family(metric) for metric in SIGNAL_METRICS}
    layouts = {loaded.baseline.fingerprint: layout_of(loaded.baseline) for loaded in baselines}
    for snapshot in signals:
        for sample in samples_of(layouts[snapshot.key.fingerprint], snapshot):
            _add(by_name, sample, snapshot.key.identity)
    for loaded in baselines:
        if loaded.is_fixed:
            continue
        for sample in baseline_samples(loaded.baseline):
            _add(by_name, sample, loaded.version)
    return [filled for filled in by_name.values() if filled.samples]


def _add(by_name: dict[str, Family], sample: SignalSample, identity: tuple[str, ...]) -> None:
    labels = dict(zip(sample.metric.labels, (*identity, *sample.labels), strict=True))
    by_name[sample.metric.name].add_sample(sample.metric.name, labels, sample.value)


def _family_of(layout: MetricCells, identities: Iterable[ExposedIdentity]) -> Family:
    filled, name = family(layout.metric), layout.metric.name
    for exposed in identities:
        identity = exposed.identity._asdict()
        if layout.metric.type == "histogram":
            _add_histogram(filled, layout, exposed)
        elif layout is DEVICE_SECONDS:
            for key, cells, _ in exposed.devices:
                labels = {**identity, "device": key.device, "device_type": key.device_type}
                filled.add_sample(name, labels, cells[layout.start] / layout.scale)
        else:
            for labels, count in _counts(layout, exposed):
                filled.add_sample(name, {**identity, **labels}, count)
    return filled


def _counts(layout: MetricCells, exposed: ExposedIdentity) -> Iterator[tuple[dict[str, str], int]]:
    counts = exposed.cells[layout.start : layout.stop]
    if not layout.metric.closed:
        yield {}, counts[0]
        return
    label, values = layout.metric.closed[0]
    for value, count in zip(values, counts, strict=True):
        if count or layout is not INVALID:
            yield {label: value}, count


def _add_histogram(filled: Family, layout: MetricCells, exposed: ExposedIdentity) -> None:
    labels, name = exposed.identity._asdict(), layout.metric.name
    exemplars = exposed.exemplars if layout is LATENCY else {}
    counts = [*accumulate(exposed.cells[layout.start : layout.sum_cell])]
    for bucket, (bound, count) in enumerate(zip(bucket_bounds(layout), counts, strict=True)):
        exemplar = exemplars.get(bucket)
        filled.add_sample(
            f"{name}_bucket",
            {**labels, "le": bound},
            count,
            exemplar=exemplar
            and ClientExemplar({"trace_id": exemplar.trace_id}, exemplar.seconds, exemplar.timestamp),
        )
    filled.add_sample(f"{name}_count", labels, counts[-1])
    filled.add_sample(f"{name}_sum", labels, exposed.cells[layout.sum_cell] / layout.scale)
