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
        payload(alert(), alert("f2", "resolved", endsAt=None)),
        b'{"version":"4","alerts":[{"labels":{"a":"\\ud800"}}]}',
    ],
)  # fmt: skip
def test_other_bodies_are_payload_errors(body: bytes) -> None:
    with pytest.raises(PayloadError):
        parse_payload(body)


@given(st.binary(max_size=200))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    try:
        parse_payload(body)
    except PayloadError:
        return
    assert orjson.loads(body)["version"] == "4"
