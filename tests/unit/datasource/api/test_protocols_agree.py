"""One fixed data set through every protocol: the same times, values, names, labels, order and nulls.

Numbers are compared as the texts that stand in the JSON, so that not one bit can differ.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from datasource_support.cost_cases import COST_CASES
from datasource_support.fixed_prometheus import (
    EVERYBODY,
    NEW,
    NOW,
    OWNERS,
    SIGNALS,
    SINGLE,
    STRANGE,
    TEXTS,
    Options,
    gauge,
)
from modelplane_datasource.catalogue import SERIES_METRICS, find_metric
from modelplane_datasource.grafana.annotations import SOURCES
from modelplane_datasource.grafana.formats import unit_of
from modelplane_datasource.series.metric import Promql, SeriesMetric
from modelplane_datasource.series.model import Series
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_schema import metrics

pytestmark = pytest.mark.slow

MS = NOW * 1000
CALLS: list[Options] = [
    EVERYBODY, SINGLE, {**EVERYBODY, "model-version": [NEW]}, {"group-by": ["none"]},
    {**EVERYBODY, "group-by": ["tenant", "model", "version"]},
]  # fmt: skip
CASES: dict[str, list[Options]] = {
    "latency": [*CALLS, {**EVERYBODY, "quantile": ["0.999"]}],
    **dict.fromkeys(("throughput", "errors", "confidence", "active", "tokens", "saturation"), CALLS),
    "drift": [
        *({**SIGNALS, "method": [name]} for name in ("psi", "js_distance", "ks", "mean_shift")),
        {**SIGNALS, "method": ["mean_shift_z"], "reference": ["previous:30m"], "window": ["10m"]},
        {**SIGNALS, "tenant-id": ["__all__", "user-A"], "min-observations": ["1"]},
        {"model-name": ["resnet50"], "model-version": ["v1.0.0"], "reference": [f"version:{NEW}"]},
        {**SIGNALS, "kind": ["output", "input"], "signal": [STRANGE, "score"], "reference": ["baseline"]},
        {**SIGNALS, "kind": ["activation", "business", "score"]},
        *({**SIGNALS, "method": [name]} for name in ("variance_ratio", "missing_shift")),
        {**SIGNALS, "kind": ["confidence"], "reference": ["previous:1h"], "tenant-id": ["user-A", "user-B"]},
    ],
    "slo": [
        {**EVERYBODY, "value": ["burn_rate"]},
        {**EVERYBODY, "value": ["budget_remaining"], "slo": ["fast"]},
        {**SINGLE, "window": ["6h"], "slo": ["fast", "availability"]},
        {**SINGLE, "model-version": [NEW], "window": ["auto"]},
        {"group-by": ["none"]},
        {**EVERYBODY, "group-by": ["tenant", "model", "version"]},
    ],
    **COST_CASES,
}
PAIRS = [(name, options) for name, cases in CASES.items() for options in cases]
each_case = pytest.mark.parametrize(("name", "options"), PAIRS)


class Line(NamedTuple):
    """A series as a protocol gives it; numbers and times are the texts of the JSON."""

    name: str
    labels: dict[str, str]
    points: list[tuple[str, str | None]]


class Figures(NamedTuple):
    """The series of an answer in its order; ``extra`` has what belongs to each point, where it is given."""

    lines: list[Line]
    extra: list[list[dict[str, str | None]]]


def plain(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    return response.json


def exact(data: bytes) -> Any:
    """JSON with its numbers as they are written."""
    return json.loads(data, parse_float=str, parse_int=str)


START, END = MS - 1_800_000, MS
WHEN = {"from": str(START), "to": str(END), "maxDataPoints": "31"}
REQUEST = {"range": {"from": format_rfc3339(START), "to": format_rfc3339(END)}, "maxDataPoints": 31}


def rest(client: FlaskClient, name: str, options: Options, **when: str) -> Figures:
    response = client.get(f"/api/v1/metrics/{name}", query_string={**options, **(when or WHEN)})
    assert response.status_code == 200, response.text
    result = exact(response.data)["data"]
    lines = [
        Line(series["name"], series["labels"], [(point["x"], point["y"]) for point in series["data"]])
        for series in result
    ]
    return Figures(lines, [[_rest_of(point, "x", "y") for point in series["data"]] for series in result])


def rows(client: FlaskClient, name: str, options: Options, **when: str) -> Figures:
    response = client.get(f"/api/v1/rows/{name}", query_string={**options, **(when or WHEN)})
    texts = {key for row in plain(response)["rows"] for key, value in row.items() if isinstance(value, str)}
    flat_rows = exact(response.data)["rows"]
    if name != "cost":  # whose quantities have units, which are labels
        assert {row.pop("unit") for row in flat_rows} <= {find_metric(name).unit}
        texts.discard("unit")
    return from_rows(flat_rows, texts - {"series"})


def from_rows(flat_rows: list[dict[str, Any]], labels: set[str]) -> Figures:
    """The series of flat rows, which must be in the order of time and then of name."""
    assert [(int(row["time"]), row["series"]) for row in flat_rows] == sorted(
        (int(row["time"]), row["series"]) for row in flat_rows
    )
    by_line: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in flat_rows:
        by_line.setdefault((row["series"], *(row[label] for label in sorted(labels))), []).append(row)
    lines = [
        Line(
            line_rows[0]["series"],
            {label: line_rows[0][label] for label in labels},
            [(r["time"], r["value"]) for r in line_rows],
        )
        for line_rows in by_line.values()
    ]
    others = [
        [_rest_of(row, "time", "series", "value", *labels) for row in line_rows]
        for line_rows in by_line.values()
    ]
    return Figures(lines, others)


def _rest_of(point: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in point.items() if key not in keys}


def grafana_answer(client: FlaskClient, target: dict[str, Any], **more: object) -> list[dict[str, Any]]:
    response = client.post("/grafana/query", json={**REQUEST, "targets": [{"refId": "A", **target}], **more})
    assert response.status_code == 200, response.text
    result: list[dict[str, Any]] = exact(response.data)
    assert {element["refId"] for element in result} <= {"A"}
    return result


def from_series(elements: list[dict[str, Any]]) -> list[Line]:
    for element in elements:
        assert element["title"] == element["target"]
    return [
        Line(entry["target"], entry["tags"], [(instant, value) for value, instant in entry["datapoints"]])
        for entry in elements
    ]


def from_table(elements: list[dict[str, Any]]) -> Figures:
    (element,) = elements
    columns = [column["text"] for column in element["columns"]]
    labels = {column["text"] for column in element["columns"][2:] if column["type"] == "string"}
    renamed = {"Time": "time", "Series": "series", "Value": "value"}
    keys = [renamed.get(column, column) for column in columns]
    return from_rows([dict(zip(keys, row, strict=True)) for row in element["rows"]], labels)


def from_frames(frames: list[dict[str, Any]]) -> list[Line]:
    lines = []
    for frame in frames:
        times, value, *_extra = frame["fields"]
        assert (times["name"], times["type"], value["name"], value["type"]) == (
            "Time", "time", "Value", "number",
        )  # fmt: skip
        assert value["config"]["displayNameFromDS"] == frame["name"]
        points = list(zip(times["values"], value["values"], strict=True))
        lines.append(Line(frame["name"], value["labels"], points))
    return lines


def by_name(figures: Figures) -> Figures:
    """The order of rows: by name, then as in the other protocols."""
    order = sorted(range(len(figures.lines)), key=lambda index: figures.lines[index].name)
    return Figures(*([part[index] for index in order] for part in figures))  # type: ignore[arg-type]


def in_regex_form(texts: list[str]) -> str:
    """How Grafana puts the values of a variable into a text."""
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", text) for text in texts]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def as_text(name: str, options: Options) -> str:
    return " ".join([name, *(f"{key}={in_regex_form(texts)}" for key, texts in options.items())])


@each_case
def test_every_protocol_gives_the_same_figures(plane: FlaskClient, name: str, options: Options) -> None:
    expected = rest(plane, name, options)
    assert rows(plane, name, options) == by_name(expected)
    assert expected.lines or options.get("kind") == ["activation", "business", "score"]
    code = {"target": name, "editorMode": "code"}
    assert from_series(grafana_answer(plane, {**code, "payload": options})) == expected.lines
    built = {key: in_regex_form(texts) for key, texts in options.items()}
    builder = {"target": name, "editorMode": "builder"}
    frames = grafana_answer(plane, {**builder, "payload": {**built, "format": "frame"}})
    assert from_frames(frames) == expected.lines
    table = grafana_answer(plane, {**code, "payload": {**options, "format": "table"}})
    assert from_table(table) == by_name(expected)
    text = as_text(name, options)
    assert from_series(grafana_answer(plane, {"target": text, "type": "timeserie"})) == expected.lines
    assert grafana_answer(plane, {"target": text, "type": "table"}) == table
    assert grafana_answer(plane, {"target": name, "type": "table", "data": options}) == table


@each_case
def test_names_tell_series_apart(plane: FlaskClient, name: str, options: Options) -> None:
    """Infinity and Grafana know a series by its name."""
    names = [line.name for line in rest(plane, name, options).lines]
    assert len(set(names)) == len(names)


PLAIN = [name for name in CASES if isinstance(find_metric(name).source, Promql)]


@pytest.mark.parametrize("name", PLAIN)
def test_figures_are_prometheus_to_the_last_bit(plane: FlaskClient, name: str) -> None:
    """Every value of the data set comes through: what is not finite, and what is missing, as null."""
    (result, _) = rest(plane, name, EVERYBODY)
    assert len(result) == len(OWNERS) * (len(metrics.TOKEN_KINDS) if name == "tokens" else 1)
    seen = set()
    for line in result:
        assert [int(instant) for instant, _ in line.points] == list(range(START, END + 1, 60_000))
        for instant, value in line.points:
            text = gauge(line.labels, int(instant))
            number = math.nan if text is None else float(text)
            expected = number.hex() if math.isfinite(number) else None
            assert (None if value is None else float(value).hex()) == expected
            seen.add(text)
    assert seen == set(TEXTS)


@pytest.mark.parametrize("name", ["latency", "drift", "slo", "cost"])
@pytest.mark.parametrize(
    ("when", "more"),
    [
        ({"maxDataPoints": "1"}, {"maxDataPoints": 1}),
        ({"maxDataPoints": "7"}, {"maxDataPoints": 7}),
        ({"maxDataPoints": "500"}, {"maxDataPoints": None}),
        ({"step": "90s"}, {"maxDataPoints": 11000, "intervalMs": 90_000}),
    ],
)
def test_every_protocol_has_the_same_times(
    plane: FlaskClient, name: str, when: dict[str, str], more: dict[str, Any]
) -> None:
    start, end = MS - 2_000_877, MS - 3
    options = {} if name == "cost" else EVERYBODY if name != "drift" else SIGNALS
    requested = {"from": str(start), "to": str(end), **when}
    expected = rest(plane, name, options, **requested)
    assert expected.lines
    assert rows(plane, name, options, **requested) == by_name(expected)
    period = {
        side: f"{format_rfc3339(at)[:-1]}.{at % 1000:03d}Z" for side, at in (("from", start), ("to", end))
    }
    target = {"target": name, "payload": options, "editorMode": "code"}
    assert from_series(grafana_answer(plane, target, range=period, **more)) == expected.lines


@pytest.mark.parametrize("key", ["filters", "adhocFilters"])
@pytest.mark.parametrize(("name", "options"), [("tokens", EVERYBODY), ("drift", SIGNALS), ("cost", {})])
def test_a_filter_is_the_parameter_of_its_name(
    plane: FlaskClient, key: str, name: str, options: Options
) -> None:
    narrow = [
        {"key": "model_name", "operator": "=", "value": "resnet50"},
        {"key": "model_version", "operator": "=|", "values": [NEW]},
    ]
    expected = rest(plane, name, {**options, "model-name": ["resnet50"], "model-version": [NEW]})
    assert expected.lines
    result = from_series(
        grafana_answer(plane, {"target": name, "payload": options, "editorMode": "code"}, **{key: narrow})
    )
    assert [line._replace(name="") for line in result] == [line._replace(name="") for line in expected.lines]


def test_every_option_and_every_choice_is_among_the_cases() -> None:
    assert list(CASES) == [metric.name for metric in SERIES_METRICS]
    for metric in SERIES_METRICS:
        for parameter in metric.parameters:
            used = {text for case in CASES[metric.name] for text in case.get(parameter.name, ())}
            assert used, f"{metric.name} {parameter.name}"
            assert set(parameter.schema.get("enum", ())) <= used, f"{metric.name} {parameter.name}"


def test_every_protocol_lists_the_same_metrics_and_parameters(plane: FlaskClient) -> None:
    catalogue = plain(plane.get("/api/v1/metrics"))["metrics"]
    listed = {entry["value"]: entry for entry in plain(plane.post("/grafana/metrics", json={}))}
    assert plane.post("/grafana/search", json={"target": ""}).json == [metric["name"] for metric in catalogue]
    assert list(listed) == [*(metric["name"] for metric in catalogue), *SOURCES]
    for metric in catalogue:
        assert listed[metric["name"]]["label"] == metric["title"]
        names = [parameter["name"] for parameter in metric["parameters"]]
        fields = [field["name"] for field in listed[metric["name"]]["payloads"]]
        assert [*fields, "from", "to", "step", "maxDataPoints"] == [*names[:-4], "format", *names[-4:]]


@pytest.mark.parametrize("metric", SERIES_METRICS, ids=lambda metric: metric.name)
def test_every_shape_of_grafana_has_the_same_unit(plane: FlaskClient, metric: SeriesMetric) -> None:
    options = CASES[metric.name][0]
    target = {"target": metric.name, "editorMode": "code", "payload": options}
    series = grafana_answer(plane, target)
    frames = grafana_answer(plane, {**target, "payload": {**options, "format": "frame"}})
    (table,) = grafana_answer(plane, {**target, "payload": {**options, "format": "table"}})
    units = [unit_of(metric, Series(element["target"], element["tags"], ())) for element in series]
    assert [element["unit"] for element in series] == units
    assert [frame["fields"][1]["config"]["unit"] for frame in frames] == units
    (column,) = (entry for entry in table["columns"] if entry["text"] == "Value")
    assert column["unit"] == (units[0] if len(set(units)) == 1 else "none")
