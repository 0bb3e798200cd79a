"""What ``/api/v1/costs`` reads of Prometheus: how much at once, and what it refuses."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from datasource_support.cost_series import (
    DEVICE_SECONDS,
    HOUR,
    NOW,
    RANGE,
    START,
    TOKENS,
    rows,
    tokens,
)
from datasource_support.fake_prometheus import FakePrometheus
from modelplane_datasource.costs import ledger_source, samples
from modelplane_datasource.settings import Settings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (lambda: tokens("image", (START + 60, "5")), "kind of tokens must be one of input.*'image'"),
        (lambda: tokens("input", (START + 60, "-5")), "values must be finite numbers from 0 up"),
        (lambda: tokens("input", (START + 60, "0"), (START + 75, "1e30")), "a cell must hold at most"),
    ],
)
@pytest.mark.parametrize("path", ["costs", "metrics/cost", "costs/forecast"])
def test_samples_that_cannot_be_are_an_upstream_error(
    costs: FlaskClient, stored_series: list[dict[str, Any]], bad: Callable[[], Any], text: str, path: str
) -> None:
    stored_series.append(bad())
    answer = costs.get(f"/api/v1/{path}?to={NOW * 1000}")
    assert (answer.status_code, answer.get_json()["error"]) == (502, "upstream_invalid")
    assert re.search(text, answer.get_json()["message"])


def test_too_many_identities_for_a_range_are_422_before_they_fill_the_memory(
    costs: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_source, "MAX_LEAVES", 23)
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.get_json()["error"]) == (422, "range_too_large")
    assert answer.get_json()["details"] == {"parameter": "from", "identities": 2, "max_cells": 11}
    assert costs.get(f"/api/v1/costs?from={START * 1000}&to={(NOW - 300) * 1000}").status_code == 200


def test_too_many_samples_are_422(costs: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two series of an hour and the cell before it, of which the 14 edges of cells are read."""
    monkeypatch.setattr(samples, "MAX_SAMPLES", 27)
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.get_json()["error"]) == (422, "range_too_large")
    assert answer.get_json()["details"] == {"parameter": "from", "max_samples": 27}
    monkeypatch.setattr(samples, "MAX_SAMPLES", 28)
    assert costs.get(f"/api/v1/costs?{RANGE}").status_code == 200


def test_samples_are_read_in_ranges_that_fit(
    costs: FlaskClient, upstream: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last range says how long the others may be; one that Prometheus refuses is read in halves."""
    expected = rows(costs)
    upstream.calls.clear()
    costs.get("/api/v1/costs?from=now-30d&to=now")
    assert Counter(range_lengths(upstream)) == {7200: 1, 86_400: 29, 79_500: 1}
    held_reply = upstream.reply

    def at_most_a_thousand_seconds(path: str, form: dict[str, str]) -> Any:
        if path.endswith("/query_range") and float(form["end"]) - float(form["start"]) > 1000:
            body = {"status": "error", "errorType": "execution", "error": "too many samples"}
            return 422, {}, orjson.dumps(body)
        return held_reply(path, form)

    upstream.reply = at_most_a_thousand_seconds
    upstream.calls.clear()
    assert rows(costs) == expected
    assert range_lengths(upstream)[:5] == [3900, 1800, 900, 900, 2100]
    upstream.reply = held_reply
    upstream.calls.clear()
    monkeypatch.setattr(samples, "SAMPLES_OF_RANGE", 240)
    assert rows(costs) == expected
    assert range_lengths(upstream) == [3900]
    monkeypatch.setattr(samples, "FIRST_RANGE", 900_000)
    upstream.calls.clear()
    assert rows(costs) == expected
    assert Counter(range_lengths(upstream)) == {900: 1, 1500: 2}


def range_lengths(upstream: FakePrometheus) -> list[int]:
    """Length in seconds of each range of device seconds that was queried at the edges of cells."""
    forms = [
        form for _, form, _ in upstream.calls if f"last_over_time({DEVICE_SECONDS}" in form.get("query", "")
    ]
    return [round(float(form["end"]) - float(form["start"])) for form in forms]


def test_ranges_stay_short_where_a_plane_begins_in_the_middle_of_the_period(
    costs: FlaskClient, upstream: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest range is queried first, because it has the most series."""
    monkeypatch.setattr(samples, "SAMPLES_OF_RANGE", 480)
    upstream.calls.clear()
    costs.get("/api/v1/costs?from=now-8h&to=now")
    first, *others = range_lengths(upstream)
    assert (first, Counter(others)) == (7200, {3300: 6, 2100: 1})


def test_samples_that_are_no_finite_numbers_are_none(
    costs: FlaskClient, stored_series: list[dict[str, Any]]
) -> None:
    expected = rows(costs)
    for place, text in ((250, "NaN"), (300, "+Inf"), (310, "-Inf")):
        at, _ = stored_series[0]["values"][place]
        stored_series[0]["values"][place] = (at, text)
    assert rows(costs) == expected


@pytest.mark.parametrize("value", ["", "1,2", "true", "1]", "x", None, [1], 5])
def test_values_that_are_none_are_an_upstream_error(
    costs: FlaskClient, stored_series: list[dict[str, Any]], value: object
) -> None:
    """The sample ends the first cell of the range."""
    at, _ = stored_series[1]["values"][260]
    stored_series[1]["values"][260] = (at, value)
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.get_json()["error"]) == (502, "upstream_invalid")
    assert "not a list of samples" in answer.get_json()["message"]


