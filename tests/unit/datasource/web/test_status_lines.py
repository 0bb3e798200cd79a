"""The reason phrase of an error is its message."""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from modelplane_datasource.web.status_lines import MAX_REASON, status_line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("limit has the value '0'; allowed: 1 to 9.", "400 limit has the value '0'; allowed: 1 to 9."),
        ("two\r\nlines\tand \x0b more", "400 two lines and more"),
        ("Prüfung \x00\u2028\U0001f525", "400 Pr?fung ? ?"),
        ("", "400 Bad Request"),
        (" \n", "400 Bad Request"),
        ("x" * 200, "400 " + "x" * 200),
        ("x" * 201, "400 " + "x" * 197 + "..."),
    ],
)
def test_it_is_one_line_of_printable_ascii(message: str, line: str) -> None:
    assert status_line(400, message) == line


@given(st.text())
def test_any_message_can_be_sent(message: str) -> None:
    number, _, reason = status_line(422, message).partition(" ")
    assert number == "422"
    assert re.fullmatch(r"[\x20-\x7e]+", reason)
    assert len(reason) <= MAX_REASON


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/metrics/latency?quantile=95"),
        ("GET", "/api/v1/metrics/none"),
        ("GET", "/api/v1/alerts?limit=0"),
        ("GET", "/api/v1/costs"),
        ("GET", "/nothing"),
        ("DELETE", "/api/v1/alerts"),
        ("POST", "/grafana/query"),
    ],
)
def test_errors_say_in_the_first_line_what_the_body_says(client: FlaskClient, method: str, path: str) -> None:
    response = client.open(path, method=method, data=b"{")
    assert response.status_code >= 400
    assert response.json is not None
    assert response.status == status_line(response.status_code, response.json["message"])
    assert response.status.partition(" ")[2] != HTTPStatus(response.status_code).phrase
