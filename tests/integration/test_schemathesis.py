"""schemathesis over the OpenAPI document: no 5xx, no answer that the document does not describe.

It runs as an admin, as a tenant, and against a backend without tokens. ``make fuzz`` tries more of each.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
import schemathesis
from schemathesis.engine import events, from_schema
from schemathesis.schemas import BaseSchema

from http_servers import serving_by
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token

NOW = 1_696_240_800  # the second day of a month: forecasts look at all of it
# These have code and parameters of others, such as latency.
ALIKE = r"^/api/v1/(rows/(?!latency|drift)|metrics/(throughput|errors|confidence|active|tokens)$)"
ADMIN, TENANT, NOBODY = CALLERS = ("admin", "tenant", "nobody")
CALLS = {ADMIN: 3000, TENANT: 500, NOBODY: 250}
EXAMPLES = {ADMIN: 4, TENANT: 8, NOBODY: 4}
TIMES = int(os.environ.get("MODELPLANE_FUZZ_TIMES", "1"))
CONFIG: dict[str, Any] = {
    "generation": {"deterministic": True, "database": "none"},
    # Without a target it reads nothing else of the body.
    "operations": [
        {"include-path": "/grafana/query", "checks": {"negative_data_rejection": {"enabled": False}}}
    ],
    "checks": {
        # What its schema allows may still contradict itself, for example a range that ends before it starts.
        "positive_data_acceptance": {"enabled": False},
        # test_authentication walks all routes; those of Grafana answer 403, because its proxy hides a 401.
        "missing_required_header": {"enabled": False},
        "ignored_auth": {"enabled": False},
    },
}
REGISTRY = """
apiVersion: modelplane/v1
tenants:
  - {id: user-A, name: Vision, budget: {amount: 2500, currency: USD, period: month}}
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A]
    targets: ["10.0.0.5:8000"]
    max_in_flight: 64
    versions: [{version: v1, stage: production}]
    slos:
      - {name: availability, objective: 0.999, window: 30d, indicator: {type: errors}}
devices:
  inventory: [{device: "GPU-1", device_type: h200, from: 2023-01-01}]
  prices: [{device_type: h200, amount: 3.10, currency: USD, per: hour, effective_from: 2023-01-01}]
"""
COUNTS = ("0", "0.25", "1", "17", "1e6")
VALUES = (*COUNTS, "NaN", "+Inf", "-1")
BOUNDS = ("0.1", "0.25", "+Inf")
LABELS = {
    "model_name": ("resnet50", 'b"e\\r\nt'),
    "model_version": ("v1", "v2"),
    "tenant_id": ("user-A", "__all__"),
    "framework": ("pytorch",),
    "kind": ("input", "output"),
    "signal": ("age",),
    "baseline": ("a1b2c3d4",),
    "bin": ("00", "01", "__missing__"),
    "outcome": ("success", "failure"),
    "device": ("GPU-1",),
    "device_type": ("h200",),
}


OTHER_CALLS: dict[str, Any] = {
    "/api/v1/series": [{"__name__": "up", "tenant_id": "user-A"}],
    "/api/v1/labels": [],
    "/api/v1/rules": {"groups": []},
    "/api/v1/alerts": {"alerts": []},
    "/api/v1/metadata": {},
    "/api/v1/query_exemplars": [],
    "/api/v1/status/buildinfo": {"version": "2.42.0"},
}
SILENCE = {
    "id": "3f1c6f1e-5a0b-4c55-9a3c-0d2b1f6f7a10",
    "matchers": [{"name": "tenant_id", "value": "user-A", "isRegex": False, "isEqual": True}],
    "startsAt": "2023-10-02T09:00:00Z",
    "endsAt": "2033-10-02T09:00:00Z",
    "createdBy": "Ada",
    "comment": "upgrade",
}


def answer(path: str, form: dict[str, str]) -> dict[str, Any]:
    """A right answer of Prometheus whose content is drawn from the question."""
    if path == "/-/ready":
        return {}
    if path in OTHER_CALLS:
        return {"status": "success", "data": OTHER_CALLS[path]}
    if path.startswith("/api/v1/label/"):
        nothing = path.endswith("/tenant_id/values") or '"a",tenant_id="b"' in str(form)
        return {"status": "success", "data": [] if nothing else ["resnet50", "v1"]}
    draw = random.Random(hashlib.sha256(form["query"].encode()).digest())
    metrics = [
        {name: draw.choice(values) for name, values in LABELS.items()} for _ in range(draw.randint(1, 6))
    ]
    if "increase(" in form["query"]:
        metrics = [{**metric, "model_version": version} for metric in metrics[:1] for version in ("v1", "v2")]
    if "_bucket" in form["query"]:
        bounds = (*BOUNDS, "sum") if "_sum" in form["query"] else BOUNDS
        metrics = [{**metric, "le": bound} for metric in metrics for bound in bounds]
    if 'tenant_id="user-A"' in form["query"]:
        metrics = [{**metric, "tenant_id": "user-A"} for metric in metrics]
    unique = {orjson.dumps(metric): metric for metric in metrics}.values()
    values = ("17",) if "_bucket" in form["query"] else COUNTS if "increase(" in form["query"] else VALUES
    warnings = {"warnings": ["a store is down"]} if draw.random() < 0.1 else {}
    if path == "/api/v1/query_range":
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        times = [start + index * step for index in range(min(20, int((end - start) / step) + 1))]
        result = [{"metric": m, "values": [[at, draw.choice(values)] for at in times]} for m in unique]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}, **warnings}
    at = float(form.get("time", NOW))
    if form["query"].endswith("]"):
        result = [{"metric": metric, "values": [[at - 60, "1"], [at, "2"]]} for metric in unique]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}, **warnings}
    samples = [{"metric": metric, "value": [at, draw.choice(values)]} for metric in unique]
    return {"status": "success", "data": {"resultType": "vector", "result": samples}, **warnings}


def silences(method: str, path: str) -> tuple[int, Any]:
    """Alertmanager's answer: it has one silence, and refuses none."""
    if method == "POST":
        return 200, {"silenceID": SILENCE["id"]}
    if path.endswith(("/silences", "/status")):
        return 200, [SILENCE]
    return (200, SILENCE) if path.endswith(str(SILENCE["id"])) else (404, {})


