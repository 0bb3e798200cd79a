from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from datasource_support.fake_prometheus import FakePrometheus
from modelplane_datasource.catalogue import SERIES_METRICS, find_metric
from modelplane_datasource.errors import ApiError
from modelplane_datasource.grafana.filters import MAX_FILTERS, AdHocFilter, by_values, read_filters
from modelplane_datasource.grafana.formats import encoded, unit_of, with_notices
from modelplane_datasource.grafana.payloads import text_query
from modelplane_datasource.series.model import Series
from modelplane_datasource.series.selection import Selection

NOW = 1_698_400_800
WEEK = 7 * 86_400


@pytest.fixture
def labelled(upstream: FakePrometheus) -> Callable[..., None]:
    """Set the label values that Prometheus answers with."""

    def answer(*values: object) -> None:
        reply = json.dumps({"status": "success", "data": values}).encode()
        upstream.reply = lambda *_: (200, {}, reply)

    return answer


def requested_label(upstream: FakePrometheus) -> tuple[str, dict[str, list[str]]]:
    parts = urlsplit(upstream.calls[-1][0])
    return parts.path.split("/")[-2], parse_qs(parts.query)


@pytest.mark.parametrize("metric", SERIES_METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_a_unit_in_grafana(metric: Any) -> None:
    assert unit_of(metric, Series("x", {}, ()))


def test_money_has_the_currency_of_its_series() -> None:
    assert unit_of(find_metric("cost"), Series("x", {"currency": "CAD"}, ())) == "currency:CAD"
    assert unit_of(find_metric("cost"), Series("x", {"currency": ""}, ())) == "none"


def test_a_notice_without_series_still_reaches_the_panel() -> None:
    (element,) = map(json.loads, with_notices([], ["partial"], "B"))
    assert element["refId"] == "B"
    assert element["meta"]["notices"] == [{"severity": "warning", "text": "partial"}]


def test_notices_are_on_the_first_element() -> None:
    elements = encoded([{"refId": "A", "rows": []}, {"refId": "B"}])
    first, second = map(json.loads, with_notices(elements, ["partial", "late"], "A"))
    assert first.pop("meta")["notices"] == [
        {"severity": "warning", "text": "partial"}, {"severity": "warning", "text": "late"},
    ]  # fmt: skip
    assert (first, second) == ({"refId": "A", "rows": []}, {"refId": "B"})
    assert with_notices(elements, [], "A") == elements


def test_payload_fields_say_what_can_be_chosen(client: FlaskClient) -> None:
    listed = client.post("/grafana/metrics", json={}).json
    assert listed is not None
    drift = next(entry for entry in listed if entry["value"] == "drift")
    fields = {field["name"]: field for field in drift["payloads"]}
    assert fields["model-name"]["type"] == "multi-select"
    assert "options" not in fields["model-name"]
    assert fields["method"]["type"] == "select"
    assert {"label": "ks", "value": "ks"} in fields["method"]["options"]
    assert fields["kind"]["type"] == "multi-select"
    assert fields["window"] == {
        "name": "window", "label": "window", "placeholder": "1h", "type": "input",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "name", "payload", "label", "matcher"),
    [
        ("latency", "model-name", {}, "model_name", "model_inference_requests_total"),
        (
            "latency", "model-version", {"model-name": ["a", r"b\.c"], "quantile": "0.5", "kind": "input"},
            "model_version", r'model_inference_requests_total{model_name=~"a|b\\.c"}',
        ),
        (
            "drift", "signal", {"model-name": "a", "kind": "input", "signal": "x"},
            "signal", 'model_signal_observations_total{model_name="a",kind="input"}',
        ),
        ("alerts", "tenant-id", None, "tenant_id", "model_inference_requests_total"),
    ],
)  # fmt: skip
def test_payload_options_are_label_values_of_the_last_week(
    upstream: FakePrometheus,
    client: FlaskClient,
    labelled: Callable[..., None],
    metric: str,
    name: str,
    payload: object,
    label: str,
    matcher: str,
) -> None:
    labelled("z", "y")
    question = {"metric": metric, "payload": payload, "name": name}
    result = client.post("/grafana/metric-payload-options", json=question).json
    assert result == [{"label": "y", "value": "y"}, {"label": "z", "value": "z"}]
    got, form = requested_label(upstream)
    assert got == label
    assert sorted(re.split(r"[{},](?=[a-z]|$)", form["match[]"][0])) == sorted(
        re.split(r"[{},](?=[a-z]|$)", matcher)
    )
    assert (form["start"], form["end"]) == ([f"{NOW - WEEK}.000"], [f"{NOW}.000"])


def test_payload_options_that_need_no_query(upstream: FakePrometheus, client: FlaskClient) -> None:
    def options(metric: str, name: object) -> Any:
        question = {"metric": metric, "name": name}
        return client.post("/grafana/metric-payload-options", json=question)

    assert {"label": "table", "value": "table"} in options("latency", "format").json
    assert options("latency", "quantile").json == []
    assert options("latency", "method").status_code == 400
    assert options("latency", None).status_code == 400
    assert options("gone", "format").status_code == 404
    assert upstream.calls == []


