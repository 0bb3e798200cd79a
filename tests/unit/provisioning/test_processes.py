"""Child processes: readiness, logs in errors, clean ends, restarts."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from modelplane_provisioning.local.stack import Supervisor
from modelplane_provisioning.processes import (
    PATIENCE_SECONDS,
    Process,
    ProcessError,
    free_port,
    port_is_free,
    wait_until,
)

SERVER = """
import http.server, sys
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
server.serve_forever()
"""


def python(name: str, code: str, tmp_path: Path, *arguments: str, ready_url: str | None = None) -> Process:
    argv = [sys.executable, "-c", code, *arguments]
    return Process(name, argv, tmp_path / f"{name}.log", ready_url=ready_url)


def test_a_server_becomes_ready_and_is_stopped(tmp_path: Path) -> None:
    port = free_port()
    server = python("server", SERVER, tmp_path, str(port), ready_url=f"http://127.0.0.1:{port}/")
    with server:
        assert server.alive
    assert not server.alive
    assert port_is_free(port)


@pytest.mark.slow
def test_stop_takes_children_along_and_does_not_wait_for_the_stubborn(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    process = python("stubborn", code, tmp_path)
    process.start()
    assert wait_until(lambda: process.log_tail().strip().isdigit(), PATIENCE_SECONDS)
    grandchild = int(process.log_tail())
    process.stop(timeout=0.5)
    assert not process.alive
    assert wait_until(lambda: not _runs(grandchild), PATIENCE_SECONDS)


def test_a_process_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    code = "import sys; print('cannot open the moon', file=sys.stderr); sys.exit(7)"
    process = python("early", code, tmp_path, ready_url="http://127.0.0.1:9/")
    process.start()
    with pytest.raises(ProcessError, match=r"early ended with status 7(.|\n)*cannot open the moon"):
        process.wait_ready()


@pytest.mark.slow
def test_a_process_that_never_answers_is_named(tmp_path: Path) -> None:
    process = python("mute", "import time; time.sleep(60)", tmp_path, ready_url="http://127.0.0.1:9/")
    process.start()
    with pytest.raises(ProcessError, match=r"mute: no answer at http://127.0.0.1:9/ within 0.3 s"):
        process.wait_ready(0.3)
    process.kill()


def test_a_binary_that_is_absent_is_named(tmp_path: Path) -> None:
    process = Process("ghost", ["/no/such/binary"], tmp_path / "ghost.log")
    with pytest.raises(ProcessError, match="ghost: cannot run /no/such/binary: No such file"):
        process.start()
    process.stop()
    assert not process.alive


def test_a_port_of_ours_is_given_to_nobody_else_and_takes_one_server_after_the_other() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass
    assert port_is_free(port)
    ports = [free_port() for _ in range(100)]
    assert len({port, *ports}) == 101


def test_a_process_that_is_not_ready_does_not_outlive_its_with_statement(tmp_path: Path) -> None:
    code = "import sys; print('cannot open the moon', file=sys.stderr); sys.exit(7)"
    process = python("early", code, tmp_path, ready_url="http://127.0.0.1:9/")
    with pytest.raises(ProcessError, match="cannot open the moon"), process:
        pytest.fail("it is not ready")
    mute = python("mute", "import time; time.sleep(600)", tmp_path)
    with suppress(KeyError), mute:
        assert mute.alive
        raise KeyError
    assert not mute.alive


@pytest.mark.slow
def test_the_supervisor_restarts_what_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelplane_provisioning.local.stack._RESTART_PAUSE_SECONDS", 0)
    process = python("worker", "import time; time.sleep(600)", tmp_path)
    reports: list[str] = []
    with process:
        first = process.pid
        process.kill()
        Supervisor([process], reports.append).run(until=lambda: process.alive)
        assert process.pid != first
    assert reports == ["worker ended with status -9; starting it again"]


@pytest.mark.slow
def test_the_supervisor_gives_up_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelplane_provisioning.local.stack._RESTART_PAUSE_SECONDS", 0)
    monkeypatch.setattr("modelplane_provisioning.local.stack._POLL_SECONDS", 0.05)
    process = python("crash", "print('out of luck')", tmp_path)
    process.start()
    with pytest.raises(ProcessError, match=r"crash ended 6 times(.|\n)*out of luck"):
        Supervisor([process], lambda text: None).run(until=lambda: False)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    time.sleep(0.01)
    return state != "Z"
