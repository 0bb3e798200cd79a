"""YAML files: a key given twice is an error with both lines, and every error names the file and the place."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelplane_schema import documents
from modelplane_schema.documents import DocumentError, load_yaml, parse_yaml, raised_as
from modelplane_schema.errors import UserError

ONLY_PYYAML = """
import sys, yaml
del yaml.CSafeLoader, yaml.CBaseLoader
from modelplane_schema.documents import parse_yaml
try:
    print(parse_yaml(sys.argv[1], "plane.yaml"))
except ValueError as error:
    print(error)
"""


def without_libyaml(text: str) -> str:
    """What PyYAML itself makes of ``text``, as a machine without libyaml does."""
    command = [sys.executable, "-c", ONLY_PYYAML, text]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice, first on line 1; allowed: once"),
        (
            "x:\n- b:\n    c: 1\n    'c': 2",
            "line 4: the key 'c' is given twice, first on line 3; allowed: once",
        ),
        ("{a: 1, a: 2}", "line 1: the key 'a' is given twice, first on line 1; allowed: once"),
        ("1: a\n0x1: b", "line 2: the key '0x1' is given twice, first on line 1; allowed: once"),
        (
            "a:\n  <<: {x: 1}\n  <<: {y: 1}",
            "line 3: the key '<<' is given twice, first on line 2; allowed: once",
        ),
        ("? [a]\n: {b: 1, b: 2}", "line 2: the key 'b' is given twice, first on line 2; allowed: once"),
    ],
)
def test_a_key_given_twice_is_an_error_with_both_lines(text: str, problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_yaml(text, "plane.yaml")
    assert str(caught.value) == f"plane.yaml: {problem}"
    assert without_libyaml(text) == f"plane.yaml: {problem}"


MERGED = "base: &a {x: 1}\nmore: &b {<<: *a, x: 2}\nlast: {<<: *b, x: 3}"


def test_a_merged_key_may_be_given_again() -> None:
    expected = {"base": {"x": 1}, "more": {"x": 2}, "last": {"x": 3}}
    assert parse_yaml(MERGED, "plane.yaml") == yaml.safe_load(MERGED) == expected
    assert without_libyaml(MERGED) == str(expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "is not valid YAML: line 2, column 1: did not find expected node content"),
        ("a: *b", "is not valid YAML: line 1, column 4: found undefined alias"),
        ("a: 1\n---\nb: 2", "is not valid YAML: line 2, column 1: but found another document"),
        ("? [a]\n: b", "is not valid YAML: line 1, column 3: found unhashable key"),
        ("a: 2026-13-45", "is not valid YAML: line 1, column 4: '2026-13-45' is not of type timestamp"),
        ("a: !!bool maybe", "is not valid YAML: line 1, column 4: 'maybe' is not of type bool"),
        ("a: !!int ''", "is not valid YAML: line 1, column 4: '' is not of type int"),
        ("a: !!timestamp b", "is not valid YAML: line 1, column 4: 'b' is not of type timestamp"),
        ("[" * 5000, "is not valid YAML: line 1, column 1001: exceeded maximum nesting depth"),
        ("\0", "is not valid YAML: control characters are not allowed"),
        ("\ud800", "is not valid YAML: surrogates not allowed"),
    ],
    ids=range(11),
)
def test_text_that_is_no_yaml_is_an_error_with_the_place(text: str, problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_yaml(text, "plane.yaml")
    assert str(caught.value).startswith(f"plane.yaml: {problem}")


@pytest.mark.slow
def test_deep_nesting_is_an_error_without_libyaml_too() -> None:
    assert without_libyaml("[" * 5000) == "plane.yaml: is not valid YAML: it is nested too deeply"


def test_tags_of_python_are_refused() -> None:
    with pytest.raises(DocumentError, match="could not determine a constructor for the tag"):
        parse_yaml("!!python/object/apply:os.getcwd []", "plane.yaml")


def test_scalars_can_be_read_as_texts() -> None:
    text = "a: 1\nb: yes\nc: 2026-01-01\nd:\ne: [0x1]"
    assert parse_yaml(text, "plane.yaml", texts_only=True) == {
        "a": "1", "b": "yes", "c": "2026-01-01", "d": "", "e": ["0x1"],
    }  # fmt: skip
    with pytest.raises(DocumentError, match="line 2: the key '1' is given twice, first on line 1"):
        parse_yaml("1: a\n1: b", "plane.yaml", texts_only=True)
    assert parse_yaml("1: a\n0x1: b", "plane.yaml", texts_only=True) == {"1": "a", "0x1": "b"}


def test_libyaml_is_used_where_it_is() -> None:
    assert yaml.__with_libyaml__
    assert issubclass(documents._ValueLoader, yaml.CSafeLoader)
    assert issubclass(documents._TextLoader, yaml.CBaseLoader)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    absent, latin = tmp_path / "none.yaml", tmp_path / "latin.yaml"
    latin.write_bytes(b"a: \xe9\xff")
    with pytest.raises(DocumentError) as caught:
        load_yaml(absent, "pass --registry FILE")
    assert str(caught.value) == f"{absent}: cannot be read: No such file or directory; pass --registry FILE"
    with pytest.raises(DocumentError) as caught:
        load_yaml(latin, "pass --registry FILE")
    assert str(caught.value) == f"{latin}: is not UTF-8 text"
    latin.write_text("a: é", encoding="utf-8")
    assert load_yaml(latin) == {"a": "é"}


def test_an_error_can_be_raised_as_another_with_the_same_text() -> None:
    class PlanError(UserError):
        pass

    with pytest.raises(PlanError, match=r"^plane\.yaml: is not valid YAML") as caught, raised_as(PlanError):
        parse_yaml("[", "plane.yaml")
    assert isinstance(caught.value.__cause__, DocumentError)


# libyaml folds other line breaks than the newline, as YAML 1.1 says.
texts = st.text(st.characters(exclude_characters="\r\x85\u2028\u2029", exclude_categories=["Cs"]), max_size=8)
yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(yaml_values)
def test_what_pyyaml_writes_is_read_back(value: Any) -> None:
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True), "plane.yaml") == value


@pytest.mark.slow
@given(st.text(max_size=60), st.booleans())
def test_any_text_has_content_or_a_document_error(text: str, texts_only: bool) -> None:
    expected: Any = None
    with contextlib.suppress(Exception):  # what PyYAML cannot read is no content
        expected = yaml.load(text, yaml.CBaseLoader if texts_only else yaml.CSafeLoader)  # noqa: S506
    try:
        content, problem = parse_yaml(text, "plane.yaml", texts_only=texts_only), "plane.yaml: "
    except DocumentError as error:
        content, problem = expected, str(error)
    assert content == expected
    assert problem.startswith("plane.yaml: ")


@pytest.mark.parametrize("text", ["a: 1", "a: ["])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_afterwards_as_it_was(text: str, enabled: bool) -> None:
    gc.enable() if enabled else gc.disable()
    try:
        with contextlib.suppress(DocumentError):
            parse_yaml(text, "plane.yaml")
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
