"""A process that serves models with signals: it observes the rows that its standard input tells it to.

Arguments: baseline files, one for each model. Each line of input is a command, each line of output the
answer to it::

    {"model": "m", "features": {"age": [1.0, null]}, "prediction": [0.5, 0.5], "chunks": [1, 1],
     "threads": 2, "interval": 0.1}  ->  {"times": [1700000000.0, 1700000000.1]}

Chunks of rows go in one form after the other, several at a time with ``threads``, one every ``interval``
seconds without. The answer tells when each was handed over. The process ends with its input.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from modelplane_exporter import Baseline, Call, ModelMetricsExporter

Columns = Mapping[str, list[Any]]


def rows_of(columns: Columns) -> list[tuple[Any, ...]]:
    return list(zip(*columns.values(), strict=True))


def mappings(columns: Columns) -> Iterator[object]:
    """One row after the other; what is missing may be absent."""
    for row in rows_of(columns):
        yield {name: value for name, value in zip(columns, row, strict=True) if value is not None}


def array(columns: Columns) -> Any:
    """Numbers, or objects where there are texts."""
    texts = any(isinstance(value, str) for column in columns.values() for value in column)
    return np.array(rows_of(columns), object if texts else float)


FORMS: tuple[Callable[[Columns], Iterator[object]], ...] = (
    mappings,
    lambda columns: iter([columns]),
    lambda columns: iter([rows_of(columns)]),
    lambda columns: iter(list(row) for row in rows_of(columns)),
    lambda columns: iter([array(columns)]),
    lambda columns: iter(array(columns)),
    lambda columns: iter([np.asfortranarray(array(columns))]),
    lambda columns: iter([pd.DataFrame(columns)]),
    lambda columns: iter([pl.DataFrame(columns, strict=False)]),
    lambda columns: iter([{name: np.array(values, object) for name, values in columns.items()}]),
)


def observe(
    exporter: ModelMetricsExporter, number: int, columns: Columns, prediction: list[float] | None
) -> float:
    """One call with a chunk of rows; gives when it was."""
    with exporter.track() as call:
        for values in FORMS[number % len(FORMS)](columns):
            call.features(values)
        if prediction is not None:
            predicted(call, number, prediction)
    return time.time()


def predicted(call: Call, number: int, prediction: list[float]) -> None:
    if len(prediction) == 1:
        call.prediction(prediction[0])
    else:
        call.prediction(np.array(prediction) if number % 2 else prediction)


def run(exporters: Mapping[str, ModelMetricsExporter], command: Mapping[str, Any]) -> dict[str, Any]:
    exporter, features = exporters[command["model"]], command["features"]
    prediction = command.get("prediction")
    stops = list(itertools.accumulate(command["chunks"], initial=0))
    begun = time.time()

    def step(number: int) -> float:
        part = slice(stops[number], stops[number + 1])
        time.sleep(max(0.0, begun + number * command.get("interval", 0) - time.time()))
        return observe(
            exporter, number, {name: values[part] for name, values in features.items()},
            None if prediction is None else prediction[part],
        )  # fmt: skip

    with ThreadPoolExecutor(command.get("threads", 1)) as pool:
        return {"times": list(pool.map(step, range(len(command["chunks"]))))}


def main() -> None:
    exporters = {}
    for path in sys.argv[1:]:
        baseline = Baseline.load(path)
        exporters[baseline.model_name] = ModelMetricsExporter(
            baseline.model_name, "v1", "user-A", "sklearn", confidence=None, baseline=baseline
        )
    say({"ready": True})
    for line in sys.stdin:
        say(run(exporters, json.loads(line)))


def say(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