def test_a_range_that_is_too_large_however_short_is_refused(
    costs: FlaskClient, upstream: FakePrometheus
) -> None:
    body = {"status": "error", "errorType": "execution", "error": "too many samples"}
    upstream.reply = lambda *_: (422, {}, orjson.dumps(body))
    answer = costs.get(f"/api/v1/costs?{RANGE}")
    assert (answer.status_code, answer.get_json()["error"]) == (422, "query_rejected")
    assert "too many samples" in answer.get_json()["message"]


def answer_partially(upstream: FakePrometheus) -> None:
    """From now on Prometheus answers the same, and that its answer is partial."""
    complete = upstream.reply

    def partial(path: str, form: dict[str, str]) -> Any:
        status, headers, body = complete(path, form)
        return status, headers, orjson.dumps({**orjson.loads(body), "isPartial": True})

    upstream.reply = partial


def test_a_ledger_is_kept_with_its_warnings(
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    cost_registry: Path,
    stored_series: list[dict[str, Any]],
) -> None:
    client = make_client(dataclasses.replace(settings, registry_file=cost_registry, cache_seconds=HOUR))
    answer_partially(upstream)
    first = client.get(f"/api/v1/costs?{RANGE}").get_json()
    calls = len(upstream.calls)
    assert first["warnings"] == client.get(f"/api/v1/costs?{RANGE}&group-by=tenant").get_json()["warnings"]
    assert any("partial" in text for text in first["warnings"])
    assert len(upstream.calls) == calls


def test_what_prometheus_warns_of_beside_the_range_is_said(
    costs: FlaskClient, upstream: FakePrometheus
) -> None:
    """The scrapes after the range are read by another thread than the one that answers."""
    end, complete = NOW - 600, upstream.reply

    def partial_after_the_range(path: str, form: dict[str, str]) -> Any:
        status, headers, body = complete(path, form)
        is_after = path.endswith("/query") and float(form["time"]) > end
        return status, headers, orjson.dumps({**orjson.loads(body), "isPartial": is_after})

    upstream.reply = partial_after_the_range
    warnings = costs.get(f"/api/v1/costs?from={START * 1000}&to={end * 1000}").get_json()["warnings"]
    assert any("partial" in text for text in warnings)


def test_focus_cannot_say_that_it_is_partial_and_is_refused(
    costs: FlaskClient, upstream: FakePrometheus
) -> None:
    assert costs.get(f"/api/v1/costs?{RANGE}&format=focus").status_code == 200
    answer_partially(upstream)
    answer = costs.get(f"/api/v1/costs?{RANGE}&format=focus")
    assert (answer.status_code, answer.get_json()["error"]) == (502, "upstream_invalid")
    assert "partial" in answer.get_json()["message"]


def test_csv_says_that_it_is_partial_in_rows_of_their_own(
    costs: FlaskClient, upstream: FakePrometheus
) -> None:
    path = f"/api/v1/costs?{RANGE}&format=csv"
    complete = list(csv.DictReader(io.StringIO(costs.get(path).text)))
    answer_partially(upstream)
    partial = list(csv.DictReader(io.StringIO(costs.get(path).text)))
    assert partial[: len(complete)] == complete
    warnings = [row.pop("warning") for row in partial[len(complete) :]]
    assert any("partial" in text for text in warnings)
    assert not any(text for row in partial[len(complete) :] for text in row.values())


def test_tokens_are_read_only_where_they_have_prices(
    costs: FlaskClient,
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    cost_registry: Path,
) -> None:
    def has_queried_tokens() -> bool:
        return any(TOKENS in form.get("query", form.get("match[]", "")) for _, form, _ in upstream.calls)

    rows(costs)
    assert has_queried_tokens()
    text = cost_registry.read_text()
    cost_registry.write_text(re.sub(r"    token_prices: .*\n", "", text))
    assert cost_registry.read_text() != text
    upstream.calls.clear()
    rows(make_client(dataclasses.replace(settings, registry_file=cost_registry)))
    assert not has_queried_tokens()
