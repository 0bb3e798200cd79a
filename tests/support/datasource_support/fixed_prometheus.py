"""A Prometheus with one fixed data set, whose values follow from labels and times."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import promql_parser

from datasource_support.fake_prometheus import STORE_QUERY
from datasource_support.ledger_queries import LedgerPrometheus
from modelplane_schema import metrics
from modelplane_schema.recorded import COST, PRODUCTION_VERSION, SIGNAL_MOVED
from modelplane_schema.recorded_slo import SLO_BURN_RATE

NOW = 1_698_400_800
JSON = "application/json"
NEW, STRANGE = 'v2 "β"', 'ü "x"|y.'
OWNERS = (
    ("resnet50", "v1.0.0", "user-A"), ("resnet50", NEW, "user-A"), ("resnet50", "v1.0.0", "user-B"),
    ("resnet50", "v1.0.0", STRANGE), ("bert", "v1.0.0", "user-B"),
)  # fmt: skip
Options = dict[str, list[str]]
EVERYBODY: Options = {"model-name": ["resnet50", "bert"], "tenant-id": ["user-B", "user-A", STRANGE]}
SINGLE: Options = {"model-name": ["resnet50"], "tenant-id": ["user-A"]}
SIGNALS: Options = {"model-name": ["resnet50", "bert"]}
# None stands for no sample.
TEXTS = (
    "1", "NaN", "0.30000000000000004", None, "+Inf", "1.7976931348623157e+308", "5e-324", "-Inf", "3",
    "-0", "123456789012345680", "2.5e-07", "0.1", "1e21", None, None, "9007199254740993",
)  # fmt: skip
REGISTRY = f"""
apiVersion: modelplane/v1
tenants: [{{id: user-A}}, {{id: user-B}}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    max_in_flight: 8
    versions: [{{version: v1.0.0, stage: production}}, {{version: {json.dumps(NEW)}}}]
    token_prices: [{{kind: input, amount: 0.5, currency: EUR, effective_from: 2023-01-01}}]
    slos:
      - {{name: availability, objective: 0.99, window: 30d, indicator: {{type: errors}}}}
      - {{name: fast, objective: 0.95, window: 7d, indicator: {{type: latency, threshold_seconds: 1.0}}}}
  - name: bert
    framework: jax
    owner: language
    tenants: [user-B]
    versions: [{{version: v1.0.0}}]
    slos: [{{name: availability, objective: 0.95, window: 30d, indicator: {{type: errors}}}}]
devices:
  inventory:
    - {{device: GPU-1, device_type: h200, from: 2023-01-01}}
    - {{device: GPU-2, device_type: h100, from: 2023-01-01}}
  prices:
    - {{device_type: h200, amount: 3.10, currency: USD, per: hour, effective_from: 2023-01-01}}
"""


class FixedPrometheus:
    """Holds series of every metric that is asked for, and answers queries by matchers and grouping.

    A value follows from the labels of its series and its time. Rates are any numbers that there are;
    increases are counts, because drift and objectives are computed of them.
    """

    def __init__(self) -> None:
        self.series = {name: list(result) for name, result in _held().items()}
        self._ledger = LedgerPrometheus(self._samples)

    def __call__(self, path: str, form: dict[str, str]) -> Any:
        of_label = re.search(r"/label/(\w+)/values\?", path)
        if of_label:
            return self._label_values(of_label[1], parse_qs(path.partition("?")[2])["match[]"])
        if form.get("query") == STORE_QUERY:
            return _envelope("vector", [{"metric": {}, "value": [float(NOW), "NaN"]}])
        if path.endswith("/series") or re.match(r"resets\(|last_over_time\(.*ms\]\)$|.*ms\]$", form["query"]):
            return self._ledger(path, form)
        if path.endswith("/query_range") and "label_replace" in form["query"]:
            return _envelope("matrix", [])  # the past of drift, of which nothing is recorded
        if path.endswith("/query_range"):
            start, end, step = (round(float(form[name]) * 1000) for name in ("start", "end", "step"))
            times = range(start, end + 1, step)
            result = [self._line(form["query"], labels, times) for labels in self._groups(form["query"])]
            return _envelope("matrix", [line for line in result if line["values"]])
        instant = round(float(form["time"]) * 1000)
        values = partial(_increase if "increase" in form["query"] else _constant, instant=instant)
        result = [
            {"metric": {**labels, **replaced}, "value": [instant / 1000, values(labels)]}
            for part, replaced in _parts(form["query"])
            for labels in self._groups(part)
        ]
        return _envelope("vector", result)

    def _label_values(self, label: str, selectors: list[str]) -> Any:
        values = {labels.get(label) for selector in selectors for labels in self._selected(selector)}
        body = {"status": "success", "data": sorted(value for value in values if value)}
        return 200, {"Content-Type": JSON}, json.dumps(body).encode()

    def _line(self, query: str, labels: dict[str, str], times: range) -> dict[str, Any]:
        value = _increase if "increase" in query else gauge
        texts = ((instant, value(labels, instant)) for instant in times)
        return {"metric": labels, "values": [[at / 1000, text] for at, text in texts if text is not None]}

    def _groups(self, query: str) -> list[dict[str, str]]:
        """The label sets that ``by`` leaves, in an order of no meaning."""
        grouped = None if query.startswith("sum(") else re.search(r"by \(([^)]*)\)", query)
        assert grouped or query.startswith("sum("), query
        names = grouped[1].split(", ") if grouped else []
        by = [label for label in names if not (label == "le" and "quantile" in query)]
        held = self._selected(query)
        groups = {tuple((name, labels[name]) for name in by if name in labels) for labels in held}
        return [dict(group) for group in sorted(groups, key=lambda group: zlib.crc32(str(group).encode()))]

    def _selected(self, query: str) -> Iterator[dict[str, str]]:
        chosen = _first_selector(promql_parser.parse(query))
        tests = [(matcher.name, str(matcher.op), matcher.value) for matcher in chosen.matchers.matchers]
        names = [chosen.name] if chosen.name else list(self.series)
        for series, labels in ((name, labels) for name in names for labels in self.series[name]):
            of_series = {**labels, "__name__": series}
            if all(_matches(of_series.get(name, ""), operator, value) for name, operator, value in tests):
                yield labels

    def _samples(self, name: str) -> list[dict[str, Any]]:
        """Counters that grow evenly and are scraped each 15 s since 50 minutes before ``NOW``."""
        values = [[at, str((at - NOW + 3_000) * 0.1)] for at in range(NOW - 3_000, NOW + 1, 15)]
        return [{"metric": labels, "values": values} for labels in self.series[name]]


def _parts(query: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The queries that one joins by ``or``, each with the label that it gives to all of its series."""
    for part in query.split(" or "):
        result = re.fullmatch(r'label_replace\((.*), "(\w+)", "(\w+)", "", ""\)', part)
        yield (part, {}) if result is None else (result[1], {result[2]: result[3]})


def _held() -> Mapping[str, Iterator[dict[str, str]]]:
    latency, confidence = metrics.LATENCY.name, metrics.CONFIDENCE.name
    bounds = ("0.1", "1.0", "+Inf")
    return {
        f"{latency}_bucket": _owned(le=bounds),
        f"{latency}_sum": _owned(),
        metrics.REQUESTS.name: _owned(outcome=("success", "failure")),
        f"{confidence}_sum": _owned(),
        f"{confidence}_count": _owned(),
        f"{confidence}_bucket": _owned(le=bounds),
        metrics.ACTIVE.name: _owned(),
        metrics.TOKENS.name: _owned(kind=metrics.TOKEN_KINDS),
        metrics.DEVICE_SECONDS.name: _owned(device=("GPU-1", "GPU-2")),
        metrics.DEVICE_MEMORY_TOTAL.name: iter([{"device": "GPU-1"}, {"device": "GPU-2"}]),
        metrics.SIGNAL_OBSERVATIONS.name: _signals("00", "01", metrics.MISSING_BIN),
        metrics.SIGNAL_DEVIATION_POSITIVE.name: _signals(),
        metrics.SIGNAL_DEVIATION_NEGATIVE.name: _signals(),
        metrics.SIGNAL_DEVIATION_SQUARE.name: _signals(),
        metrics.BASELINE_RATIO.name: _signals("00", "01", metrics.MISSING_BIN),
        metrics.BASELINE_UPPER_BOUND.name: _signals("00", "01"),
        metrics.BASELINE_OBSERVATIONS.name: _signals(),
        metrics.MODEL_INFO.name: _owned(),
        PRODUCTION_VERSION.name: _owned(),
        SLO_BURN_RATE.over("1h").name: _owned(slo=("availability",)),
        SIGNAL_MOVED.over("1h").name: _signals(),
        metrics.INVALID_OBSERVATIONS.name: iter(()),
        COST.name: iter(()),
    }


def _owned(**several: tuple[str, ...]) -> Iterator[dict[str, str]]:
    for model, version, tenant in OWNERS:
        owner = {"model_name": model, "model_version": version, "tenant_id": tenant, "framework": "pytorch"}
        for name, values in (several or {"job": ("models",)}).items():
            for value in values:
                kind = {"GPU-1": "h200", "GPU-2": "h100"}.get(value)
                yield {**owner, name: value, **({"device_type": kind} if kind else {})}


def _signals(*bins: str) -> Iterator[dict[str, str]]:
    tenants = [(model, version, tenant) for model, version, _ in OWNERS for tenant in ("__all__", "user-A")]
    for model, version, tenant in dict.fromkeys(tenants):
        owner = {"model_name": model, "model_version": version, "tenant_id": tenant, "baseline": "a1b2c3d4"}
        for kind, signal in (("input", "age"), ("input", STRANGE), ("output", "score")):
            for name in bins or ("",):
                yield {**owner, "kind": kind, "signal": signal, **({"bin": name} if name else {})}


def _first_selector(node: Any) -> Any:
    match node:
        case promql_parser.VectorSelector():
            return node
        case promql_parser.MatrixSelector():
            return node.vector_selector
        case promql_parser.BinaryExpr():
            return _first_selector(node.lhs)
        case promql_parser.Call():
            return _first_selector(node.args[-1])
    return _first_selector(node.expr)


def _matches(value: str, operator: str, wanted: str) -> bool:
    if operator in ("MatchOp.Re", "MatchOp.NotRe"):
        return (re.fullmatch(wanted, value) is not None) is (operator == "MatchOp.Re")
    return (value == wanted) is (operator == "MatchOp.Equal")


def _seed(labels: Mapping[str, str]) -> int:
    return zlib.crc32(str(sorted(labels.items())).encode())


def gauge(labels: Mapping[str, str], instant: int) -> str | None:
    return TEXTS[(_seed(labels) + instant // 1000) % len(TEXTS)]


def _increase(labels: Mapping[str, str], instant: int) -> str | None:
    """A count: by bounds it grows, and at some times there is too little of it or none."""
    owner = {name: value for name, value in labels.items() if name not in ("bin", "le", "outcome")}
    phase = (_seed(owner) + instant // 15_000) % 7
    if phase == 3:
        return None
    few = 0.01 if phase == 5 else 1.0
    rank = ("0.1", "1.0", "+Inf").index(labels["le"]) + 1 if "le" in labels else 1
    if labels.get("outcome") == "failure":
        return str(few * (phase + 0.25))
    return str(few * rank * (401.5 + (_seed(labels if "bin" in labels else owner) + instant // 1000) % 97))


def _constant(labels: Mapping[str, str], instant: int) -> str:
    """What describes a baseline."""
    if "bin" not in labels:
        return "1000"
    return {"00": "0.625", "01": "0.375"}.get(labels["bin"], "0")


def _envelope(kind: str, result: list[dict[str, Any]]) -> Any:
    data = {"resultType": kind, "result": result}
    return 200, {"Content-Type": JSON}, json.dumps({"status": "success", "data": data}).encode()
