"""Expressions over Python objects: containers, attributes, arrays; JMESPath on JSON."""

from __future__ import annotations

import collections
import enum
import types
from typing import Any, NamedTuple

import jmespath
import numpy as np
import pandas as pd
import polars as pl
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter_support.declared_calls import observed, read
from exporter_support.odd_objects import PATHS, Plain, Slotted
from modelplane_exporter.declared.expressions import Expression


class Color(enum.Enum):
    RED = 1


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
    assert read("result.color.value", Plain(color=Color.RED)) == 1
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

    class Lazy(dict[str, object]):
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


@pytest.mark.slow
@settings(max_examples=500)
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
    answer = Expression.parse(path).read(root)
    assert repr(answer) == repr(expected)
