"""``/api/v1/metrics/drift``: what is asked of Prometheus, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest
from flask.testing import FlaskClient

from datasource_support.asking import Ask
from datasource_support.fake_prometheus import FakePrometheus, matrix_reply, vector_reply
from modelplane_datasource.drift import formulas, queries
from modelplane_datasource.drift.parameters import METHODS

EDGES = ("00", "01", "02", "__missing__")
RATIOS = {"00": 0.5, "01": 0.3, "02": 0.2, "__missing__": 0.0}
LIVE = {"00": 100.0, "01": 200.0, "02": 300.0, "__missing__": 10.0}
EARLIER = {"00": 400.0, "01": 300.0, "02": 200.0, "__missing__": 0.0}
OWNER = {"model_name": "churn", "model_version": "v1", "tenant_id": "__all__"}
SIGNAL = {"kind": "input", "signal": "age", "baseline": "a1b2c3d4"}
COLOURS = {"red": 300.0, "__other__": 300.0, "__missing__": 0.0}
PATH = "/api/v1/metrics/drift?model-name=churn&from=1698400800000&to=1698400800000&maxDataPoints=1"


def points(labels: Mapping[str, str], columns: Mapping[str, float], label: str = "bin") -> list[Any]:
    return [({**labels, label: name}, [(1698400800, str(value))]) for name, value in columns.items()]


class Prometheus:
    """Answers each kind of query that drift asks."""

    def __init__(self, matrix: Any, vector: Any) -> None:
        self._matrix = matrix
        self._vector = vector

    def __call__(self, path: str, form: dict[str, str]) -> Any:
        query = form["query"]
        age = {**OWNER, **SIGNAL}
        version = {name: value for name, value in age.items() if name != "tenant_id"}
        if "baseline_ratio" in query:
            return self._vector(*(({**version, "bin": name}, ratio) for name, ratio in RATIOS.items()))
        if "upper_bound" in query:
            bounds = zip(("00", "01", "02"), ("30", "50", "+Inf"), strict=True)
            return self._vector(*(({"baseline": "a1b2c3d4", "bin": name}, bound) for name, bound in bounds))
        if "baseline_observations" in query:
            return self._vector((version, 1000.0))
        if "deviation_square" in query:
            return self._matrix((age, [(1698400800, "450" if "offset" in query else "900")]))
        if "deviation" in query:
            return self._matrix((age, [(1698400800, "-30" if "offset" in query else "120")]))
        if "confidence_bucket" in query:
            return self._matrix(*points(OWNER, {"0.5": 100.0, "1.0": 500.0, "+Inf": 500.0}, "le"))
        return self._matrix(*self._counts(query, age))

    def _counts(self, query: str, age: dict[str, str]) -> list[Any]:
        if 'model_version="v2"' in query:
            baseline = "ffffffff" if "strange" in query else "a1b2c3d4"
            return points({**age, "model_version": "v2", "baseline": baseline}, EARLIER)
        colour = {**age, "signal": "colour"}
        return [*points(age, EARLIER if "offset" in query else LIVE), *points(colour, COLOURS)]


@pytest.fixture
def ask(upstream: FakePrometheus, client: FlaskClient) -> Ask[Any]:
    upstream.reply = Prometheus(matrix_reply, vector_reply)

    def ask(parameters: str = "") -> Any:
        response = client.get(PATH + parameters)
        return response.json if response.status_code == 200 else (response.status_code, response.json)

    return ask


def only(answer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    (line,) = [line for line in answer["data"] if line["labels"]["signal"] != "colour"]
    (point,) = line["data"]
    return line, point


def test_two_baselines_of_one_signal_have_names_of_their_own(
    client: FlaskClient, upstream: FakePrometheus
) -> None:
    prometheus = Prometheus(matrix_reply, vector_reply)

    def with_another_baseline(path: str, form: dict[str, str]) -> Any:
        status, headers, body = prometheus(path, form)
        answer = orjson.loads(body)
        result = answer["data"]["result"]
        result += [{**each, "metric": {**each["metric"], "baseline": "other"}} for each in result]
        return status, headers, orjson.dumps(answer)

    upstream.reply = with_another_baseline
    names = [line["name"] for line in client.get(f"{PATH}&signal=age").get_json()["data"]]
    assert "churn (v1) input age a1b2c3d4" in names
    assert "churn (v1) input age other" in names
    assert len(set(names)) == len(names)


def test_psi_against_the_baseline_with_n_and_noise(ask: Ask[Any], upstream: FakePrometheus) -> None:
    line, point = only(ask())
    counts, ratios = np.array(list(LIVE.values())), np.array(list(RATIOS.values()))
    assert point["y"] == pytest.approx(float(formulas.psi(counts, ratios, 1000)), abs=1e-12)
    assert point["noise"] == pytest.approx(float(formulas.psi_noise(counts, ratios, 1000)), abs=1e-12)
    assert point["n"] == 610
    assert line["name"] == "churn (v1) input age"
    assert line["labels"] == {**OWNER, **SIGNAL, "method": "psi"}
    sent = [form["query"] for _, form, _ in upstream.calls]
    of_a_tenant = [query for query in sent if "tenant_id=" in query]  # they are asked at once, in any order
    assert of_a_tenant == [
        "sum by (model_name, model_version, tenant_id, kind, signal, baseline, bin) "
        '(increase(model_signal_observations_total{model_name="churn",tenant_id="__all__"}[1h]))'
    ]
    assert len(sent) == 3


@pytest.mark.parametrize("method", ["js_distance", "ks"])
def test_other_methods_of_bins(ask: Ask[Any], method: str) -> None:
    answer = ask(f"&method={method}")
    _, point = only(answer)
    used = slice(0, 3) if method == "ks" else slice(0, 4)
    counts, ratios = np.array(list(LIVE.values()))[used], np.array(list(RATIOS.values()))[used]
    assert point["y"] == pytest.approx(float(getattr(formulas, method)(counts, ratios)), abs=1e-12)
    assert point["noise"] is None
    assert point["n"] == counts.sum()


def test_mean_shift_leaves_missing_values_out(ask: Ask[Any]) -> None:
    _, point = only(ask("&method=mean_shift"))
    assert (point["y"], point["n"]) == (pytest.approx(120 / 600), 600)
    _, point = only(ask("&method=mean_shift_z"))
    assert point["y"] == pytest.approx(0.2 / np.sqrt(1 / 600 + 1 / 1000))


def test_variance_ratio_is_that_of_what_is_present(ask: Ask[Any], upstream: FakePrometheus) -> None:
    _, point = only(ask("&method=variance_ratio"))
    assert (point["y"], point["n"]) == (pytest.approx(900 / 600 - (120 / 600) ** 2), 600)
    assert point["noise"] is None
    assert len([form for _, form, _ in upstream.calls if "deviation" in form["query"]]) == 2
    _, point = only(ask("&method=variance_ratio&reference=previous:7d"))
    before = 450 / 900 - (30 / 900) ** 2
    assert point["y"] == pytest.approx((900 / 600 - (120 / 600) ** 2) / before)


def test_missing_shift_is_in_shares_of_all_observations(ask: Ask[Any]) -> None:
    _, point = only(ask("&method=missing_shift"))
    assert (point["y"], point["n"]) == (pytest.approx(10 / 610), 610)
    pooled = 10 / (610 + 1000)
    assert point["noise"] == pytest.approx(np.sqrt(pooled * (1 - pooled) * (1 / 610 + 1 / 1000)))
    _, point = only(ask("&method=missing_shift&reference=version:v2&model-version=v1"))
    assert point["y"] == pytest.approx(10 / 610)


def test_against_the_time_before(ask: Ask[Any], upstream: FakePrometheus) -> None:
    _, point = only(ask("&reference=previous:7d&window=6h"))
    counts, before = np.array(list(LIVE.values())), np.array(list(EARLIER.values()))
    assert point["y"] == pytest.approx(float(formulas.psi(counts, before / 900, 900)), abs=1e-12)
    assert any("[7d] offset 6h" in form["query"] for _, form, _ in upstream.calls)
    _, point = only(ask("&reference=previous:7d&method=mean_shift"))
    assert point["y"] == pytest.approx(120 / 600 + 30 / 900)


def test_against_another_version(ask: Ask[Any]) -> None:
    _, point = only(ask("&model-version=v1&reference=version:v2"))
    counts, other = np.array(list(LIVE.values())), np.array(list(EARLIER.values()))
    assert point["y"] == pytest.approx(float(formulas.psi(counts, other / 900, 900)), abs=1e-12)


def test_versions_with_different_baselines_do_not_compare(ask: Ask[Any]) -> None:
    status, body = ask("&reference=version:v2&signal=strange")
    assert (status, body["error"]) == (422, "not_comparable")
    assert "reference=baseline" in body["message"]


def test_confidence_has_fixed_bounds(ask: Ask[Any]) -> None:
    status, body = ask("&kind=confidence")
    assert (status, body["error"]) == (422, "not_comparable")
    line, point = only(ask("&kind=confidence&reference=previous:1d"))
    assert (line["labels"]["signal"], point["y"], point["n"]) == ("confidence", 0.0, 500)
    status, body = ask("&kind=confidence&reference=previous:1d&method=mean_shift")
    assert (status, body["error"]) == (422, "not_comparable")


def test_methods_share_what_was_arranged(ask: Ask[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    arranged = []
    blocks = queries.blocks

    def counted(*given: Any) -> Any:
        arranged.append(given)
        return blocks(*given)

    monkeypatch.setattr(queries, "blocks", counted)
    result = {method: only(ask(f"&method={method}"))[1]["y"] for method in METHODS}
    assert len(set(result.values())) == len(METHODS)
    ask("&min-observations=1")
    assert len(arranged) == 1
    for other in ("&window=2h", "&signal=age", "&kind=input", "&reference=previous:7d", "&model-version=v1"):
        ask(other)
    assert len(arranged) == 6


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["baseline", "previous:7d", "version:v2"])
@pytest.mark.parametrize("method", METHODS)
def test_without_signals_there_is_no_series(
    upstream: FakePrometheus, client: FlaskClient, method: str, reference: str
) -> None:
    upstream.reply = lambda path, _form: vector_reply() if path == "/api/v1/query" else matrix_reply()
    response = client.get(f"{PATH}&method={method}&reference={reference}")
    if method in ("mean_shift", "mean_shift_z", "variance_ratio") and "version" in reference:
        assert response.status_code == 422
    else:
        assert response.json is not None
        assert response.json["data"] == []


def test_too_few_observations_give_n_and_no_value(ask: Ask[Any]) -> None:
    _, point = only(ask("&min-observations=611"))
    assert (point["y"], point["noise"], point["n"]) == (None, None, 610)


def test_a_categorical_signal_has_no_ks(ask: Ask[Any]) -> None:
    assert {line["labels"]["signal"] for line in ask("&method=ks")["data"]} == {"age"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ("&method=kl", "method"), ("&kind=inputs", "kind"), ("&reference=yesterday", "reference"),
        ("&reference=previous:", "reference"), ("&reference=version:", "reference"), ("&window=0s", "window"),
        ("&window=1y", "window"), ("&min-observations=0", "min-observations"), ("&signal=", "signal"),
        ("&quantile=0.5", "quantile"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(ask: Ask[Any], parameters: str, field: str) -> None:
    status, body = ask(parameters)
    assert (status, body["details"]["parameter"]) == (400, field)


def test_rows_carry_what_belongs_to_the_value(ask: Ask[Any], client: FlaskClient) -> None:
    ask()
    answer = client.get(PATH.replace("/metrics/", "/rows/") + "&signal=age").json
    assert answer is not None
    row = next(row for row in answer["rows"] if row["signal"] == "age")
    assert (row["n"], row["series"], row["method"]) == (610, "churn (v1) input age", "psi")


TOP = "/api/v1/drift/top?model-name=churn&to=1698400800000"


def test_top_ranks_signals_by_what_lies_above_the_noise(ask: Ask[Any], client: FlaskClient) -> None:
    body = client.get(TOP + "&reference=previous:7d").json
    assert body is not None
    assert [row["signal"] for row in body["rows"]] == ["age", "colour"]
    age, colour = body["rows"]
    assert age["value"] - age["noise"] > 0.25
    assert (colour["value"], colour["n"]) == (pytest.approx(0.0), 600)
    assert age["series"] == "churn (v1) input age"
    assert body["query_time"] == "2023-10-27T10:00:00Z"
    limited = client.get(TOP + "&reference=previous:7d&limit=1").json
    assert limited is not None
    assert len(limited["rows"]) == 1


def test_top_puts_signals_without_a_value_last(ask: Ask[Any], client: FlaskClient) -> None:
    body = client.get(TOP + "&reference=previous:7d&min-observations=605").json
    assert body is not None
    assert [(row["signal"], row["value"] is None) for row in body["rows"]] == [
        ("age", False),
        ("colour", True),
    ]


def test_the_distribution_of_one_signal(ask: Ask[Any], client: FlaskClient) -> None:
    body = client.get("/api/v1/drift/distribution?model-name=churn&kind=input&signal=age").json
    assert body is not None
    live, reference = [part for part in body["data"] if part["labels"]["signal"] == "age"]
    assert (live["name"], live["n"], reference["name"], reference["n"]) == ("live", 610, "reference", 1000)
    assert [bar["x"] for bar in live["data"]] == list(EDGES)
    assert [bar["y"] for bar in live["data"]] == [pytest.approx(count / 610) for count in LIVE.values()]
    assert [bar["y"] for bar in reference["data"]] == list(RATIOS.values())
    assert [bar["upper_bound"] for bar in live["data"]] == [30, 50, None, None]
    labels = ["<= 30", "<= 50", "> 50", "missing"]
    assert [bar["label"] for bar in live["data"]] == [bar["label"] for bar in reference["data"]] == labels
    assert [row["label"] for row in body["rows"] if row["signal"] == "age"] == labels * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/drift/distribution?model-name=churn&signal=age", "kind"),
        ("/api/v1/drift/distribution?model-name=churn&kind=input", "signal"),
        ("/api/v1/drift/top?from=1698400800", "from"),
        ("/api/v1/drift/top?from=now&to=now", "from"),
        ("/api/v1/drift/distribution?kind=input&signal=age&from=now&to=now-1h", "from"),
        ("/api/v1/drift/top?model-name=churn&limit=0", "limit"),
        ("/api/v1/drift/top?model-name=churn&step=1m", "step"),
    ],
)
def test_what_the_routes_of_one_moment_need(client: FlaskClient, path: str, field: str) -> None:
    response = client.get(path)
    assert response.json is not None
    assert (response.status_code, response.json["details"]["parameter"]) == (400, field)
