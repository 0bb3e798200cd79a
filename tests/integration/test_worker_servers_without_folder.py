"""gunicorn and uvicorn with several workers that share no folder: their logs name the variable to set."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import requests

from modelplane_exporter.settings import WORKERS_DIR
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
GUNICORN = (
    "gunicorn",
    "gunicorn_app:app",
    "--workers",
    "3",
    "--log-level",
    "warning",
    "--bind=127.0.0.1:PORT",
)
COMMANDS = {
    "gunicorn": GUNICORN,
    "gunicorn, preloaded": (*GUNICORN[:-1], "--preload", GUNICORN[-1]),
    "uvicorn": ("uvicorn", "uvicorn_app:app", "--workers", "3", "--log-level", "warning", "--port=PORT"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("has_folder", [False, True], ids=["without", "with"])
def test_workers_name_the_folder_that_they_need(tmp_path: Path, command: str, has_folder: bool) -> None:
    port, metrics_port, log = free_port(), free_port(), tmp_path / "log"
    server, *options, port_option = COMMANDS[command]
    env = {
        "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
        "MODELPLANE_EXPORTER_PORT": str(metrics_port),
        "PYTHONPATH": os.pathsep.join((str(HERE), os.environ.get("PYTHONPATH", ""))),
        WORKERS_DIR.name: str(tmp_path / "workers") if has_folder else "",
    }
    argv = [sys.executable, "-m", server, *options, port_option.replace("PORT", str(port))]
    url = f"http://127.0.0.1:{port}/a"

    def lines() -> list[str]:
        text = log.read_text(encoding="utf-8")
        return [line for line in text.splitlines() if WORKERS_DIR.name in line]

    def is_said() -> bool:
        requests.get(url, timeout=PATIENCE_SECONDS)
        return bool(lines())

    with Process(server, argv, log, env, url):
        if has_folder:
            for _ in range(30):
                requests.get(url, timeout=PATIENCE_SECONDS)
            assert lines() == []
        else:
            assert wait_until(is_said), log.read_text(encoding="utf-8")
            assert "set MODELPLANE_EXPORTER_WORKERS_DIR to an empty folder" in lines()[0]
