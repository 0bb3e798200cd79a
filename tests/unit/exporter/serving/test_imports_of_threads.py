"""Threads of the exporter import nothing: a fork meanwhile would leave the child a module that is locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_exporter.settings import ADDRESS, PORT, WORKERS_DIR
from modelplane_exporter.workers.publisher import PUBLISH_SECONDS
from modelplane_provisioning.processes import free_port

# Python tells of each import that has to look for its module.
PROGRAM = """
import json, sys, threading, time, urllib.request

imports = []
def note(event, arguments):
    if event == "import" and threading.current_thread() is not threading.main_thread():
        imports.append([threading.current_thread().name, arguments[0]])
sys.addaudithook(note)

from modelplane_exporter import ModelMetricsExporter

measured = ModelMetricsExporter("m", "v1", "t", "jax")(lambda: {"confidence": 0.5})
url, pause = sys.argv[1], float(sys.argv[2])

def answer(**headers):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30).status
    except OSError:
        return None

measured()
while answer() is None:
    time.sleep(0.05)
statuses = [answer(Accept=accept, **{"Accept-Encoding": "gzip"}) for accept in (
    "text/plain", "application/openmetrics-text; version=1.0.0"
)]
time.sleep(pause)
measured()
print(json.dumps([statuses, imports, [thread.name for thread in threading.enumerate()]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [False, True], ids=["one process", "several processes"])
def test_no_thread_imports(tmp_path: Path, workers: bool) -> None:
    port = free_port()
    environment = {ADDRESS.name: "127.0.0.1", PORT.name: str(port)}
    if workers:
        environment[WORKERS_DIR.name] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"http://127.0.0.1:{port}/metrics", str(1.2 * PUBLISH_SECONDS)],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    statuses, imports, threads = json.loads(done.stdout)
    assert statuses == [200, 200]
    assert ("modelplane-workers" in threads) == workers
    assert imports == []
