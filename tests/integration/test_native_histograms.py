"""A Prometheus 3 that converts classic histograms to native ones with custom buckets: the same answers.

One Prometheus scrapes the same samples, with the times that they name, as three models: as they are,
converted, and converted with the classic series beside them.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest
import requests
from flask.testing import FlaskClient

from generations import INSTALLED, Servers
from http_servers import serving_by
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.rules import check_histograms
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from modelplane_schema import metrics

CLASSIC, NATIVE, BOTH = MODELS = ("classic", "native", "both")
STEPS, STEP, CALLS_PER_STEP = 25, 60, 20
SCRAPES_PER_STEP = 2  # one of them may be late: the second gives nothing new
END = int(time.time()) // STEP * STEP - STEP
START = END - (STEPS - 1) * STEP
VERSIONS, TENANTS = ("v1", "v2", "idle"), ("user-A", "user-B")
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - {{job_name: classic, metrics_path: /classic, static_configs: [{{targets: ["{target}"]}}]}}
  - job_name: native
    metrics_path: /native
    convert_classic_histograms_to_nhcb: true
    static_configs: [{{targets: ["{target}"]}}]
  - job_name: both
    metrics_path: /both
    convert_classic_histograms_to_nhcb: true
    always_scrape_classic_histograms: true
    static_configs: [{{targets: ["{target}"]}}]
"""
REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: user-A}, {id: user-B}]
models:
""" + "".join(
    f"""
  - name: {model}
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    versions: [{{version: v1}}, {{version: v2}}, {{version: idle}}]
    slos:
      - {{name: availability, objective: 0.95, window: 30d, indicator: {{type: errors}}}}
      - {{name: fast, objective: 0.95, window: 30d, indicator: {{type: latency, threshold_seconds: 0.25}}}}
"""
    for model in MODELS
)


def histogram_lines(metric: metrics.Metric, labels: str, observed: np.ndarray[Any, Any]) -> Iterator[str]:
    for bound in (*metric.buckets, math.inf):
        le = "+Inf" if bound == math.inf else repr(bound)
        yield f'{metric.name}_bucket{{{labels},le="{le}"}} {(observed <= bound).sum()}'
    yield f"{metric.name}_sum{{{labels}}} {observed.sum()}"
    yield f"{metric.name}_count{{{labels}}} {len(observed)}"


def exposition(model: str, step: int) -> str:
    """What a service exposes after so many steps: each adds 20 calls to each version and tenant.

    Before the first every bucket has more than comes into it: ``increase`` does not reach below zero, of
    which it judges each classic bucket by itself.
    """
    by_family: dict[str, list[str]] = {}
    for number, (version, tenant) in enumerate((v, t) for v in VERSIONS for t in TENANTS):
        random = np.random.default_rng(number)
        every = CALLS_PER_STEP * STEPS
        calls = every + (0 if version == "idle" else CALLS_PER_STEP * (step + 1))
        latency = random.lognormal(-2 if version == "v1" else -1.5, 1.2, every)
        confidence = random.beta(8 if version == "v1" else 4, 2, every)
        labels = f'model_name="{model}",model_version="{version}",tenant_id="{tenant}",framework="pytorch"'
        for metric, observed in ((metrics.LATENCY, latency), (metrics.CONFIDENCE, confidence)):
            by_family.setdefault(f"{metric.name} histogram", []).extend(
                histogram_lines(metric, labels, np.concatenate([observed, observed])[:calls])
            )
        for outcome, count in (("success", calls - calls // 10), ("failure", calls // 10)):
            by_family.setdefault(f"{metrics.REQUESTS.name} counter", []).append(
                f'{metrics.REQUESTS.name}{{{labels},outcome="{outcome}"}} {count}'
            )
    at = (START + step * STEP) * 1000
    return "".join(
        f"# TYPE {family}\n" + "".join(f"{line} {at}\n" for line in lines)
        for family, lines in by_family.items()
    )


@pytest.fixture(scope="module")
def exporter() -> Iterator[tuple[str, dict[str, int]]]:
    """An address, and how often each model was scraped."""
    scraped = dict.fromkeys(MODELS, 0)
    bodies = {model: [exposition(model, step).encode() for step in range(STEPS)] for model in MODELS}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            model = self.path.strip("/")
            body = bodies[model][min(scraped[model] // SCRAPES_PER_STEP, STEPS - 1)]
            scraped[model] += 1
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Scrapes are counted."""

    with serving_by(Handler) as url:
        yield url.removeprefix("http://"), scraped


