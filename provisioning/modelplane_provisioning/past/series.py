"""Series of a past: a name with labels as text, and samples at whole milliseconds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

Times = NDArray[np.int64]
Values = NDArray[np.float64]
Labels = Mapping[str, str]


class Series(NamedTuple):
    """One series; ``times`` are milliseconds since the epoch, ascending."""

    name: str
    labels: Labels
    times: Times
    values: Values


class Sample(NamedTuple):
    """One sample of an exposition."""

    name: str
    labels: Labels
    value: float


def read_exposition(text: str) -> Iterator[Sample]:
    """The samples of an exposition in Prometheus' text format."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, sample.value)


def selector(name: str, labels: Labels) -> str:
    """``name{a="b"}`` as OpenMetrics writes it."""
    pairs = ",".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in labels.items())
    return f"{name}{{{pairs}}}"


def openmetrics(series: Series) -> str:
    """The lines of one series, in OpenMetrics."""
    text = selector(series.name, series.labels)
    moments = (series.times / 1000).tolist()
    return "".join(
        f"{text} {value!r} {moment!r}\n"
        for value, moment in zip(series.values.tolist(), moments, strict=True)
    )
