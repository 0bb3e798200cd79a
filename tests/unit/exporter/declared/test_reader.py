"""What one call's expressions give: missing, wrong and hostile values, and arguments by name."""

from __future__ import annotations

import functools
import inspect
import json
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter_support.declared_calls import ARGUMENTS, FULL, HEAD, RESULT, RecordedCall, observe, observed
from exporter_support.odd_objects import PATHS, Hostile, Plain, Slotted
from modelplane_exporter.declared import Declared
from modelplane_exporter.declared.expressions import is_true


def test_what_is_missing_is_counted_by_value() -> None:
    call = RecordedCall()
    observe(Declared.parse(FULL), call, {}, {})
    assert call.seen == {"tokens": {"cached_input": 0}}
    assert not call.predictions
    assert not call.events
    # items, three kinds of tokens, features, prediction, added_to_basket, basket_value
    assert call.reasons == {"confidence_missing": 1, "value_missing": 8}


def test_one_failure_does_not_stop_the_others() -> None:
    result = {**RESULT, "scores": 5, "usage": {"prompt_tokens": "7", "completion_tokens": 5}, "added": 3}
    call = RecordedCall()
    observe(Declared.parse(FULL), call, {**ARGUMENTS, "rows": 3.5}, result)
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


def test_the_log_names_the_expression_but_no_data(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        observed("items: result.patients.number\nvalues: {stay: sum(result.stays)}", {"stays": ["4711"]})
    assert "declared value 'result.patients.number' was not observed: there is none" in caplog.text
    assert "declared value 'sum(result.stays)' was not observed: JMESPathTypeError" in caplog.text
    assert "4711" not in caplog.text


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


@pytest.mark.slow
@settings(max_examples=500)
@given(PATHS, VALUES)
def test_no_object_makes_observing_raise(path: str, result: object) -> None:
    quoted = json.dumps(path)
    places = "".join(f"{key}: {quoted}\n" for key in ("confidence", "items", "features", "prediction"))
    events = f"events: [{{name: a, when: {quoted}}}, {{name: b, count: {quoted}}}]\n"
    declared = Declared.parse(HEAD + places + events)
    call = RecordedCall()
    observe(declared, call, {"a": result}, result)
    for place, seen in [
        ("confidence", call.seen.get("confidence") is not None or call.reasons),
        ("features", call.seen.get("features") is not None or call.reasons),
    ]:
        assert seen, place


def positional(a: object, b: object = 2, /, c: object = 3) -> None: ...


def keyword(a: object, *, b: object = 2, **others: object) -> None: ...


def variadic(a: object, *rest: object, b: object = 2) -> None: ...


def clash(a: object, /, **a_and_others: object) -> None: ...


def everything(*args: object, **kwargs: object) -> None: ...


class Service:
    def method(self, x: object, y: object = 1) -> None: ...

    def __call__(self, z: object) -> None: ...


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
def test_arguments_are_bound_as_python_binds_them(
    function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    assert Declared.binder(function)(args, kwargs) == bound.arguments


def test_a_function_without_a_signature_has_args_and_kwargs() -> None:
    assert Declared.binder(max)((1, 2), {"key": abs}) == {"args": (1, 2), "kwargs": {"key": abs}}
