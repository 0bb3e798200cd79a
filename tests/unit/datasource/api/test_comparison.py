"""``/api/v1/compare``: what is asked of Prometheus, and the verdicts on its answers."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from datasource_support.asking import Ask
from datasource_support.fake_prometheus import STORE_QUERY, FakePrometheus, matrix_reply, vector_reply

NOW = 1_698_400_800_000
HOUR, MINUTE, SCRAPE = 3_600_000, 60_000, 15_000
SLICES = 60
STRETCH = (MINUTE + SCRAPE) / MINUTE  # of increase over a window that is a scrape longer than its slice
PATH = "/api/v1/compare?model-name=resnet50&tenant-id=user-A&baseline=v1.2.0&candidate=v1.3.0"
BOUNDS = ("0.01", "0.05", "0.1", "0.25", "+Inf")
SCORES = ("0.5", "0.9", "1.0", "+Inf")


def version(
    failures: int, slow: int, calls: int = 20_000, sure: int = 18_000
) -> dict[str, dict[str, float] | float]:
    """Calls in 0.01 to 0.05 s, ``slow`` ones in 0.1 to 0.25 s; ``sure`` predictions above 0.9."""
    buckets = (0, calls - slow, calls - slow, calls, calls)
    return {
        "requests_total": {"success": calls - failures, "failure": failures, "cancelled": 7},
        "latency_seconds_bucket": dict(zip(BOUNDS, buckets, strict=True)),
        "latency_seconds_sum": 0.03 * (calls - slow) + 0.175 * slow,
        "confidence_bucket": dict(zip(SCORES, (0, calls - sure, calls, calls), strict=True)),
        "confidence_sum": 0.7 * (calls - sure) + 0.95 * sure,
    }


class Prometheus:
    """Answers each query with the increases of ``versions``, the same share of them in each slice."""

    def __init__(self) -> None:
        self.extrapolates = True
        self.versions = {"v1.2.0": version(100, 200), "v1.3.0": version(100, 200)}

    def __call__(self, path: str, form: dict[str, str]) -> Any:
        if form["query"] == STORE_QUERY:
            return vector_reply(*[({}, math.nan)] * self.extrapolates)
        assert path.endswith("query_range")
        label, query = ("outcome" if "outcome" in form["query"] else "le"), form["query"]
        start, end, step = (int(float(form[name])) for name in ("start", "end", "step"))
        series, stretch = [], STRETCH if self.extrapolates else 1
        for name, families in self.versions.items():
            for family, result in families.items():
                if f"_{family}{{" in query:
                    parts = result.items() if isinstance(result, dict) else [(_replaced(query), result)]
                    series += [
                        (
                            {"model_version": name, label: part},
                            [(time, repr(value * stretch / SLICES)) for time in range(start, end + 1, step)],
                        )
                        for part, value in parts
                    ]
        return matrix_reply(*series)


def _replaced(query: str) -> str:
    """The value of ``le`` that the query gives to a sum."""
    values: list[str] = re.findall(r'or label_replace\(.*, "le", "(\w+)", "", ""\)$', query)
    (value,) = values
    return value


@pytest.fixture
def prometheus(upstream: FakePrometheus) -> Prometheus:
    upstream.reply = Prometheus()
    return upstream.reply


@pytest.fixture
def compared(prometheus: Prometheus, client: FlaskClient) -> Ask[Any]:
    def ask(parameters: str = "") -> Any:
        response = client.get(PATH + parameters)
        assert response.status_code == 200, response.json
        return response.json

    return ask


def verdicts(body: dict[str, Any]) -> dict[str, str]:
    return {indicator["name"]: indicator["verdict"] for indicator in body["indicators"]}


def test_no_difference_is_found_of_versions_that_behave_alike(compared: Ask[Any]) -> None:
    body = compared(f"&from={NOW - HOUR}&to={NOW}")
    assert body["verdict"] == "no_difference_found"
    assert verdicts(body) == {
        "errors": "same", "latency_p95": "no_difference_found", "confidence": "same",
    }  # fmt: skip
    assert {key: body[key] for key in ("model_name", "tenant_ids", "baseline", "candidate")} == {
        "model_name": "resnet50", "tenant_ids": ["user-A"], "baseline": "v1.2.0", "candidate": "v1.3.0",
    }  # fmt: skip
    assert (body["from"], body["to"], body["level"]) == (NOW - HOUR, NOW, 0.05)
    assert body["query_time"] == "2023-10-27T10:00:00Z"
    counted = {"successes": 19_900, "failures": 100, "latencies": 20_000, "confidences": 20_000}
    assert body["counts"] == {"baseline": counted, "candidate": counted}


@pytest.mark.parametrize(("extrapolates", "window"), [(True, "75s"), (False, "1m")])
def test_the_queries_are_increases_in_slices_of_four_scrapes(
    compared: Ask[Any], prometheus: Prometheus, upstream: FakePrometheus, extrapolates: bool, window: str
) -> None:
    """The last sample before a slice counts, so that no increase falls between two slices.

    It lies in the window, unless the store looks before it.
    """
    prometheus.extrapolates = extrapolates
    body = compared(f"&from={NOW - HOUR}&to={NOW}")
    assert body["counts"]["baseline"]["failures"] == 100
    versions = r"v1\\.2\\.0|v1\\.3\\.0"
    select = f'{{model_name="resnet50",tenant_id="user-A",model_version=~"{versions}"}}[{window}]'

    def histogram(name: str) -> str:
        return (
            f"sum by (model_version, le) (increase({name}_bucket{select}))"
            f" or sum by (model_version) (increase({name}{select}))"
            f' or label_replace(sum by (model_version) (increase({name}_sum{select})), "le", "sum", "", "")'
        )

    times = (NOW - HOUR + MINUTE, NOW, MINUTE)
    forms = range_forms(upstream)
    assert sorted(form["query"] for form in forms) == [
        histogram("model_inference_latency_seconds"),
        histogram("model_prediction_confidence"),
        f"sum by (model_version, outcome) (increase(model_inference_requests_total{select}))",
    ]
    for form in forms:
        assert tuple(float(form[name]) * 1000 for name in ("start", "end", "step")) == times


def range_forms(upstream: FakePrometheus) -> list[dict[str, str]]:
    """What was sent but for the question which store it is."""
    return [form for _, form, _ in upstream.calls if form["query"] != STORE_QUERY]


def test_the_store_is_learned_once(compared: Ask[Any], upstream: FakePrometheus) -> None:
    for before in (1, 2, 3):
        compared(f"&from={NOW - before * HOUR}")
    assert [form["query"] for _, form, _ in upstream.calls].count(STORE_QUERY) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "slices", "step"),
    [
        (5 * MINUTE, 5, MINUTE),
        (4 * HOUR, 240, MINUTE),
        (6 * HOUR, 180, 2 * MINUTE),
        (24 * HOUR, 180, 8 * MINUTE),
    ],
)
def test_longer_ranges_have_longer_slices(
    compared: Ask[Any], upstream: FakePrometheus, before: int, slices: int, step: int
) -> None:
    body = compared(f"&from={NOW - before}&to={NOW}")
    ((start, end, asked), *_) = [
        [float(form[name]) * 1000 for name in ("start", "end", "step")] for form in range_forms(upstream)
    ]
    assert (asked, 1 + (end - start) / asked) == (step, slices)
    assert (body["from"], body["to"]) == (start - step, end)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "name", "verdict"),
    [
        (version(1000, 200), "errors", "worse"),
        (version(0, 200), "errors", "better"),
        (version(100, 4000), "latency_p95", "worse"),
        (version(100, 200, sure=10_000), "confidence", "worse"),
    ],
)
def test_a_difference_is_told_with_its_size_and_its_calls(
    compared: Ask[Any], prometheus: Prometheus, candidate: Any, name: str, verdict: str
) -> None:
    if verdict == "better":
        prometheus.versions["v1.2.0"] = version(1000, 200)
    prometheus.versions["v1.3.0"] = candidate
    body = compared()
    assert body["verdict"] == verdict
    decided = ("better", "worse")
    assert [other for other, result in verdicts(body).items() if result in decided] == [name]
    (indicator,) = (entry for entry in body["indicators"] if entry["name"] == name)
    assert indicator["low"] <= indicator["high"]
    assert (indicator["low"] >= 0) != (indicator["high"] <= 0)
    (sentence,) = (text for text in body["summary"] if text.startswith(f"{name}: {verdict}"))
    assert "20,000" in sentence


def test_the_numbers_of_errors(compared: Ask[Any], prometheus: Prometheus) -> None:
    prometheus.versions["v1.3.0"] = version(1000, 200)
    errors = compared()["indicators"][0]
    assert (errors["baseline"], errors["candidate"]) == pytest.approx((0.005, 0.05))
    assert errors["difference"] == pytest.approx(0.045)
    assert (errors["baseline_count"], errors["candidate_count"]) == (20_000, 20_000)
    assert errors["confidence_level"] == pytest.approx(1 - 0.05 * 8 / 10)
    assert errors["baseline_low"] < 0.005 < errors["baseline_high"] < errors["candidate_low"] < 0.05


def test_a_version_without_calls_is_no_traffic(compared: Ask[Any], prometheus: Prometheus) -> None:
    del prometheus.versions["v1.3.0"]
    body = compared()
    assert body["verdict"] == "no_traffic"
    assert body["counts"]["candidate"] == dict.fromkeys(body["counts"]["candidate"], 0)
    assert all("on 0 " in text and "no calls of the candidate" in text for text in body["summary"])


def test_latencies_inside_one_bucket_are_not_enough_data(compared: Ask[Any], prometheus: Prometheus) -> None:
    prometheus.versions["v1.3.0"]["latency_seconds_sum"] = 0.045 * 20_000
    latency = compared()["indicators"][1]
    assert (latency["verdict"], latency["difference"], latency["hidden_shift"]) == (
        "not_enough_data",
        None,
        True,
    )
    assert "both lie between 0.01 s and 0.05 s" in latency["reason"]
    assert [latency[f"candidate{end}"] for end in ("_low", "_high")] == [0.01, 0.05]


def test_slow_calls_can_be_compared(compared: Ask[Any], prometheus: Prometheus) -> None:
    prometheus.versions["v1.3.0"] = version(100, 800)
    body = compared("&above=0.1")
    assert verdicts(body)["latency_above_0.1s"] == body["verdict"] == "worse"


@pytest.mark.slow
def test_verdicts_over_time(client: FlaskClient, prometheus: Prometheus) -> None:
    prometheus.versions["v1.3.0"] = version(1_000, 200)
    path = PATH.replace("/compare?", "/compare/verdicts?")
    rows = client.get(f"{path}&from={NOW - HOUR}&to={NOW}").get_json()["rows"]
    errors = [row for row in rows if row["indicator"] == "errors"]
    assert [row["time"] for row in errors] == [NOW - HOUR + n * MINUTE for n in range(4, 61)]
    assert [row["verdict"] for row in errors] == ["worse"] * 57
    assert {row["indicator"] for row in rows} == {"all", "errors", "latency_p95", "confidence"}
    assert {row["verdict"] for row in rows if row["indicator"] == "all"} == {"worse"}
    last = client.get(f"{PATH}&from={NOW - HOUR}&to={NOW}").get_json()["indicators"]
    assert [(row["low"], row["value"], row["high"]) for row in rows[-3:]] == [
        (indicator["low"], indicator["difference"], indicator["high"]) for indicator in last
    ]
    long = client.get(f"{path}&from={NOW - 24 * HOUR}&to={NOW}").get_json()["rows"]
    times = sorted({row["time"] for row in long})
    assert (len(times), times[-1]) == (59, NOW)


def test_a_comparison_is_kept_with_its_warnings(
    client: FlaskClient, prometheus: Prometheus, upstream: FakePrometheus
) -> None:
    upstream.reply = lambda path, form: _warned(prometheus(path, form))
    first, second = (client.get(PATH).get_json() for _ in range(2))
    assert len(upstream.calls) == 4
    assert first == second
    assert second["warnings"] == ["a store did not answer"]


def _warned(reply: Any) -> Any:
    status, headers, body = reply
    return status, headers, orjson.dumps({**orjson.loads(body), "warnings": ["a store did not answer"]})


def test_quantiles_and_level_can_be_chosen(compared: Ask[Any]) -> None:
    body = compared("&quantile=0.5&quantile=0.99&level=0.01")
    assert list(verdicts(body)) == ["errors", "latency_p50", "latency_p99", "confidence"]
    assert body["indicators"][0]["confidence_level"] == pytest.approx(1 - 0.01 * 8 / 10)


def test_tenants_count_together(compared: Ask[Any], upstream: FakePrometheus) -> None:
    compared("&tenant-id=user-B")
    assert all('tenant_id=~"user-A|user-B"' in form["query"] for form in range_forms(upstream))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["latency_seconds", "confidence"])
@pytest.mark.parametrize(("part", "text"), [("_bucket", r"\+Inf"), ("_sum", "sum")])
def test_what_is_no_whole_histogram_is_an_upstream_error(
    client: FlaskClient, prometheus: Prometheus, family: str, part: str, text: str
) -> None:
    broken: dict[str, float] | float = {"0.1": 5.0} if part == "_bucket" else float("nan")
    prometheus.versions["v1.3.0"][family + part] = broken
    response = client.get(PATH)
    assert (response.status_code, response.get_json()["error"]) == (502, "upstream_invalid")
    assert re.search(f"{family}.*{text}", response.get_json()["message"])


def test_versions_whose_exporters_have_other_buckets_are_compared_on_those_of_both(
    compared: Ask[Any], client: FlaskClient, prometheus: Prometheus
) -> None:
    prometheus.versions = {name: version(100, 4000) for name in prometheus.versions}
    buckets = prometheus.versions["v1.3.0"]["latency_seconds_bucket"]
    assert isinstance(buckets, dict)
    del buckets["0.1"]
    body = compared()
    assert verdicts(body)["latency_p95"] == "no_difference_found"
    prometheus.versions["v1.3.0"]["latency_seconds_bucket"] = {"7": 20_000, "+Inf": 20_000}
    response = client.get(f"{PATH}&from=now-2h")
    assert (response.status_code, response.get_json()["error"]) == (502, "upstream_invalid")
    assert re.search(r"v1\.2\.0 and v1\.3\.0 .*one in common", response.get_json()["message"])


def test_a_negative_increase_is_an_upstream_error(client: FlaskClient, prometheus: Prometheus) -> None:
    prometheus.versions["v1.3.0"]["requests_total"] = {"success": -20_000.0}
    response = client.get(PATH)
    assert (response.status_code, response.get_json()["error"]) == (502, "upstream_invalid")
    assert "requests_total" in response.get_json()["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("model-name=a&tenant-id=b&baseline=v2&candidate=v2", "candidate is the baseline"),
        ("model-name=a&model-name=c&tenant-id=b&baseline=v1&candidate=v2", "model-name occurs 2 times"),
        ("tenant-id=b&baseline=v1&candidate=v2", "model-name is required"),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&level=1", "level has the value '1'"),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&quantile=2", "quantile has the value '2'"),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&quantile=.5&quantile=0.5", "quantile.*twice"),
        (
            "model-name=a&tenant-id=b&baseline=v1&candidate=v2&from=now",
            "from lies 0 ms before to; allowed: from 300 s",
        ),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&from=now-2m", "allowed: from 300 s"),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&above=0", "above has the value '0'"),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&from=0", "from.*366 days"),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&from=now&to=now-1h", "from lies after to"),
        ("model-name=a&tenant-id=b&baseline=v1&candidate=v2&step=1m", "step is not a parameter here"),
    ],
)
def test_bad_input_names_the_parameter(client: FlaskClient, query: str, text: str) -> None:
    response = client.get(f"/api/v1/compare?{query}")
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_parameter")
    assert re.search(text, response.get_json()["message"])
    assert response.get_json()["details"]["allowed"]
