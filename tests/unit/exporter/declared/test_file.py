"""The YAML file of declared values: what may stand in it, and what errors say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter_support.declared_calls import ARGUMENTS, BASELINE, FULL, HEAD, RESULT, RecordedCall, observe
from modelplane_exporter.declared import Declared, DeclaredError
from modelplane_exporter.declared.expressions import Expression, ExpressionError


def test_a_full_file_hands_everything_to_the_call() -> None:
    call = RecordedCall()
    observe(Declared.parse(FULL), call, ARGUMENTS, RESULT)
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


def test_load_reads_a_file_and_names_it_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(FULL, encoding="utf-8")
    assert Declared.load(path) == Declared.parse(FULL, str(path))
    assert Declared.load(path).event_names == ("recommended", "added_to_basket")
    path.write_text(HEAD + "confidance: result.p", encoding="utf-8")
    with pytest.raises(DeclaredError, match=rf"^{re.escape(str(path))}: the file has an unknown key"):
        Declared.load(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DeclaredError, match=r"shop\.yaml: is not UTF-8 text"):
        Declared.load(path)
    with pytest.raises(DeclaredError, match=r"absent\.yaml: cannot be read: No such file"):
        Declared.load(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file must be a mapping with the keys apiVersion, confidence, items, .* (got nothing)"),
        ("- a", "the file must be a mapping with the keys .* (got a list)"),
        ("confidence: result.p", "apiVersion must be modelplane/v1 (got nothing)"),
        ("apiVersion: modelplane/v2", "apiVersion must be modelplane/v1 (got 'modelplane/v2')"),
        (HEAD + "confidance: result.p", "the file has an unknown key 'confidance'; allowed: apiVersion, .*"),
        (HEAD + "? [a]\n: b", "is not valid YAML: line 2, column 3: found unhashable key"),
        (HEAD + "items: [", "is not valid YAML: line 3, column 1: .*"),
        (
            HEAD + "items: result.a\nitems: result.b",
            "line 3: the key 'items' is given twice, first on line 2; .*",
        ),
        (
            HEAD + "values:\n  a: result.a\n  a: result.b",
            "line 4: the key 'a' is given twice, first on line 3; .*",
        ),
        (HEAD + 'items: "\\UFFFFFFFF"', "is not valid YAML: line 2, column 11: .*"),
        (
            HEAD + "items: " + "[" * 5000,
            "is not valid YAML: line 2, column .*: exceeded maximum nesting depth",
        ),
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
        (HEAD + 'events: [{name: "\\uD800", when: result}]', ".*found invalid Unicode character escape code"),
    ],
)
def test_errors_name_the_place_and_what_is_allowed(text: str, message: str) -> None:
    pattern = re.escape(message).replace(r"\.\*", ".*").replace(r"\ ", " ")
    with pytest.raises(DeclaredError) as caught:
        Declared.parse(text, "shop.yaml")
    assert re.fullmatch(f"shop.yaml: {pattern}", str(caught.value), re.DOTALL), str(caught.value)


FRAGMENTS = st.sampled_from(
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@given(st.text(max_size=40) | st.lists(FRAGMENTS, max_size=14).map("".join))
def test_any_text_is_declared_values_or_a_declared_error(text: str) -> None:
    try:
        declared = Declared.parse(text)
    except DeclaredError as error:
        declared = None
        message = str(error)
    assert declared is not None or message.startswith("declared values: ")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
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
    for baseline in (None, BASELINE):  # business values need none
        Declared.parse(HEAD + "values: {basket: result.y}").check(baseline)
    output_only = dataclasses.replace(BASELINE, signals=BASELINE.of_kind("output"))
    for text, fitted, message in [
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
    ]:
        with pytest.raises(DeclaredError) as caught:
            Declared.parse(HEAD + text, "shop.yaml").check(fitted)
        assert str(caught.value) == f"shop.yaml: {message}"
