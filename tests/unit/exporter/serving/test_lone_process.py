"""Several processes without a common folder: the log names the variable, where calls are not shown."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from wsgiref.types import WSGIEnvironment

import pytest
from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.apps import wsgi_app
from modelplane_exporter.serving import lone_process
from modelplane_exporter.settings import WORKERS_DIR
from modelplane_provisioning.processes import PATIENCE_SECONDS

SERVICE = """
    import os, sys
    from modelplane_exporter import ModelMetricsExporter
    exporter = ModelMetricsExporter("m", "v1", "t", "jax", confidence=None)
    predict = exporter(lambda: None)
    for _ in range(300):
        predict()
    def forked(calls):
        child = os.fork()
        if not child:
            for _ in range(calls):
                if sys.argv[1] == "block":
                    with exporter.track():
                        pass
                else:
                    predict()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    for calls in (0, 1, 5, 600):
        forked(calls)
    predict()
"""


def run(way: str, environment: dict[str, str]) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(SERVICE), way],
        env={
            **os.environ, "MODELPLANE_EXPORTER_PORT": "0", "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
            **environment,
        },
        capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    return finished.stderr.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["function", "block"])
def test_a_forked_process_says_so_at_its_first_call(way: str) -> None:
    lines = run(way, {})
    assert len(lines) == 3, "one line of each child that called, none of the others"
    assert all(
        line.startswith("calls of this process are not shown by the server of process") for line in lines
    )
    assert all(WORKERS_DIR.name in line for line in lines)


@pytest.mark.slow
def test_with_a_folder_or_without_a_server_a_forked_process_says_nothing(tmp_path: Path) -> None:
    assert run("function", {WORKERS_DIR.name: str(tmp_path)}) == []
    assert run("function", {"MODELPLANE_EXPORTER_PORT": "off"}) == []


@pytest.mark.parametrize(("is_multiprocess", "lines"), [(True, 1), (False, 0)])
def test_a_mounted_application_says_so_when_there_are_several_of_it(
    is_multiprocess: bool, lines: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers tell their applications, by PEP 3333."""
    monkeypatch.setattr(lone_process, "_said", set())
    registry = CollectorRegistry()
    ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)
    app = wsgi_app(registry)
    environ: WSGIEnvironment = {"REQUEST_METHOD": "GET", "wsgi.multiprocess": is_multiprocess}
    for _ in range(2):
        (body,) = app(environ, lambda status, headers, error=None: lambda data: None)
        assert b"modelplane_exporter_build_info" in body
    assert [WORKERS_DIR.name in record.message for record in caplog.records] == [True] * lines
