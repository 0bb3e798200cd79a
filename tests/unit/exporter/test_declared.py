"""Declared values: the YAML file, the expressions, what they can read, and what they hand to a call."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import enum
import functools
import inspect
import json
import logging
import re
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jmespath
import numpy as np
import pandas as pd
import polars as pl
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.baseline import Baseline, CategoricalSignal, NumericSignal
from modelplane_exporter.declared import Declared, DeclaredError
from modelplane_exporter.declared.expressions import Expression, ExpressionError, is_true

HEAD = "apiVersion: modelplane/v1\n"
FULL = """
apiVersion: modelplane/v1
confidence: result.scores[0].probability
items: length(arguments.rows)
tokens:
  input: result.usage.prompt_tokens
  cached_input: result.usage.cached_tokens || `0`
  output: result.usage.completion_tokens
  reasoning: result.usage.reasoning_tokens
features: arguments.features
prediction: result.label
events:
  - {name: recommended, when: "result.items[0]"}
  - {name: added_to_basket, count: "length(result.added)"}
values:
  basket_value: result.basket.total
"""
ARGUMENTS = {"rows": [1, 2, 3], "features": {"age": 41}}
RESULT = {
    "scores": [{"probability": 0.83}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "reasoning_tokens": 2},
    "label": "cat",
    "items": ["shoe"],
    "added": ["a", "b"],
    "basket": {"total": 12.5},
}
BASELINE = Baseline(
    "shop",
    None,
    (
        NumericSignal("input", "age", (40.0,), (30.0, 50.0), (0.5, 0.5, 0.0), 40.0, 10.0, 100),
        CategoricalSignal("output", "prediction", ("cat", "dog"), (0.5, 0.5, 0.0, 0.0), 100),
        NumericSignal("business", "basket_value", (10.0,), (5.0, 20.0), (0.5, 0.5, 0.0), 12.0, 4.0, 100),
    ),
    "2026-01-01T00:00:00Z",
)


class RecordedCall:
    """Takes what a call takes, and remembers it."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.predictions: dict[str, Any] = {}
        self.events: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in ("confidence", "items", "features", "business", "result"):
            raise AttributeError(name)
        return functools.partial(self.seen.__setitem__, name)

    def tokens(self, **counts: int) -> None:
        self.seen["tokens"] = counts

    def prediction(self, values: Any, name: str = "prediction") -> None:
        self.predictions[name] = values

    def event(self, name: str, count: int = 1) -> None:
        self.events[name] += count

    def invalid(self, reason: str) -> None:
        self.reasons[reason] += 1


def observed(
    text: str, result: object = None, arguments: Mapping[str, object] = types.MappingProxyType({})
) -> RecordedCall:
    call = RecordedCall()
    Declared.parse(HEAD + text).observe(call, arguments, result)
    return call


def read(expression: str, result: object = None, **arguments: object) -> Any:
    return Expression.parse(expression).read({"result": result, "arguments": arguments})


# The file


def test_a_full_file_hands_everything_to_the_call() -> None:
    call = RecordedCall()
    Declared.parse(FULL).observe(call, ARGUMENTS, RESULT)
    assert call.seen == {
        "confidence": 0.83,
        "items": 3,
        "tokens": {"input": 7, "cached_input": 0, "output": 5, "reasoning": 2},
        "features": {"age": 41},
        "business": {"basket_value": 12.5},
    }
    assert call.seen["features"] is ARGUMENTS["features"]
    assert call.predictions == {"prediction": "cat"}
    assert call.events == {"recommended": 1, "added_to_basket": 2}
    assert not call.reasons


