"""What a text means."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_exporter.baseline.texts import MISSING_TEXTS, category_key, decoded, is_identifier, number_in
from modelplane_exporter.baseline.values import category

NEW_YEAR = 1_704_067_200.0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0), ("01", 1.0), (" 1.50 ", 1.5), ("+2", 2.0), ("-.5", -0.5), ("5.", 5.0), ("1e3", 1000.0),
        ("inf", math.inf), ("-Infinity", -math.inf), ("1e400", math.inf), ("True", 1.0), ("FALSE", 0.0),
        ("2024-01-01", NEW_YEAR), ("2024-01-01 00:00", NEW_YEAR), ("2024-01-01T00:00:00Z", NEW_YEAR),
        ("2024-01-01 01:00:00+01:00", NEW_YEAR), ("2024-01-01 00:00:00.000000001", NEW_YEAR),
        ("1969-12-31 23:59:59", -1.0), ("0001-01-01", -62135596800.0), ("9999-12-31", 253402214400.0),
    ],
)  # fmt: skip
def test_texts_that_are_numbers_and_times(text: str, number: float) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "1_000",
        "1,5",
        "0x10",
        "1 2",
        "--1",
        "e5",
        ".",
        "\uff11",
        "1.2.3",
        "12:30",
        "2024-02-30",
        "2024-1-1",
        "20 %",
    ],
)
def test_texts_that_are_neither(text: str) -> None:
    assert number_in(text) is None
    assert category(text) == category_key(text) == text


@pytest.mark.parametrize("text", sorted(MISSING_TEXTS))
def test_texts_that_stand_for_no_value(text: str) -> None:
    for spelled in (text, f" {text}\t"):
        number = number_in(spelled)
        assert number is not None
        assert math.isnan(number)
        assert category(spelled) is None


@pytest.mark.parametrize(
    "spellings",
    [
        ("1", "01", "1.0", "+1", " 1", "1e0"), ("0", "-0", "0.0", "000"), ("0.5", ".50", "5e-1"),
        ("true", "True", " TRUE"), ("2024-01-01", "2024-01-01 00:00:00", "2024-01-01T01:00+01:00"),
        ("2024-01-01 06:30:00", "2024-01-01T06:30Z"), ("9007199254740993", "09007199254740993"), ("x", " x "),
    ],
)  # fmt: skip
def test_spellings_of_one_category(spellings: tuple[str, ...]) -> None:
    assert len({category_key(text) for text in spellings}) == 1


def test_other_categories_stay_apart() -> None:
    texts = ["1", "1.5", "true", "yes", "a", "A", "2024-01-01", "2024-01-01 00:00:01", "9007199254740993",
             "9007199254740992", "1e400"]  # fmt: skip
    assert len({category_key(text) for text in texts}) == len(texts)


@pytest.mark.slow
@given(st.text())
def test_a_key_is_its_own_key_and_any_text_a_number_or_not(text: str) -> None:
    shown = category(text)
    if shown is not None:
        assert category_key(category_key(shown)) == category_key(shown)
    assert number_in(text) is None or isinstance(number_in(text), float)


def test_digits_after_a_zero_are_an_identifier() -> None:
    assert [is_identifier(text) for text in ("01", " 007", "00", "0", "10", "0.5", "-01", "0a")] == [
        True, True, True, False, False, False, False, False,
    ]  # fmt: skip


def test_bytes_are_utf_8_or_windows_1252() -> None:
    assert decoded("Köln €".encode()) == decoded("Köln €".encode("cp1252")) == "Köln €"
    assert decoded(b"\x81") == "\x81"