def status_and_body(path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and body: Prometheus refuses a parameter that is missing or no number."""
    try:
        return 200, answer(path, form)
    except (ArithmeticError, KeyError, ValueError) as error:
        return 400, {"status": "error", "errorType": "bad_data", "error": repr(error)}


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    """URL of a Prometheus that has an answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            if path.startswith("/api/v2/"):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send(*silences(self.command, path))
                return
            text = query or self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(text, max_num_fields=100).items()}
            self.send(*status_and_body(path, form))

        def send(self, status: int, content: Any) -> None:
            body = orjson.dumps(content)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    with serving_by(Handler) as url:
        yield url


@pytest.fixture(scope="module", params=CALLERS)
def caller(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def api(caller: str, prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    folder = tmp_path_factory.mktemp("schemathesis")
    tokens = folder / "tokens.json"
    known = [
        {"name": ADMIN, "role": "admin", "sha256": hash_token(ADMIN)},
        {"name": TENANT, "role": "tenant", "sha256": hash_token(TENANT), "tenants": ["user-A"]},
    ]
    tokens.write_bytes(orjson.dumps({"tokens": known}))
    (folder / "modelplane.yaml").write_text(REGISTRY)
    app = create_app(
        Settings(
            prometheus_url=prometheus,
            database_url=f"sqlite:///{folder}/modelplane.db",
            alertmanager_urls=(prometheus,),
            token_file=None if caller == NOBODY else tokens,
            registry_file=folder / "modelplane.yaml",
        ),
        clock=lambda: NOW,
    )
    headers = {} if caller == NOBODY else {"Authorization": f"Bearer {caller}"}
    # Its WSGI client accepts gzip and does not decompress.
    header_config = {"headers": {**headers, "Accept-Encoding": "identity"}}
    generation = {**CONFIG["generation"], "max-examples": EXAMPLES[caller] * TIMES}
    # Each bound of each parameter is read before anybody's tenants are: once is enough.
    phases = {"coverage": {"enabled": caller == ADMIN or TIMES > 1}}
    config = schemathesis.Config.from_dict(
        {**CONFIG, **header_config, "generation": generation, "phases": phases}
    )
    document = schemathesis.openapi.from_wsgi("/openapi.json", app, config=config, headers=headers)
    yield document.exclude(path_regex=ALIKE)
    close_app(app)


def test_every_answer_is_one_that_the_document_describes(api: BaseSchema, caller: str) -> None:
    calls, problems = 0, dict[str, str]()
    for event in from_schema(api).execute():
        if isinstance(event, events.ScenarioFinished):
            calls += len(event.recorder.interactions)
            problems |= failures(event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            problems[repr(event)] = ""
    assert not problems, "\n\n".join(f"{what}\n{call}" for what, call in problems.items())
    assert calls > CALLS[caller]


def failures(event: events.ScenarioFinished) -> dict[str, str]:
    """One call for each kind of failure, with how it was answered."""
    by_title = {}
    for case, checks in event.recorder.checks.items():
        response = event.recorder.interactions[case].response
        answered = "" if response is None else f"{response.status_code} {response.content[:500]!r}"
        for check in checks:
            if (info := check.failure_info) is not None:
                title = f"{event.label}: {info.failure.title}: {info.failure.message}"
                by_title[title] = f"{info.code_sample}\n{answered}"
    return by_title