def test_load_reads_a_file_and_names_it_in_errors(tmp_path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(FULL, encoding="utf-8")
    assert Declared.load(path) == Declared.parse(FULL, str(path))
    assert Declared.load(path).event_names == ("recommended", "added_to_basket")
    path.write_text(HEAD + "confidance: result.p", encoding="utf-8")
    with pytest.raises(DeclaredError, match=rf"^{re.escape(str(path))}: the file has an unknown key"):
        Declared.load(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DeclaredError, match="cannot be read"):
        Declared.load(path)
    with pytest.raises(DeclaredError, match="cannot be read"):
        Declared.load(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file must be a mapping with the keys apiVersion, confidence, items, .* (got nothing)"),
        ("- a", "the file must be a mapping with the keys .* (got a list)"),
        ("confidence: result.p", "apiVersion must be modelplane/v1 (got nothing)"),
        ("apiVersion: modelplane/v2", "apiVersion must be modelplane/v1 (got 'modelplane/v2')"),
        (HEAD + "confidance: result.p", "the file has an unknown key 'confidance'; allowed: apiVersion, .*"),
        (HEAD + "? [a]\n: b", "not YAML, line 2, column 3: found unhashable key"),
        (HEAD + "items: [", "not YAML, line 2, column 9: .*"),
        (HEAD + "items: result.a\nitems: result.b", "line 1: key 'items' occurs 2 times in one mapping"),
        (HEAD + "values:\n  a: result.a\n  a: result.b", "line 3: key 'a' occurs 2 times in one mapping"),
        (HEAD + 'items: "\\UFFFFFFFF"', "not YAML: OverflowError"),
        (HEAD + "items: " + "[" * 5000, "not YAML: RecursionError"),
        (HEAD + "confidence:", "confidence must be a JMESPath expression (got '')"),
        (HEAD + "confidence: [result.p]", "confidence must be a JMESPath expression (got a list)"),
        (HEAD + "items: {count: result.n}", "items must be a JMESPath expression (got a mapping)"),
        (HEAD + "confidence: result.p)", "confidence is not JMESPath, from column 9 on: 'result.p)'"),
        (HEAD + "confidence: result.p[", "confidence is not JMESPath, from column 10 on: 'result.p['"),
        (HEAD + "confidence: result.#", "confidence is not JMESPath, from column 8 on: 'result.#'"),
        (HEAD + "confidence: scores[0]", "confidence must start at result or arguments (got 'scores')"),
        (HEAD + "items: length(rows)", "items must start at result or arguments (got 'rows')"),
        (HEAD + "items: size(result)", "items has no function 'size'; allowed: abs, avg, .*"),
        (HEAD + "items: length()", "items has length() of 0 arguments; it takes 1"),
        (HEAD + "items: merge()", "items has merge() of 0 arguments; it takes at least 1"),
        (HEAD + "items: result.a[" + "9" * 5000 + "]", "items is not JMESPath: Exceeds the limit .*"),
        (HEAD + "items: " + "(" * 5000, "items is nested too deeply"),
        (HEAD + "tokens: result.n", "tokens must be a mapping with the keys input, .* (got 'result.n')"),
        (
            HEAD + "tokens: {prompt: result.n}",
            "tokens has an unknown key 'prompt'; allowed: input, cached_input, output, reasoning",
        ),
        (HEAD + "tokens: {input: result.}", "tokens.input is not JMESPath, from column 8 on: 'result.'"),
        (HEAD + "prediction: [result.a]", "prediction must be a mapping (got a list)"),
        (HEAD + "prediction: {label: result..}", "prediction.label is not JMESPath, from column 8 on: .*"),
        (HEAD + "values: result.a", "values must be a mapping (got 'result.a')"),
        (
            HEAD + "values: {'': result.a}",
            "a key of values is required and must be a non-empty text (got '')",
        ),
        (HEAD + "values: {price: }", "values.price must be a JMESPath expression (got '')"),
        (HEAD + "events: {name: a}", "events must be a list (got a mapping)"),
        (HEAD + "events: [clicked]", "events[0] must be a mapping with the keys name, .* (got 'clicked')"),
        (HEAD + "events: [{when: result.a}]", "events[0].name is required and must be a non-empty .*"),
        (HEAD + "events: [{name: a}]", "events[0] must have one of when, count (got none)"),
        (
            HEAD + "events: [{name: a, when: result.a, count: result.b}]",
            "events[0] must have one of when, count (got both)",
        ),
        (
            HEAD + "events: [{name: a, when: result.a, unless: result.b}]",
            "events[0] has an unknown key 'unless'; allowed: name, when, count",
        ),
        (
            HEAD + "events: [{name: a, when: result}, {name: b, when: 'result.'}]",
            "events[1].when is not JMESPath, from column 8 on: 'result.'",
        ),
        (
            HEAD + "events: [{name: a, when: result}, {name: a, count: result}]",
            "events has 2 events with the name 'a'; names must differ",
        ),
        (HEAD + 'events: [{name: "\\uD800", when: result}]', ".*surrogates .*"),
    ],
)
def test_errors_name_the_place_and_what_is_allowed(text: str, message: str) -> None:
    pattern = re.escape(message).replace(r"\.\*", ".*").replace(r"\ ", " ")
    with pytest.raises(DeclaredError) as caught:
        Declared.parse(text, "shop.yaml")
    assert re.fullmatch(f"shop.yaml: {pattern}", str(caught.value), re.DOTALL), str(caught.value)


