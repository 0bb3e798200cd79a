"""Snapshots as prometheus_client families, for registries that prometheus_client itself collects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import Exemplar as ClientExemplar
from prometheus_client.core import Metric as Family

from modelplane_exporter.exposition.signal_text import Sample, baseline_samples, samples_of
from modelplane_exporter.exposition.text import (
    Row,
    bucket_bounds,
    by_metric,
    family_name,
    family_unit,
    merge,
    shown,
)
from modelplane_exporter.layout.calls import DEVICE_SECONDS, GROUPS, INVALID, LATENCY, Group, Snapshot
from modelplane_exporter.layout.signals import SIGNAL_METRICS, LoadedBaseline, SignalSnapshot, layout_of
from modelplane_exporter.layout.state import OwnSample
from modelplane_schema.metrics import Metric


def family(metric: Metric) -> Family:
    """The family of ``metric`` without samples."""
    return Family(family_name(metric), metric.help, metric.type, family_unit(metric))


def families(
    snapshots: Iterable[Snapshot],
    own_samples: Iterable[OwnSample],
    signals: Iterable[SignalSnapshot] = (),
    baselines: Sequence[LoadedBaseline] = (),
) -> list[Family]:
    """What ``render`` and ``signal_render`` write, as families that have samples."""
    every = list(merge(snapshots))
    found = [_family_of(group, rows) for group in GROUPS if (rows := shown(group, every))]
    for samples in by_metric(own_samples):
        own = family(samples[0].metric)
        for sample in samples:
            labels = dict(zip(sample.metric.labels, sample.labels, strict=True))
            own.add_sample(sample.metric.name, labels, sample.value)
        found.append(own)
    return [*found, *_signal_families(signals, baselines)]


def _signal_families(signals: Iterable[SignalSnapshot], baselines: Sequence[LoadedBaseline]) -> list[Family]:
    found = {metric.name: family(metric) for metric in SIGNAL_METRICS}
    layouts = {loaded.baseline.fingerprint: layout_of(loaded.baseline) for loaded in baselines}
    for snapshot in signals:
        for sample in samples_of(layouts[snapshot.key.fingerprint], snapshot):
            _add(found, sample, snapshot.key.identity)
    for loaded in baselines:
        for sample in baseline_samples(loaded.baseline):
            _add(found, sample, loaded.version)
    return [one for one in found.values() if one.samples]


def _add(found: dict[str, Family], sample: Sample, identity: tuple[str, ...]) -> None:
    labels = dict(zip(sample.metric.labels, (*identity, *sample.labels), strict=True))
    found[sample.metric.name].add_sample(sample.metric.name, labels, sample.value)


def _family_of(group: Group, rows: Iterable[Row]) -> Family:
    found = family(group.metric)
    for row in rows:
        identity = row.identity._asdict()
        if group.metric.type == "histogram":
            _add_histogram(found, group, row)
        elif group is DEVICE_SECONDS:
            for key, cells, _ in row.devices:
                labels = {**identity, "device": key.device, "device_type": key.device_type}
                found.add_sample(group.metric.name, labels, cells[group.start] / group.scale)
        else:
            for labels, count in _counts(group, row):
                found.add_sample(group.metric.name, {**identity, **labels}, count)
    return found


def _counts(group: Group, row: Row) -> Iterator[tuple[dict[str, str], int]]:
    counts = row.cells[group.start : group.stop]
    if not group.metric.closed:
        yield {}, counts[0]
        return
    label, values = group.metric.closed[0]
    for value, count in zip(values, counts, strict=True):
        if count or group is not INVALID:
            yield {label: value}, count


def _add_histogram(found: Family, group: Group, row: Row) -> None:
    labels, name = row.identity._asdict(), group.metric.name
    exemplars = row.exemplars if group is LATENCY else {}
    counts = [*accumulate(row.cells[group.start : group.sum_cell])]
    for bucket, (bound, count) in enumerate(zip(bucket_bounds(group), counts, strict=True)):
        exemplar = exemplars.get(bucket)
        found.add_sample(
            f"{name}_bucket",
            {**labels, "le": bound},
            count,
            exemplar=exemplar
            and ClientExemplar({"trace_id": exemplar.trace_id}, exemplar.seconds, exemplar.timestamp),
        )
    found.add_sample(f"{name}_count", labels, counts[-1])
    found.add_sample(f"{name}_sum", labels, row.cells[group.sum_cell] / group.scale)