@pytest.fixture(scope="module")
def prometheus(
    servers: Servers, exporter: tuple[str, dict[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if servers.generation == INSTALLED:
        pytest.skip("Prometheus 2 converts no histograms")
    target, scraped = exporter
    folder, port = tmp_path_factory.mktemp("native"), free_port()
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(target=target))
    url = f"http://127.0.0.1:{port}"
    arguments = [
        servers.prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=native-histograms",
    ]  # fmt: skip
    with Process("prometheus", arguments, folder / "prometheus.log", ready_url=f"{url}/-/ready"):
        assert wait_until(lambda: min(scraped.values()) > STEPS * SCRAPES_PER_STEP), scraped
        assert all(samples_of(url, model) == STEPS for model in MODELS), "scrapes were late"
        yield url


def samples_of(url: str, model: str) -> int:
    query = f'min(count_over_time({metrics.REQUESTS.name}{{model_name="{model}"}}[1d]))'
    parameters: dict[str, str | int] = {"query": query, "time": END}
    answer = requests.get(f"{url}/api/v1/query", parameters, timeout=PATIENCE_SECONDS).json()
    return int(answer["data"]["result"][0]["value"][1])


@pytest.fixture(scope="module")
def backend(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("backend")
    tokens = [
        {"name": "admin", "role": "admin", "sha256": hash_token("admin")},
        {"name": "user-A", "role": "tenant", "tenants": ["user-A"], "sha256": hash_token("user-A")},
    ]
    (folder / "tokens.json").write_text(json.dumps({"tokens": tokens}))
    (folder / "modelplane.yaml").write_text(REGISTRY)
    app = create_app(
        Settings(
            prometheus_url=prometheus,
            prometheus_timeout_seconds=PATIENCE_SECONDS,
            database_url=f"sqlite:///{folder}/modelplane.db",
            token_file=folder / "tokens.json",
            registry_file=folder / "modelplane.yaml",
            scrape_interval_seconds=STEP,
        ),
        clock=lambda: END,
    )
    yield app.test_client()
    close_app(app)


def fetch(backend: FlaskClient, path: str, model: str, **query: Any) -> Any:
    parameters = {"model-name": model, **query}
    answer = backend.get(path, query_string=parameters, headers={"Authorization": "Bearer admin"})
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text.replace(f'"{model}', '"model'))


def numbers_of(value: Any) -> int:
    """How many numbers an answer has."""
    if isinstance(value, dict | list):
        return sum(map(numbers_of, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int | float)


def assert_same(value: Any, expected: Any, place: str = "answer") -> None:
    if isinstance(expected, dict):
        assert value.keys() == expected.keys(), place
        for key, inner in expected.items():
            assert_same(value[key], inner, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(value) == len(expected), place
        for number, inner in enumerate(expected):
            assert_same(value[number], inner, f"{place}[{number}]")
    elif isinstance(expected, int | float):
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-9), place
    else:
        assert value == expected, place


ALL = {"tenant-id": ["user-A", "user-B"]}
RANGE = {"from": str((END - 1200) * 1000), "to": str(END * 1000)}
SERIES = {**ALL, **RANGE, "step": "60s"}
CONFIDENCE = {"kind": "confidence", "window": "10m", "min-observations": "1", **RANGE}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"latency {q}": ("/api/v1/metrics/latency", {**SERIES, "quantile": q})
        for q in ("0.01", "0.25", "0.5", "0.95", "0.999")
    },
    "latency rows": ("/api/v1/rows/latency", SERIES),
    "confidence": ("/api/v1/metrics/confidence", SERIES),
    "throughput": ("/api/v1/metrics/throughput", SERIES),
    "errors": ("/api/v1/metrics/errors", SERIES),
    "burn rate": ("/api/v1/metrics/slo", {**SERIES, "window": "10m"}),
    "budget": ("/api/v1/metrics/slo", {**SERIES, "value": "budget_remaining", "window": "20m"}),
    "objectives": ("/api/v1/slo", ALL),
    "comparison": ("/api/v1/compare", {**ALL, **RANGE, "baseline": "v1", "candidate": "v2"}),
    "gate": ("/api/v1/gate", {**ALL, **RANGE, "baseline": "v1", "candidate": "v2"}),
    **{
        f"drift {method} {reference}": (
            "/api/v1/metrics/drift",
            {**ALL, **CONFIDENCE, "step": "60s", "method": method, "reference": reference},
        )
        for method, reference in (
            ("psi", "previous:10m"), ("js_distance", "previous:10m"), ("ks", "version:v1"),
        )
    },
    "drift of all tenants": (
        "/api/v1/metrics/drift", {**CONFIDENCE, "step": "60s", "reference": "previous:10m"},
    ),
    "drift top": ("/api/v1/drift/top", {"kind": "confidence", "reference": "previous:10m",
                                        "window": "10m", "min-observations": "1"}),
    "distribution": (
        "/api/v1/drift/distribution",
        {"tenant-id": "user-A", "model-version": "v2", "kind": "confidence", "signal": "confidence",
         "window": "10m", "reference": "previous:10m"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("model", [NATIVE, BOTH])
@pytest.mark.parametrize(("path", "query"), REQUESTS.values(), ids=REQUESTS)
def test_answers_are_the_same(backend: FlaskClient, model: str, path: str, query: dict[str, Any]) -> None:
    expected = fetch(backend, path, CLASSIC, **query)
    assert numbers_of(expected) > 1, expected
    assert_same(fetch(backend, path, model, **query), expected)


def test_there_are_no_classic_series(prometheus: str) -> None:
    """Otherwise the test above would compare them with themselves."""
    selectors = {"match[]": f'{{model_name="{NATIVE}"}}', "start": str(START), "end": str(END)}
    answer = requests.get(f"{prometheus}/api/v1/label/__name__/values", selectors, timeout=PATIENCE_SECONDS)
    names = {metrics.LATENCY.name, metrics.CONFIDENCE.name, metrics.REQUESTS.name}
    assert set(answer.json()["data"]) == names


@pytest.mark.parametrize("path", ["latency", "confidence"])
def test_answers_are_of_the_tenant(backend: FlaskClient, path: str) -> None:
    everything = fetch(backend, f"/api/v1/metrics/{path}", NATIVE, **SERIES)["data"]
    answer = backend.get(
        f"/api/v1/metrics/{path}",
        query_string={**RANGE, "step": "60s", "model-name": NATIVE},
        headers={"Authorization": "Bearer user-A"},
    )
    values = [line["data"] for line in answer.get_json()["data"]]
    assert values == [line["data"] for line in everything if line["labels"]["tenant_id"] == "user-A"]


@pytest.mark.parametrize("call", ["query", "query_range"])
def test_native_histograms_are_of_the_tenant(backend: FlaskClient, call: str) -> None:
    def histograms(token: str, query: str) -> list[dict[str, Any]]:
        answer = backend.get(
            f"/prometheus/api/v1/{call}",
            query_string={"query": query, "time": END, "start": END - 60, "end": END, "step": 60},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200, answer.text
        return list(answer.get_json()["data"]["result"])

    selector = f'{metrics.LATENCY.name}{{model_name="{NATIVE}",model_version="v1"}}'
    key = "histogram" if call == "query" else "histograms"
    everything, result = histograms("admin", selector), histograms("user-A", selector)
    assert {series["metric"]["tenant_id"] for series in everything} == set(TENANTS)
    assert [series for series in everything if series["metric"]["tenant_id"] == "user-A"] == result
    assert result[0][key]
    (of_sum,) = histograms("user-A", f"sum({selector})")
    assert of_sum[key] == result[0][key]


def test_doctor_names_the_job_whose_rules_and_boards_see_nothing(prometheus: str) -> None:
    class AtTheEnd(Connection):
        """Asks for the time of the last sample: tests may come minutes later, when now has none."""

        def get(self, path: str, params: Mapping[str, Any] | None = None, auth: Any = None) -> Any:
            return super().get(path, {**(params or {}), "time": END}, auth)

    problems = check_histograms(Parts(AtTheEnd("Prometheus", prometheus))).problems
    assert len(problems) == 2  # latency and confidence
    assert all(
        f"of job '{NATIVE}' is stored as native histograms alone" in problem.text for problem in problems
    )
