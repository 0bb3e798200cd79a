"""However a worker process ends, each of its calls counts, and each of its events."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_exporter.layout.calls import REQUESTS
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_provisioning.processes import PATIENCE_SECONDS

SCRIPT = Path(__file__).with_name("calling_workers.py")
CALLS = 30
ORDERLY = (
    "here", "daemon_thread", "program", "sys_exit", "process_fork", "process_spawn", "process_forkserver",
    "pool", "pool_of_short_lived", "executor_fork", "executor_spawn", "billiard_process", "celery",
)  # fmt: skip
# These skip whatever a process may do at its end: what it observed in its last second is lost, calls are not.
SUDDEN = (
    "os_exit", "exec", "abort", "sigterm", "sigkill", "terminated_pool", "billiard_pool",
)  # fmt: skip


@pytest.mark.parametrize("way", ORDERLY + SUDDEN)
def test_every_call_and_event_of_a_process_counts(tmp_path: Path, way: str) -> None:
    environment = {
        "MODELPLANE_EXPORTER_PORT": "off",
        "MODELPLANE_EXPORTER_WORKERS_DIR": str(tmp_path / "workers"),
        "PYTHONWARNINGS": "error",
    }
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), way],
        env=os.environ | environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    workers = int(ended.stdout.splitlines()[-1])
    state = WorkerDirectory(tmp_path / "workers").collect()
    (snapshot,) = state.snapshots
    # And one call each whose feature is observed.
    assert sum(snapshot.cells[REQUESTS.start : REQUESTS.stop]) == workers * (CALLS + 1), ended.stderr
    assert [s.value for s in state.samples if s.labels[-1:] == ("click",)] == [workers * CALLS]
    if way in ORDERLY:
        (signals,) = state.signals
        assert sum(signals.cells[:11]) == workers, ended.stderr