PIECES = st.sampled_from(
    [
        *("apiVersion: modelplane/v1\n", "confidence: ", "events:", "values:", "tokens: {input: result}"),
        *("\n", "  ", "- ", "{", "}", "[", "]", "name: a", "when: result", "&a ", "*a", "!!int ", "? ", ": "),
        *("'", '"', "\\UFFFFFFFF", "\\ud800", "%YAML 1.1\n", "---\n", "|\n", ">\n", "<<: ", "#", "\x00"),
    ]
)
TOKENS = st.sampled_from(
    [
        *("result", "arguments", ".", "[", "]", "*", "?", "&", "|", "(", ")", "{", "}", ":", ",", "`1`"),
        *("'a'", '"b"', "length", "sum", "max_by", "0", "-1", "@", "!", "==", "<", " ", "`", '"', "\\", "#"),
    ]
)


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@settings(deadline=None)
@given(st.text(max_size=40) | st.lists(PIECES, max_size=14).map("".join))
def test_any_text_is_declared_values_or_a_declared_error(text: str) -> None:
    try:
        declared = Declared.parse(text)
    except DeclaredError as error:
        declared = None
        message = str(error)
    assert declared is not None or message.startswith("declared values: ")


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@settings(deadline=None)
@given(st.text(max_size=20) | st.lists(TOKENS, max_size=12).map("".join))
def test_any_text_is_an_expression_or_an_expression_error(text: str) -> None:
    try:
        expression = Expression.parse(text)
    except ExpressionError:
        return
    assert expression.text == text


def test_check_wants_the_signals_in_the_baseline() -> None:
    Declared.parse(FULL).check(BASELINE)
    Declared.parse(HEAD + "confidence: result.p\nevents: [{name: a, when: result.a}]").check(None)
    output_only = dataclasses.replace(BASELINE, signals=BASELINE.of_kind("output"))
    for text, baseline, message in [
        ("features: arguments.x", None, "features needs a baseline with signals of kind input"),
        ("features: arguments.x", output_only, "features needs a baseline with signals of kind input"),
        (
            "prediction: result.y",
            None,
            "prediction: 'prediction' must be a signal of kind output in the baseline; "
            "allowed: none, because there is no such signal",
        ),
        (
            "prediction: {age: result.y}",
            BASELINE,
            "prediction: 'age' must be a signal of kind output in the baseline; allowed: prediction",
        ),
        (
            "values: {basket: result.y}",
            BASELINE,
            "values: 'basket' must be a signal of kind business in the baseline; allowed: basket_value",
        ),
    ]:
        with pytest.raises(DeclaredError) as caught:
            Declared.parse(HEAD + text, "shop.yaml").check(baseline)
        assert str(caught.value) == f"shop.yaml: {message}"


# What is handed on, and what is counted


def test_what_is_missing_is_counted_by_value() -> None:
    call = RecordedCall()
    Declared.parse(FULL).observe(call, {}, {})
    assert call.seen == {"tokens": {"cached_input": 0}}
    assert not call.predictions
    assert not call.events
    # items, three kinds of tokens, features, prediction, added_to_basket, basket_value
    assert call.reasons == {"confidence_missing": 1, "value_missing": 8}


def test_one_failure_does_not_stop_the_others() -> None:
    result = {**RESULT, "scores": 5, "usage": {"prompt_tokens": "7", "completion_tokens": 5}, "added": 3}
    call = RecordedCall()
    Declared.parse(FULL).observe(call, {**ARGUMENTS, "rows": 3.5}, result)
    assert call.seen["tokens"] == {"cached_input": 0, "output": 5}
    assert call.seen["business"] == {"basket_value": 12.5}
    assert call.events == {"recommended": 1}
    # input and added and rows; scores and reasoning
    assert call.reasons == {"value_wrong_type": 3, "confidence_missing": 1, "value_missing": 1}


@pytest.mark.parametrize("count", [3, 3.0, np.int64(3), np.float32(3), np.array(3), np.uint8(3)])
def test_whole_numbers_of_any_type_are_counts(count: object) -> None:
    call = observed("items: result\ntokens: {output: result}\nevents: [{name: a, count: result}]", count)
    assert call.seen["items"] == 3
    assert type(call.seen["items"]) is int
    assert call.seen["tokens"] == {"output": 3}
    assert call.events == {"a": 3}
    assert not call.reasons


