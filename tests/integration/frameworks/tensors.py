"""What tensors of every framework do in declared expressions and as confidences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checking import Series

from modelplane_exporter.declared.expressions import Expression, is_true


def read(expression: str, result: object) -> Any:
    return Expression.parse(expression).read({"result": result})


def check_in_expressions(make: Callable[[Any], Any]) -> None:
    """``make`` gives a tensor of nested lists of floats."""
    matrix, vector = make([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), make([0.5, 0.25])
    assert read("result.m", {"m": matrix}) is matrix
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
    assert is_true(matrix)
    assert is_true(vector[0] * 0)  # as in JMESPath, only what is empty is false
    assert not is_true(make([]))
    assert not is_true(vector[0] > 1)
    assert is_true(vector[0] > 0)


def check_as_confidences(batch: Any) -> None:
    """``batch`` is a tensor of six confidences of 0.5."""
    series = Series()
    result = {"confidence": batch}
    exporter = series.exporter("pytorch", confidence="confidence")
    assert exporter(lambda: result)() is result
    assert series.value("model_prediction_confidence_bucket", le="0.5") == 6
