"""Real services under uvicorn and gunicorn: each call counts for the tenant of its request."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
EACH = 8
TENANTS = ("acme", "globex", "7")

Counts = Counter[tuple[str, str, str]]


@contextlib.contextmanager
def serving(folder: Path, *command: str) -> Iterator[tuple[str, Path]]:
    """The address of a service and its log; ``command`` ends with the option for its port."""
    port, log = free_port(), folder / "log"
    env = {
        "MODELPLANE_EXPORTER_PORT": "off",
        "PYTHONPATH": os.pathsep.join((str(HERE), os.environ.get("PYTHONPATH", ""))),
    }
    argv = [sys.executable, "-m", *command[:-1], command[-1].replace("PORT", str(port))]
    url = f"http://127.0.0.1:{port}"
    with Process(command[0], argv, log, env, f"{url}/metrics/"):
        yield url, log


def requested(url: str, path: str, tenant_id: str) -> int:
    return requests.get(f"{url}{path}", params={"name": tenant_id}, timeout=PATIENCE_SECONDS).status_code


def request_all(url: str, paths: dict[str, int]) -> None:
    """Request each path ``EACH`` times for each tenant, all mixed; ``paths`` gives the status expected."""
    wanted = [(path, tenant_id) for path in paths for tenant_id in TENANTS] * EACH
    with ThreadPoolExecutor(8) as clients:
        seen = list(clients.map(lambda pair: requested(url, *pair), wanted))
    assert seen == [paths[path] for path, _ in wanted]


def counts(url: str) -> Counts:
    """Requests by model, tenant and outcome, without those that are 0."""
    text = requests.get(f"{url}/metrics/", timeout=PATIENCE_SECONDS).text
    return Counter(
        {
            (s.labels["model_name"], s.labels["tenant_id"], s.labels["outcome"]): int(s.value)
            for family in text_string_to_metric_families(text)
            for s in family.samples
            if s.name == "model_inference_requests_total" and s.value
        }
    )


def test_fastapi(tmp_path: Path) -> None:
    paths = dict.fromkeys(
        (
            "/middleware", "/async-dependency", "/async-dependency-async", "/track-dependency", "/stream",
            "/async-stream", "/stream-dependency", "/undecorated-stream", "/executor", "/pool", "/thread",
            "/to-thread", "/gathered", "/background", "/background-async", "/endpoint",
        ),
        200,
    )  # fmt: skip
    with serving(tmp_path, "uvicorn", "fastapi_app:app", "--log-level", "warning", "--port=PORT") as (
        url,
        log,
    ):
        request_all(url, {**paths, "/refused": 422})
        expected: Counts = Counter()
        for name in TENANTS:
            expected["llm", name, "success"] = expected["embedder", name, "success"] = EACH * len(paths)
            expected["llm", name, "rejected"] = EACH
            expected["embedder", name, "success"] += EACH
        assert counts(url) == expected
        assert log.read_text(encoding="utf-8") == ""


def test_a_dependency_in_a_thread_of_fastapi_is_left_in_peace_and_the_log_has_the_remedy(
    tmp_path: Path,
) -> None:
    """No context variable of such a thread reaches the endpoint."""
    with serving(tmp_path, "uvicorn", "fastapi_app:app", "--log-level", "warning", "--port=PORT") as (
        url,
        log,
    ):
        request_all(url, {"/sync-dependency": 200})
        calls = EACH * len(TENANTS)
        assert counts(url) == Counter(
            {(model, "__unknown__", "success"): calls for model in ("llm", "embedder")}
        )
        lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    for model, line in zip(("embedder", "llm"), sorted(lines), strict=True):
        assert line.startswith(f"{model} v1: tenant_id: no tenant is in force")
        assert "a dependency of FastAPI that names it must be `async def`" in line


def test_starlette(tmp_path: Path) -> None:
    paths = dict.fromkeys(("/stream", "/async-stream", "/undecorated-stream"), 200)
    command = ("uvicorn", "starlette_app:app", "--log-level", "warning", "--port=PORT")
    with serving(tmp_path, *command) as (url, log):
        request_all(url, paths)
        assert counts(url) == Counter({("llm", name, "success"): EACH * len(paths) for name in TENANTS})
        assert log.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("threads", ["1", "4"])
def test_flask(tmp_path: Path, threads: str) -> None:
    paths = dict.fromkeys(
        (
            "/call", "/stream", "/with-context", "/body-names-tenant", "/undecorated-stream",
            "/undecorated-with-context",
        ),
        200,
    )  # fmt: skip
    options = ("--threads", threads, "--log-level", "warning", "--bind=127.0.0.1:PORT")
    with serving(tmp_path, "gunicorn", "flask_app:app", *options) as (url, log):
        request_all(url, {**paths, "/stream-by-request": 200, "/refused": 404})
        expected: Counts = Counter()
        for name in TENANTS:
            expected["llm", name, "success"] = EACH * len(paths)
            expected["llm", name, "rejected"] = expected["by-request", name, "success"] = EACH
        assert counts(url) == expected
        assert log.read_text(encoding="utf-8") == ""