@pytest.mark.parametrize(
    "count", ["3", 3.5, True, [3], {"n": 3}, np.array([3]), float("nan"), float("inf"), object(), np.True_]
)
def test_anything_else_is_of_the_wrong_type(count: object) -> None:
    call = observed("items: result\ntokens: {output: result}\nevents: [{name: a, count: result}]", count)
    assert call.reasons == {"value_wrong_type": 3}
    assert call.seen.keys() == {"result"}
    assert not call.events


def test_a_negative_count_of_events_is_of_the_wrong_type_and_zero_is_no_event() -> None:
    call = observed("events: [{name: a, count: result.a}, {name: b, count: result.b}]", {"a": -1, "b": 0})
    assert not call.events
    assert call.reasons == {"value_wrong_type": 1}


@pytest.mark.parametrize(
    ("value", "happened"),
    [
        *((None, 0), (False, 0), ("", 0), ([], 0), ({}, 0), ((), 0)),
        *((0, 1), (True, 1), ("no", 1), ([None], 1), ({"a": None}, 1), (object(), 1), ((0,), 1), (0.0, 1)),
        *((np.False_, 0), (np.True_, 1), (np.array([]), 0), (np.array([0]), 1), (np.array(False), 0)),
        *((pd.DataFrame(), 0), (pd.Series([0]), 1), (np.array(0), 1), (np.zeros((2, 2)), 1)),
    ],
)
def test_when_follows_the_rule_of_jmespath(value: object, happened: int) -> None:
    assert is_true(value) == bool(happened)
    call = observed("events: [{name: a, when: result.x}, {name: b, when: '!(result.x)'}]", {"x": value})
    assert call.events == Counter({"a": happened, "b": 1 - happened})
    assert not call.reasons


def test_when_compares() -> None:
    text = "events: [{name: big, when: 'result.total > `10`'}, {name: cat, when: \"result.label == 'cat'\"}]"
    assert observed(text, {"total": 11, "label": "dog"}).events == {"big": 1}
    assert observed(text, {"total": np.float32(3), "label": np.str_("cat")}).events == {"cat": 1}
    assert observed(text, {}).events == {}
    assert not observed(text, {}).reasons


def test_predictions_are_handed_on_by_signal() -> None:
    scores = np.array([0.1, 0.9])
    call = observed("prediction: {label: result.label, score: result.scores}", {"label": 3, "scores": scores})
    assert call.predictions["label"] == 3
    assert call.predictions["score"] is scores


def test_confidence_that_is_not_declared_is_the_exporters() -> None:
    result = {"confidence": 0.7, "items": 2}
    assert observed("items: result.items", result).seen == {"items": 2, "result": result}
    assert observed("confidence: result.confidence", result).seen == {"confidence": 0.7}


def test_a_function_of_what_is_not_there_is_not_there() -> None:
    assert observed("items: length(result.rows)", {}).reasons == {"value_missing": 1}
    assert observed("items: length(result.rows)", {"rows": 5}).reasons == {"value_wrong_type": 1}
    assert observed("items: sum(result.rows)", {"rows": ["a"]}).reasons == {"value_wrong_type": 1}


def test_the_log_names_the_expression_but_no_data(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        observed("items: result.patients.number\nvalues: {stay: sum(result.stays)}", {"stays": ["4711"]})
    assert "declared value 'result.patients.number' was not observed: there is none" in caplog.text
    assert "declared value 'sum(result.stays)' was not observed: JMESPathTypeError" in caplog.text
    assert "4711" not in caplog.text


# What expressions can read


class Plain:
    kind = "class attribute"

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)
        self._secret = 1

    @property
    def computed(self) -> int:
        return 42

    @property
    def broken(self) -> int:
        raise RuntimeError

    def method(self) -> int:
        return 1


@dataclasses.dataclass(slots=True)
class Slotted:
    scores: object
    name: str = "slotted"


class Named(NamedTuple):
    scores: object
    name: str = "named"


class Model(pydantic.BaseModel):
    scores: Any
    name: str = "model"

    @pydantic.computed_field
    def doubled(self) -> str:
        return self.name * 2


SCORES = ({"p": 0.5}, {"p": 0.25})


