"""Notices: who reads which text, and that none can be sent without asking who reads it."""

from __future__ import annotations

import orjson
import pytest
from flask import Flask

from datasource_support.callers import called_by, called_by_operator
from modelplane_datasource.cache import SingleFlightCache
from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.notices import Notice, collected, forget_notices, note, noted_for_caller
from modelplane_datasource.web.responses import json_response

ABOUT_A = Notice("gpu-a is lost", {"a"})
SUMMARY = Notice("the store of b is down", otherwise="a store is down")
FOR_ALL = Notice.for_everyone("only the newest")


@pytest.mark.parametrize(
    ("tenants", "texts"),
    [
        (None, ["gpu-a is lost", "the store of b is down", "only the newest"]),
        (("a",), ["gpu-a is lost", "a store is down", "only the newest"]),
        (("b", "a"), ["gpu-a is lost", "a store is down", "only the newest"]),
        (("b",), [None, "a store is down", "only the newest"]),
        ((), [None, "a store is down", "only the newest"]),
    ],
)
def test_a_text_is_for_those_whom_it_is_about(
    tenants: tuple[str, ...] | None, texts: list[str | None]
) -> None:
    assert [notice.text_for(tenants) for notice in (ABOUT_A, SUMMARY, FOR_ALL)] == texts


def test_a_notice_about_nobody_is_for_operators_alone() -> None:
    assert Notice("unused price").text_for(("a",)) is None
    assert Notice("unused price").text_for(None) == "unused price"


def test_a_notice_cannot_be_written_into_a_text_or_an_answer() -> None:
    for write in (str, "{}".format, lambda notice: f"{notice}", lambda notice: "%s" % notice):  # noqa: UP031
        with pytest.raises(TypeError, match="text_for"):
            write(ABOUT_A)
    with pytest.raises(TypeError):
        orjson.dumps({"warnings": [ABOUT_A]})
    assert "gpu" not in repr(ABOUT_A)


def test_an_answer_brings_no_warnings_of_its_own() -> None:
    forget_notices()
    with pytest.raises(TypeError, match="noted"):
        json_response({"warnings": ["gpu-a is lost"]})


def test_an_answer_has_what_its_caller_may_read_each_text_once() -> None:
    forget_notices()
    note([ABOUT_A, SUMMARY])
    note([ABOUT_A, Notice("the store of c is down", otherwise="a store is down")])
    with Flask(__name__).app_context():
        with called_by("b"):
            assert json_response({}).json == {"warnings": ["a store is down"]}
        with called_by_operator():
            assert len((json_response({}).json or {})["warnings"]) == 3
    forget_notices()
    assert noted_for_caller() == ()


def test_what_is_cached_for_an_operator_is_filtered_for_the_next_caller() -> None:
    cache = SingleFlightCache(10_000)

    def made() -> str:
        note([ABOUT_A, SUMMARY])
        return "value"

    for tenants, texts in ((None, 2), (("b",), 1)):
        forget_notices()
        with called_by_operator() if tenants is None else called_by(*tenants):
            assert cache.get_or_make("key", 60, made, len) == "value"
            assert len(noted_for_caller()) == texts
    forget_notices()


def test_what_is_collected_is_not_noted_here() -> None:
    forget_notices()
    result, notices = collected(lambda: note([ABOUT_A]))
    assert (result, notices) == (None, (ABOUT_A,))
    with called_by("a"):
        assert noted_for_caller() == ()


def test_an_error_says_more_to_an_operator() -> None:
    error = ApiError(
        422, "too_large", "Too much.", {"parameter": "from"},
        operator_message="Too much of b.", operator_details={"identities": 7},
    )  # fmt: skip
    assert error.shown_to(("a",)) == ("Too much.", {"parameter": "from"})
    assert error.shown_to(()) == ("Too much.", {"parameter": "from"})
    assert error.shown_to(None) == ("Too much of b.", {"parameter": "from", "identities": 7})
    assert "b" not in str(error)
    within = error.within("refId 'A'", {"refId": "A"})
    assert within.shown_to(("a",)) == ("refId 'A': Too much.", {"parameter": "from", "refId": "A"})
    assert within.shown_to(None)[0] == "refId 'A': Too much of b."
    plain = ApiError(400, "bad", "No.")
    assert plain.shown_to(None) == plain.shown_to(("a",)) == ("No.", {})
