"""Bodies about alerts: what is read, and what is refused."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasource_support.alert_bodies import alert, payload
from modelplane_datasource.alerts.payloads import PayloadError, parse_payload, parse_poll


def test_a_firing_alert_has_no_end_even_when_one_is_sent() -> None:
    (seen,) = parse_payload(payload(alert(endsAt="2030-01-01T00:00:00Z")))
    assert seen.last_at == seen.starts_at


def test_an_end_before_the_start_is_the_start() -> None:
    (seen,) = parse_payload(payload(alert("f1", "resolved", endsAt="2023-10-27T08:00:00Z")))
    assert seen.last_at == seen.starts_at == 1_698_397_200_123


@pytest.mark.parametrize("body", [b"", b"{}", b"[{}]", b'[{"source":1}]'])
def test_other_polls_are_payload_errors(body: bytes) -> None:
    with pytest.raises(PayloadError):
        parse_poll(body)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"[]", b"null", b"{}", b'{"version":"3","alerts":[]}', b'{"version":"4"}',
        b"\xff\xfe", b'{"version":"4","alerts":[{}]}', b"[" * 5000,
        payload(alert(status="unknown")), payload(alert(fingerprint="")), payload(alert(labels={"a": 1})),
        payload(alert(startsAt="yesterday")), payload(alert(startsAt=1698397200)),
        payload(alert("f2", "resolved", endsAt=None)), payload(alert(startsAt="2023-10-27")),
        b'{"version":"4","alerts":[{"labels":{"a":"\\ud800"}}]}', b'{"version":"4","alerts":{}}',
    ],
)  # fmt: skip
def test_other_bodies_are_payload_errors(body: bytes) -> None:
    with pytest.raises(PayloadError):
        parse_payload(body)


BROKEN: tuple[object, ...] = (
    alert("f3", status="unknown"), alert("f3", labels={"a": 1}), alert("f3", startsAt="yesterday"),
    alert("f3", "resolved", endsAt=None), alert("x" * 129), {"status": "firing"}, {}, [], None, 7, "text",
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_malformed_alert_does_not_lose_its_neighbours(broken: object, position: int) -> None:
    alerts: list[object] = [alert("f1"), alert("f2", "resolved")]
    alerts.insert(position, broken)
    problems: list[str] = []
    body = orjson.dumps({"version": "4", "alerts": alerts})
    observations = parse_payload(body, on_problem=problems.append)
    assert [observation.fingerprint for observation in observations] == ["f1", "f2"]
    (problem,) = problems
    assert problem.startswith(f"alerts.{position}: ")


@pytest.mark.parametrize(
    ("old", "new", "remaining"),
    [
        (b'"summary":"two"', b'"summary":"\\ud800"', ["f1", "f3"]),
        (b'"summary":"two"', b'"summary":"\xff"', ["f1", "f2", "f3"]),
        (b'"summary":"two"', b'"summary":NaN', ["f1", "f3"]),
        (b'"receiver":"all"', b'"receiver":NaN', ["f1", "f2", "f3"]),
        (b'"receiver":"all"', b'"receiver":"\\udfff"', ["f1", "f2", "f3"]),
    ],
)
def test_broken_json_does_not_lose_all_alerts(old: bytes, new: bytes, remaining: list[str]) -> None:
    body = payload(alert("f1"), alert("f2", annotations={"summary": "two"}), alert("f3"))
    assert old in body
    assert [observation.fingerprint for observation in parse_payload(body.replace(old, new))] == remaining


def test_problems_name_the_place_and_not_what_was_sent() -> None:
    problems: list[str] = []
    secret = alert("f2", "secret", startsAt="secret", labels={"a": 1}, generatorURL=["secret"])
    parse_payload(payload(alert("f1"), secret), on_problem=problems.append)
    assert problems
    assert not any("secret" in problem for problem in problems)
    with pytest.raises(PayloadError) as refused:
        parse_payload(payload(secret))
    assert "secret" not in str(refused.value)


def test_alerts_that_alertmanager_left_out_are_a_problem() -> None:
    problems: list[str] = []
    for left_out in (0, 7, "some"):
        body = orjson.dumps({"version": "4", "truncatedAlerts": left_out, "alerts": [alert()]})
        assert len(parse_payload(body, on_problem=problems.append)) == 1
    assert problems == ["truncatedAlerts: Alertmanager left out 7 alerts"]


def test_times_that_no_clock_gave_are_bounded_by_the_receipt() -> None:
    received_at = 1_698_397_200_000 + 1000
    firing = payload(alert(startsAt="0001-01-01T00:00:00Z"))
    (seen,) = parse_payload(firing, received_at=received_at)
    assert (seen.starts_at, seen.last_at) == (received_at, received_at)
    (seen,) = parse_payload(firing)
    assert seen.starts_at < 0


@given(st.binary(max_size=200))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    try:
        parse_payload(body)
    except PayloadError:
        return
    assert orjson.loads(body)["version"] == "4"