@pytest.mark.parametrize(
    "result",
    [
        {"scores": SCORES},
        Plain(scores=SCORES),
        Slotted(SCORES),
        Named(SCORES),
        Model.model_construct(scores=SCORES),
        types.MappingProxyType({"scores": list(SCORES)}),
        collections.UserDict(scores=SCORES),
        collections.OrderedDict(scores=collections.deque(SCORES)),
        collections.ChainMap({}, {"scores": SCORES}),
        {"scores": [types.SimpleNamespace(p=0.5), Named(1)._replace(name="x") and Plain(p=0.25)]},
        {"scores": np.array([(0.5,), (0.25,)], dtype=[("p", float)]).view(np.recarray)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_fields_and_items_of_any_container(result: object) -> None:
    assert read("result.scores[0].p", result) == 0.5
    assert read("result.scores[-1].p", result) == 0.25
    assert read("result.scores[2].p", result) is None
    assert read("result.scores[-3].p", result) is None
    assert read("result.absent.p", result) is None
    assert read("length(result.scores)", result) == 2
    if not isinstance(result, dict) or not isinstance(result["scores"], np.ndarray):
        assert read("result.scores[*].p", result) == [0.5, 0.25]
        assert read("sum(result.scores[].p)", result) == 0.75
        assert read("result.scores[:1] | [0].p", result) == 0.5
        assert read("result.scores[?p < `0.4`].p", result) == [0.25]
        assert read("max_by(result.scores, &p).p", result) == 0.5
        assert read("result.* | [0][0].p", result) == 0.5


def test_properties_are_fields_but_methods_and_what_is_private_are_not() -> None:
    result = Plain(name="x")
    assert read("result.computed", result) == 42
    assert read("result.kind", result) == "class attribute"
    for name in ("method", "_secret", "__class__", '"__dict__"', "__init__", "name.upper"):
        assert read(f"result.{name}", result) is None
    assert read("result.doubled", Model(scores=1)) == "modelmodel"
    assert read("result.model_dump", Model(scores=1)) is None
    assert read("result.real", 5) is None
    assert read("result._id", {"_id": 5}) == 5
    assert observed("items: result.broken", result).reasons == {"value_wrong_type": 1}
    assert read("result.color.value", Plain(color=enum.Enum("Color", "RED").RED)) == 1
    assert read("arguments.self.name", self=result) == "x"
    assert read("result.*", Slotted(1)) == [1, "slotted"]
    assert read("result.*", Plain(a=1)) == [1]
    assert [read("result.*", value) for value in (5, "x", [1], None, np.zeros(2))] == [None] * 5


def test_looking_does_not_change_a_defaultdict() -> None:
    result = collections.defaultdict(list, known=[1])
    assert read("result.unknown[0]", result) is None
    assert read("result.known[0]", result) == 1
    assert dict(result) == {"known": [1]}


def test_what_no_expression_names_is_not_touched() -> None:
    touched = []

    class Lazy(dict):
        def __getitem__(self, name: str) -> object:
            touched.append(name)
            return super().__getitem__(name)

        def __iter__(self) -> Any:
            raise AssertionError("walked")

        def values(self) -> Any:
            raise AssertionError("walked")

        items = keys = values

    lazy = Lazy(needed=[Lazy(deep=1), object()], other=2)
    assert read("result.needed[0].deep", lazy) == 1
    assert touched == ["needed", "deep"]


def test_leaves_are_handed_on_as_they_are() -> None:
    frame, rows, scores = pd.DataFrame({"age": [1, 2]}), np.zeros((3, 2)), (0.5, 0.25)
    for leaf in (frame, rows, scores, pl.DataFrame({"age": [1]}), np.float32(0.5), [1], Named(1), object()):
        assert read("result.leaf", {"leaf": leaf}) is leaf
        assert read("arguments.leaf", leaf=leaf) is leaf
        assert read("result[0]", (leaf,)) is leaf
        assert read("not_null(result.none, @.result.leaf) | [@] | [0]", {"leaf": leaf}) is not None


def test_arrays_and_series_by_their_first_axis() -> None:
    matrix = np.arange(6.0).reshape(3, 2)
    assert read("result[2]", matrix).tolist() == [4.0, 5.0]
    assert read("result[2][1]", matrix) == 5.0
    assert read("result[3]", matrix) is None
    assert read("result[0]", np.array(5)) is None
    assert read("length(result)", matrix) == 3
    assert read("arguments.batch.shape[1]", batch=matrix) == 2
    assert read("result[*][0]", matrix) == [0.0, 2.0, 4.0]
    assert read("sum(result[])", matrix) == 15.0
    assert read("sum(result[0])", matrix) == 1.0
    assert read("max(result[1:][])", matrix) == 5.0
    assert read("avg(result)", np.array([1, 2], np.float32)) == 1.5
    assert read("max(result)", [np.float32(1), np.float32(2)]) == 2
    assert read("max_by(result, &p).name", [{"p": np.float32(1), "name": "a"}]) == "a"
    series = pd.Series([1.5, 2.5], index=[7, -1])
    assert read("result[-1]", series) == 2.5
    assert read("result[0]", series) == 1.5
    assert read("sum(result)", series) == 4
    assert read("sum(result)", pl.Series([1.5, 2.5])) == 4
    assert read("result[1]", pl.Series([1.5, 2.5])) == 2.5
    frame = pd.DataFrame({"age": [1, 2, 3]})
    assert read("length(result)", frame) == 3
    assert read("result[0]", frame) is None
    assert read("sum(result.age)", frame) == 6


def test_no_function_converts_a_large_array() -> None:
    large = np.zeros(20_000)
    assert read("length(result)", large) == 20_000
    assert read("result[19999]", large) == 0
    assert observed("items: sum(result)", large).reasons == {"value_wrong_type": 1}
    assert observed("items: result[*].x | length(@)", large).reasons == {"value_wrong_type": 1}
    assert observed("items: result[*][0] | length(@)", np.zeros((20_000, 1))).reasons == {
        "value_wrong_type": 1
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "a", "b", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
PATHS = st.sampled_from(
    [
        *("result.a", "result[0]", "result.a[-1].b", "result[*].a", "result[]", "result[][]", "result.*"),
        *("result.*.a", "result.*[]", "result[?a]", "result[?a == `1`].b", "result[?a > b]", "result[1:]"),
        *(
            "result[::-1]",
            "result.a || result.b",
            "result.a && result.b",
            "!result.a",
            "[result.a, result.b]",
        ),
        *("{x: result.a, y: result[0]}", "length(result)", "sum(result)", "sort(result)", "max(result)"),
        *("keys(result)", "values(result)", "type(result)", "to_string(result)", "to_number(result)"),
        *("not_null(result.a, result.b)", "merge(result, `{}`)", "reverse(result)", "to_array(result)"),
        *("sort_by(result, &a)", "max_by(result, &a)", "map(&a, result)", "contains(result, 'a')"),
        *("result.a == result.b", "result.a < `1`", "join(',', result)", "result.a | [0]", "avg(result)"),
        *("`[1]`[0]", "result.a[0][0]", "abs(result)", "starts_with(result, 'a')", "arguments.a.b"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(PATHS, JSON)
def test_on_json_the_answers_are_those_of_jmespath(path: str, result: object) -> None:
    root = {"result": result, "arguments": {"a": {"b": 1}}}
    try:
        expected = jmespath.search(path, root)
    except jmespath.exceptions.JMESPathTypeError as error:
        if error.current_value is None:
            assert Expression.parse(path).read(root) is None
        else:
            with pytest.raises(jmespath.exceptions.JMESPathTypeError):
                Expression.parse(path).read(root)
        return
    except TypeError:  # it compares null with a number
        return
    found = Expression.parse(path).read(root)
    assert repr(found) == repr(expected)


class Hostile:
    """Raises whatever is done to it."""

    def _fail(self, *args: object) -> Any:
        raise RuntimeError("hostile")

    __getattr__ = __getitem__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = __contains__ = _fail
    __str__ = __repr__ = __lt__ = __gt__ = __int__ = __float__ = __index__ = _fail


CYCLE: list[Any] = [1]
CYCLE.append(CYCLE)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.builds(Hostile)
    | st.just(CYCLE)
    | st.sampled_from([np.float32(1), np.zeros((2, 2)), np.array(1), np.array(["a"]), pd.Series([1]), {1, 2}])
    | st.sampled_from(
        [Plain(a=1), Plain, len, iter([1]), 1j, pd.NaT, pd.DataFrame({"a": [1]}), np.array(None)]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b", "scores", 1, None]), inner, max_size=3)
        | st.builds(Slotted, inner)
        | st.builds(lambda a, b: Plain(a=a, b=b), inner, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(PATHS, VALUES)
def test_no_object_makes_observing_raise(path: str, result: object) -> None:
    quoted = json.dumps(path)
    places = "".join(f"{key}: {quoted}\n" for key in ("confidence", "items", "features", "prediction"))
    events = f"events: [{{name: a, when: {quoted}}}, {{name: b, count: {quoted}}}]\n"
    declared = Declared.parse(HEAD + places + events)
    call = RecordedCall()
    declared.observe(call, {"a": result}, result)
    for place, seen in [
        ("confidence", call.seen.get("confidence") is not None or call.reasons),
        ("features", call.seen.get("features") is not None or call.reasons),
    ]:
        assert seen, place


# Arguments


def positional(a, b=2, /, c=3): ...
def keyword(a, *, b=2, **others): ...
def variadic(a, *rest, b=2): ...
def clash(a, /, **a_and_others): ...
def everything(*args, **kwargs): ...


class Service:
    def method(self, x, y=1): ...

    def __call__(self, z): ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (positional, (1,), {}),
        (positional, (1, 5), {"c": 6}),
        (positional, (1, 5, 6), {}),
        (keyword, (1,), {}),
        (keyword, (), {"a": 1, "b": 3, "z": 4}),
        (variadic, (1, 2, 3), {"b": 4}),
        (variadic, (1,), {}),
        (clash, (1,), {"a": 2}),
        (everything, (1, 2), {"a": 2}),
        (everything, (), {}),
        (Service.method, ("me", 1), {}),
        (Service().method, (1,), {"y": 2}),
        (Service(), (), {"z": 2}),
        (functools.partial(positional, 1), (5,), {}),
    ],
)
def test_arguments_are_bound_as_python_binds_them(function, args, kwargs) -> None:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    assert Declared.binder(function)(args, kwargs) == bound.arguments


def test_a_function_without_a_signature_has_args_and_kwargs() -> None:
    assert Declared.binder(max)((1, 2), {"key": abs}) == {"args": (1, 2), "kwargs": {"key": abs}}


# With the decorator


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def exporter_of(registry: CollectorRegistry, text: str, **options: Any) -> ModelMetricsExporter:
    declared = Declared.parse(text, "shop.yaml")
    return ModelMetricsExporter("shop", "v1", "a", "sklearn", declared=declared, registry=registry, **options)


def sample(registry: CollectorRegistry, name: str, tenant_id: str = "a", **labels: str) -> float | None:
    identity = {"model_name": "shop", "model_version": "v1", "tenant_id": tenant_id, "framework": "sklearn"}
    return registry.get_sample_value(name, {**identity, **labels})


def test_a_decorated_function_counts_what_is_declared(registry) -> None:
    @exporter_of(registry, FULL, baseline=BASELINE)
    def recommend(rows: list[int], features: dict[str, float]) -> dict[str, object]:
        return RESULT

    assert recommend([1, 2, 3], features={"age": 41}) is RESULT
    assert recommend(**ARGUMENTS) is RESULT
    assert sample(registry, "model_prediction_confidence_sum") == pytest.approx(1.66)
    assert sample(registry, "model_inference_items_total") == 6
    tokens = {
        kind: sample(registry, "model_inference_tokens_total", kind=kind)
        for kind in ("input", "cached_input", "output", "reasoning")
    }
    assert tokens == {"input": 14, "cached_input": 0, "output": 10, "reasoning": 4}
    assert sample(registry, "model_business_events_total", event="recommended") == 2
    assert sample(registry, "model_business_events_total", event="added_to_basket") == 4
    for kind, signal, place in [
        ("input", "age", "01"), ("output", "prediction", "cat"), ("business", "basket_value", "01"),
    ]:  # fmt: skip
        labels = {"kind": kind, "signal": signal, "baseline": BASELINE.label, "bin": place}
        assert sample(registry, "model_signal_observations_total", "__all__", **labels) == 2, signal
    assert sample(registry, "model_invalid_observations_total", reason="value_missing") in (None, 0)


def test_async_functions_and_methods_have_declared_values_too(registry) -> None:
    exporter = exporter_of(registry, HEAD + "items: arguments.self.size\nconfidence: result")

    class Service:
        size = 5

        @exporter
        def one(self, x: int) -> float:
            return 0.5

        @exporter
        async def two(self, x: int) -> float:
            return 0.25

    assert Service().one(1) == 0.5
    assert asyncio.run(Service().two(x=1)) == 0.25
    assert sample(registry, "model_inference_items_total") == 10
    assert sample(registry, "model_prediction_confidence_sum") == 0.75


def test_a_call_that_fails_observes_nothing_and_raises_what_it_raised(registry) -> None:
    @exporter_of(registry, HEAD + "confidence: result.p\nitems: length(arguments.rows)")
    def predict(rows: list[int]) -> object:
        raise KeyError(rows)

    with pytest.raises(KeyError):
        predict([1])
    with pytest.raises(TypeError):
        predict([1], 2)
    assert sample(registry, "model_inference_requests_total", outcome="failure") == 2
    assert sample(registry, "model_prediction_confidence_count") == 0
    assert sample(registry, "model_invalid_observations_total", reason="confidence_missing") in (None, 0)


def test_broken_values_are_counted_and_the_result_is_untouched(registry) -> None:
    @exporter_of(registry, FULL, baseline=BASELINE)
    def recommend(rows: object, features: object) -> object:
        return hostile

    hostile = Hostile()
    assert recommend(3.5, "no features") is hostile
    assert sample(registry, "model_inference_requests_total", outcome="success") == 1
    assert sample(registry, "model_invalid_observations_total", reason="value_wrong_type") >= 8
    assert sample(registry, "model_prediction_confidence_count") == 0


def test_the_exporter_takes_a_path_and_wants_the_signals_at_start(registry, tmp_path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(FULL, encoding="utf-8")
    with pytest.raises(DeclaredError, match=f"{path}: features needs a baseline"):
        ModelMetricsExporter("shop", "v1", "a", "sklearn", declared=path, registry=registry)
    ModelMetricsExporter("shop", "v2", "a", "sklearn", declared=path, baseline=BASELINE, registry=registry)
    exposed = generate_latest(registry).decode()
    for event in ("recommended", "added_to_basket"):
        line = rf'^model_business_events_total{{event="{event}",.*model_version="v2".*}} 0.0$'
        assert re.search(line, exposed, re.MULTILINE), event


def test_confidence_that_is_not_declared_is_still_read(registry) -> None:
    @exporter_of(registry, HEAD + "items: length(arguments.rows)")
    def predict(rows: list[int]) -> dict[str, float]:
        return {"confidence": 0.5}

    predict([1, 2])
    assert sample(registry, "model_prediction_confidence_sum") == 0.5
    assert sample(registry, "model_inference_items_total") == 2


# Without the packages, and with the frameworks


def run(script: str) -> None:
    """Run Python in a process of its own; importing a framework would change this one."""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(("module", "package"), [("jmespath", "JMESPath"), ("yaml", "PyYAML")])
def test_what_is_missing_says_what_to_install(module: str, package: str) -> None:
    run(f"""
import sys
sys.modules[{module!r}] = None
import modelplane_exporter
try:
    import modelplane_exporter.declared
except ModuleNotFoundError as error:
    assert str(error) == (
        "declared values need {package}; add it with: pip install 'modelplane[declared]'"
    ), error
else:
    raise AssertionError("no error")
""")


TENSORS = """
from modelplane_exporter.declared.expressions import Expression, is_true
{make}
def read(expression, result):
    return Expression.parse(expression).read({{"result": result}})
matrix, vector = make([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), make([0.5, 0.25])
assert read("result.m", {{"m": matrix}}) is matrix
assert float(read("result[2][1]", matrix)) == 6.0
assert float(read("result[-1][-1]", matrix)) == 6.0
assert read("result[3]", matrix) is None
assert read("result[-4]", matrix) is None
assert read("length(result)", matrix) == 3
assert read("sum(result)", vector) == 0.75
assert read("sum(result[*])", vector) == 0.75
assert read("sum(result[])", matrix) == 21.0
assert read("result[0] > `0.4`", vector) is True
assert [float(value) for value in read("result[*][0]", matrix)] == [1.0, 3.0, 5.0]
assert read("result.tolist", matrix) is None
assert is_true(matrix) and is_true(vector[0] * 0) and not is_true(make([]))
assert not is_true(vector[0] > 1) and is_true(vector[0] > 0)
"""


@pytest.mark.parametrize(
    "make",
    [
        "import torch\ndef make(values): return torch.tensor(values, requires_grad=True)",
        "import tensorflow\nmake = tensorflow.constant",
        "import jax.numpy\nmake = jax.numpy.array",
    ],
    ids=["torch", "tensorflow", "jax"],
)
def test_tensors_of_the_frameworks(make: str) -> None:
    run(TENSORS.format(make=make))
