"""Snapshots as prometheus_client families, for registries that prometheus_client itself collects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import Exemplar as ClientExemplar
from prometheus_client.core import Metric as Family

from modelplane_exporter.layout import DEVICE_SECONDS, GROUPS, INVALID, LATENCY, Group, OwnSample, Snapshot
from modelplane_exporter.render import (
    Row,
    bucket_bounds,
    by_metric,
    family_name,
    family_unit,
    merge,
    shown,
)
from modelplane_schema.metrics import Metric


def family(metric: Metric) -> Family:
    """The family of ``metric`` without samples."""
    return Family(family_name(metric), metric.help, metric.type, family_unit(metric))


def families(snapshots: Iterable[Snapshot], own_samples: Iterable[OwnSample]) -> list[Family]:
    """What ``render`` writes, as families that have samples."""
    every = list(merge(snapshots))
    found = [_family_of(group, rows) for group in GROUPS if (rows := shown(group, every))]
    for samples in by_metric(own_samples):
        own = family(samples[0].metric)
        for sample in samples:
            labels = dict(zip(sample.metric.labels, sample.labels, strict=True))
            own.add_sample(sample.metric.name, labels, sample.value)
        found.append(own)
    return found


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