@pytest.mark.parametrize(
    ("target", "label"), [("models", "model_name"), ("kinds tenant=user-A model=x", "kind")]
)
def test_search_answers_variables_and_lists_metrics_otherwise(
    upstream: FakePrometheus, client: FlaskClient, labelled: Callable[..., None], target: str, label: str
) -> None:
    labelled("b", "a")
    assert client.post("/grafana/search", json={"target": target}).json == ["a", "b"]
    assert requested_label(upstream)[0] == label
    names = [metric.name for metric in SERIES_METRICS]
    for body in (b"", b"{}", b'{"type":"timeseries","target":"lat"}', b'{"target":null}'):
        assert client.post("/grafana/search", data=body).json == names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ({"target": "teams"}, "teams"),
        ({"target": "tenants kind=input"}, "kind"),
        ({"target": "versions model="}, "target"),
        ({"target": "model=x"}, "target"),
        ({"target": ["tenants"]}, "target"),
        ({"target": "tenants", "model": {}}, "model"),
        (None, "payload"),
        ("tenants", "payload"),
    ],
)
def test_a_bad_variable_is_400(
    upstream: FakePrometheus, client: FlaskClient, payload: object, word: str
) -> None:
    response = client.post("/grafana/variable", json={"payload": payload})
    assert response.status_code == 400
    assert response.json is not None
    assert word in response.json["message"]
    assert upstream.calls == []


def test_text_queries_keep_spaces_and_signs_in_values() -> None:
    hostile = 'a"} or up{x="'
    text = 'versions model=a"\\} or up\\{x="  tenant=(two words|x=y)'
    assert text_query(text) == (
        "versions", {"model-name": [hostile], "tenant-id": ["two words", "x=y"]},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ((200, {}, b'{"status":"success","data":{"a":1}}'), 502),
        ((200, {}, b'{"status":"success","data":[1]}'), 502),
        ((200, {}, b"<html>"), 502),
        ((400, {}, b'{"status":"error","errorType":"bad_data","error":"error parsing regexp: x"}'), 422),
    ],
)
def test_menus_fail_loudly_when_prometheus_does(
    upstream: FakePrometheus, client: FlaskClient, reply: Any, status: int
) -> None:
    upstream.reply = lambda *_: reply
    assert client.post("/grafana/tag-values", json={"key": "signal"}).status_code == status
    assert client.post("/grafana/variable", json={"payload": {"target": "tenants"}}).status_code == status


def test_a_regex_that_prometheus_refuses_is_400_with_its_reason(
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    text = b'{"status":"error","errorType":"bad_data","error":"error parsing regexp: missing )"}'
    upstream.reply = lambda *_: (400, {}, text)
    entries = [{"key": "kind", "operator": "=~", "value": "("}]
    response = client.post("/grafana/tag-values", json={"key": "signal", "filters": entries})
    assert response.status_code == 400
    assert response.json is not None
    assert "missing )" in response.json["message"]


@pytest.mark.slow
@given(
    st.sampled_from(["=", "!=", "=|", "!=|"]),
    st.lists(st.text(max_size=5), min_size=1, max_size=3),
    st.text(max_size=5),
)
def test_a_literal_filter_admits_what_its_matcher_matches(
    operator: str, values: list[str], text: str
) -> None:
    ad_hoc_filter = AdHocFilter("signal", operator, tuple(values if operator.endswith("|") else values[:1]))
    matcher = ad_hoc_filter.matcher
    matches = {
        "=": lambda: text == matcher.value,
        "!=": lambda: text != matcher.value,
        "=~": lambda: re.fullmatch(matcher.value, text) is not None,
        "!~": lambda: re.fullmatch(matcher.value, text) is None,
    }[matcher.op]()
    assert ad_hoc_filter.admits({"signal": text}) is matches
    assert ad_hoc_filter.admits({}) is AdHocFilter("signal", operator, ad_hoc_filter.values).admits(
        {"signal": ""}
    )


def test_filters_of_both_names_are_joined_and_bounded() -> None:
    entry = {"key": "kind", "operator": "=", "value": "input"}
    other = {"key": "signal", "operator": "=|", "values": ["x", "y"]}
    assert read_filters({"filters": [entry, other], "adhocFilters": [entry]}) == (
        AdHocFilter("kind", "=", ("input",)), AdHocFilter("signal", "=|", ("x", "y")),
    )  # fmt: skip
    for wrong in ([entry] * (MAX_FILTERS + 1), {"a": entry}, ["kind"], [{**entry, "value": "x" * 1025}]):
        with pytest.raises(ApiError) as caught:
            read_filters({"filters": wrong})
        assert caught.value.status == 400


def test_costs_are_narrowed_by_value_and_never_widened() -> None:
    scope = Selection((), ("a", "b"), (), {})
    narrowed = by_values(
        scope, (AdHocFilter("tenant_id", "=|", ("b", "c")), AdHocFilter("model_name", "=", ("m",)))
    )
    assert (narrowed.tenants, narrowed.models) == (("b",), ("m",))
    for wrong in (
        AdHocFilter("tenant_id", "=", ("c",)),
        AdHocFilter("tenant_id", "!=", ("a",)),
        AdHocFilter("kind", "=", ("input",)),
    ):
        with pytest.raises(ApiError) as caught:
            by_values(scope, (wrong,))
        assert caught.value.status == 400
