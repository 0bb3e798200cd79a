"""The answer to a scrape: formats, failing collectors, compression, methods."""

from __future__ import annotations

import gzip
import logging

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter_support.exposing import OPENMETRICS, Failing, FakeStore, names, parse_openmetrics, total
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.serving.responder import exposition, respond


def test_text_is_ours_and_the_rest_of_the_registry(
    exposed_registry: CollectorRegistry, fake_store: FakeStore
) -> None:
    body, content_type = exposition(exposed_registry, fake_store, "")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = list(parse_text(body.decode()))
    assert {
        (family.name, s.value) for family in families for s in family.samples if s.name.endswith("_total")
    } >= {
        ("before", 2.0),
        ("after", 3.0),
    }
    assert names(families)[:2] == ["model_inference_latency_seconds", "model_inference_requests"]
    assert len(set(names(families))) == len(families)


def test_openmetrics_is_one_document_with_exemplars_and_target_info(
    exposed_registry: CollectorRegistry, fake_store: FakeStore
) -> None:
    exposed_registry.set_target_info({"service": "resnet"})
    body, content_type = exposition(exposed_registry, fake_store, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    families = list(parse_openmetrics(body.decode()))
    assert names(families)[0] == "target"
    assert {"before", "after", "model_inference_latency_seconds"} <= set(names(families))
    assert body.count(b"# EOF") == 1
    assert b'# {trace_id="' + b"a" * 32 + b'"} 0.004 1.5' in body


@pytest.mark.parametrize("accept", ["", "text/plain", OPENMETRICS, f"{OPENMETRICS};q=0.5,text/plain;q=0.3"])
def test_our_store_is_rendered_once_and_its_scrape_is_reported(
    exposed_registry: CollectorRegistry, fake_store: FakeStore, accept: str
) -> None:
    body, _ = exposition(exposed_registry, fake_store, accept)
    assert body.count(b"# TYPE model_inference_requests") == 1
    assert fake_store.collected == 0
    (seconds,) = fake_store.scrapes
    assert 0 < seconds < 60


def test_a_failing_collector_costs_only_its_own_series(
    exposed_registry: CollectorRegistry, fake_store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    exposed_registry.register(Failing())
    with caplog.at_level(logging.ERROR):
        answer = respond(exposed_registry, "GET", "", "")
    assert answer.status == 200
    assert total(answer.body, "before_total") == [2]
    assert b"model_inference_latency_seconds_count" in answer.body
    assert b"half" not in answer.body
    assert "collector Failing failed" in caplog.text
    assert "the secret" not in caplog.text


def test_a_failure_of_ours_is_500_with_a_short_text_and_a_log_line(
    exposed_registry: CollectorRegistry, fake_store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    fake_store.error = KeyError("the secret")
    with caplog.at_level(logging.ERROR):
        answer = respond(exposed_registry, "GET", "", "")
    assert (answer.status, answer.body) == (500, b"the metrics could not be rendered; see the log\n")
    assert "a scrape failed: KeyError" in caplog.text


def test_a_scrape_of_the_real_store() -> None:
    registry = CollectorRegistry()
    exporter = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)
    exporter(lambda: {"confidence": 0.5})()
    body = respond(registry, "GET", OPENMETRICS, "").body.decode()
    by_name = {family.name: family for family in parse_openmetrics(body)}
    assert [s.value for s in by_name["model_inference_requests"].samples] == [1, 0, 0, 0]
    again = respond(registry, "GET", "", "").body
    assert total(again, "modelplane_exporter_scrape_duration_seconds")[0] > 0


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip; q=0", False),
        ("gzip;q=0.0, br", False),
        ("gzip;q=0.01", True),
        ("identity", False),
    ],
)
def test_gzip_only_where_it_is_allowed(
    exposed_registry: CollectorRegistry, accept_encoding: str, compressed: bool
) -> None:
    answer = respond(exposed_registry, "GET", "", accept_encoding)
    assert (dict(answer.headers).get("Content-Encoding") == "gzip") == compressed
    assert dict(answer.headers)["Content-Length"] == str(len(answer.body))
    body = gzip.decompress(answer.body) if compressed else answer.body
    assert total(body, "after_total") == [3]


def test_head_has_the_headers_of_get_and_no_body(exposed_registry: CollectorRegistry) -> None:
    head, get = respond(exposed_registry, "HEAD", "", ""), respond(exposed_registry, "GET", "", "")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == get.headers


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE", "get"])
def test_other_methods_are_refused(
    exposed_registry: CollectorRegistry, fake_store: FakeStore, method: str
) -> None:
    answer = respond(exposed_registry, method, "", "")
    assert (answer.status, dict(answer.headers)["Allow"]) == (405, "GET, HEAD")
    assert not fake_store.scrapes
