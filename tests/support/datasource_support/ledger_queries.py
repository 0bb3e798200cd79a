"""Answers to the queries of the cost ledger, from samples that a test holds."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from operator import itemgetter
from typing import Any

import orjson
import promql_parser

from datasource_support.fake_prometheus import JSON_HEADERS, Form, Reply

Series = dict[str, Any]


class LedgerPrometheus:
    """Answers what the ledger asks of its series: their samples, the last of each cell, resets.

    A series is ``{"metric": labels, "values": [[seconds, text], ...]}``, in order of time. A range is open
    at its start.
    """

    def __init__(self, series_of: Callable[[str], Iterable[Series]]) -> None:
        """``series_of`` gives all series of the metric with a name."""
        self._series_of = series_of

    def __call__(self, path: str, form: Form) -> Reply:
        if path.endswith("/series"):
            return self._listed(form)
        query: Any = promql_parser.parse(form["query"])
        is_range = path.endswith("/query_range")
        start, end, step = (
            float(form[name]) for name in (("start", "end", "step") if is_range else ("time",) * 3)
        )
        times = range(round(start), round(end) + 1, round(step)) if is_range else [end]
        selector = _matrix_selector(query)
        comparison = getattr(query, "rhs", None)
        threshold = -1.0 if comparison is None else comparison.val
        call = query if comparison is None else query.lhs
        function = call.func.name if isinstance(call, promql_parser.Call) else None
        result = []
        for series in self._series_of(selector.vector_selector.name):
            if _matches(series["metric"], selector.vector_selector.matchers.matchers):
                points = [
                    point
                    for time in times
                    for point in _evaluated(function, time, selector.range.total_seconds(), series["values"])
                    if function != "resets" or float(point[1]) > threshold
                ]
                result += [{"metric": series["metric"], "values": points}] if points else []
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        return 200, JSON_HEADERS, orjson.dumps(body)

    def _listed(self, form: Form) -> Reply:
        """Labels of the series of the named metrics that have a sample in a range."""
        selector: Any = promql_parser.parse(form["match[]"])
        names, matchers = [selector.name], selector.matchers.matchers
        if not selector.name:
            of_name, *matchers = matchers
            names = of_name.value.split("|")
        start, end = float(form["start"]), float(form["end"])
        series = (series for name in names for series in self._series_of(name))
        labels = [
            of["metric"]
            for of in series
            if any(start <= at <= end for at, _ in of["values"]) and _matches(of["metric"], matchers)
        ]
        return 200, JSON_HEADERS, orjson.dumps({"status": "success", "data": labels})


def _matrix_selector(node: Any) -> Any:
    match node:
        case promql_parser.MatrixSelector():
            return node
        case promql_parser.BinaryExpr():
            return _matrix_selector(node.lhs)
    return _matrix_selector(node.args[0])


def _matches(labels: dict[str, str], matchers: Any) -> bool:
    return all(
        re.fullmatch(matcher.value, labels.get(matcher.name, "")) is not None
        if str(matcher.op) == "MatchOp.Re"
        else labels.get(matcher.name, "") == matcher.value
        for matcher in matchers
    )


_at = itemgetter(0)


def _evaluated(function: str | None, time: float, length: float, values: Any) -> list[list[Any]]:
    """Points at ``time``."""
    inside = values[bisect_right(values, time - length, key=_at) : bisect_right(values, time, key=_at)]
    if function is None:
        return [[instant, text] for instant, text in inside]
    if function == "last_over_time":
        return [[time, text] for _, text in inside[-1:]]
    assert function == "resets"
    numbers = [float(text) for _, text in inside if re.fullmatch(r"[\d.e+-]+", str(text))]
    resets = sum(later < earlier for earlier, later in pairwise(numbers))
    return [[time, str(resets)]] if inside else []
