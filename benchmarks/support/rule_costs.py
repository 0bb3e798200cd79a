"""What rules cost a Prometheus: CPU seconds of their expressions, whatever else the machine does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import requests

from support import remote_write
from support.servers import Prometheus, SeriesRequests, cpu_seconds

# CPU time is counted in steps of 10 ms, so cheap expressions are asked often.
LEAST_QUERIES, MOST_QUERIES = 5, 200
LEAST_SECONDS, MOST_SECONDS = 0.1, 8.0
# What is recorded is also read at instants before: the last minutes of it are written.
RECORDED_SECONDS, RECORDED_STEP = 240, 30
_TIMEOUT = 600

Rule = Mapping[str, Any]
Vector = list[dict[str, Any]]


class RuleCost(NamedTuple):
    """CPU seconds of one evaluation of a rule, and how many series it gives."""

    rule: str
    seconds: float
    series: int


class Evaluator:
    """Asks the expressions of rules at one instant, and writes what they record."""

    def __init__(self, prometheus: Prometheus, instant: int) -> None:
        self._url, self._session = f"http://127.0.0.1:{prometheus.port}/api/v1", requests.Session()
        self._session.headers["Accept-Encoding"] = "identity"
        self._pid, self._instant = prometheus.process.pid, instant

    def cost(self, rule: Rule) -> RuleCost:
        """Of one evaluation, whose result later rules read."""
        before, spent, queries = cpu_seconds(self._pid), 0.0, 0
        while queries < MOST_QUERIES and (
            spent < LEAST_SECONDS or (queries < LEAST_QUERIES and spent < MOST_SECONDS)
        ):
            vector = self._result(rule["expr"])
            spent, queries = cpu_seconds(self._pid) - before, queries + 1
        if "record" in rule:
            self._write([(_labels(rule, each["metric"]), float(each["value"][1])) for each in vector])
        return RuleCost(rule.get("record") or rule["alert"], spent / queries, len(vector))

    def record_constants(self, rules: Sequence[Rule]) -> None:
        """Write what thousands of rules record that have the same few expressions."""
        values = {expr: self._result(expr)[0] for expr in {rule["expr"] for rule in rules}}
        self._write([(_labels(rule, {}), float(values[rule["expr"]]["value"][1])) for rule in rules])

    def _result(self, expression: str) -> Vector:
        form = {"query": expression, "time": str(self._instant)}
        answer = self._session.post(f"{self._url}/query", form, timeout=_TIMEOUT).json()
        if answer["status"] != "success":
            raise SystemExit(f"{expression}: {answer['error']}")
        vector: Vector = answer["data"]["result"]
        return vector

    def _write(self, samples: Sequence[tuple[dict[str, str], float]]) -> None:
        """The same value at each instant of the last minutes."""
        if not samples:
            return
        times = np.arange(self._instant - RECORDED_SECONDS, self._instant + 1, RECORDED_STEP) * 1000
        values = np.repeat([[value] for _, value in samples], len(times), axis=1)
        for body in SeriesRequests([labels for labels, _ in samples]).bodies(values, times):
            remote_write.send(self._session, f"{self._url}/write", body)


def _labels(rule: Rule, metric: Mapping[str, str]) -> dict[str, str]:
    return {**metric, **rule.get("labels", {}), "__name__": rule["record"]}
