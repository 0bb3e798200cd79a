from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelplane_datasource.server import ServerError, serve
from modelplane_datasource.settings import ConfigurationError, Settings
from modelplane_provisioning.processes import PATIENCE_SECONDS, answers, free_port, wait_until

PREFIX = "MODELPLANE_DATASOURCE_"


@contextmanager
def running(environ: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "modelplane_datasource"],
        cwd=folder,
        env={**os.environ, **{PREFIX + name: value for name, value in environ.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(port: int, tmp_path: Path, number: signal.Signals) -> None:
    url = f"http://127.0.0.1:{port}/healthz"
    with running({"PORT": str(port)}, tmp_path) as process:
        assert wait_until(lambda: answers(url) or process.poll() is not None)
        process.send_signal(number)
        output, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, log
    assert output == ""
    assert "listening on" in log
    assert "Traceback" not in log
    assert (tmp_path / "modelplane.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"PORT": "http"}, "MODELPLANE_DATASOURCE_PORT must be a port"),
        ({"HOST": "0.0.0.0"}, "loopback only"),
        ({"TOKEN_FILE": "absent.json"}, "absent.json"),
    ],
)
def test_bad_settings_end_it_with_2_and_one_sentence(
    tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    with running(environ, tmp_path) as process:
        output, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert output == ""
    assert words in log
    assert len(log.splitlines()) == 1


def test_a_taken_port_is_a_server_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ServerError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            serve(Settings(port=port, database_url=f"sqlite:///{tmp_path}/m.db"))


def test_a_missing_database_folder_is_a_server_error(tmp_path: Path, port: int) -> None:
    with pytest.raises(ServerError, match="does not exist"):
        serve(Settings(port=port, database_url=f"sqlite:///{tmp_path}/absent/m.db"))


def test_a_database_that_is_no_database_is_a_server_error(tmp_path: Path, port: int) -> None:
    (tmp_path / "m.db").write_text("not a database " * 100)
    with pytest.raises(ServerError, match="cannot be opened"):
        serve(Settings(port=port, database_url=f"sqlite:///{tmp_path}/m.db"))


def test_a_read_only_database_folder_is_a_server_error(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelplane_datasource.server.os.access", lambda path, mode: False)
    with pytest.raises(ServerError, match="cannot be written"):
        serve(Settings(port=port, database_url=f"sqlite:///{tmp_path}/m.db"))


def test_other_hosts_need_a_token_file(tmp_path: Path, port: int) -> None:
    with pytest.raises(ConfigurationError, match=r"loopback only, not on 0\.0\.0\.0"):
        serve(Settings(host="0.0.0.0", port=port, database_url=f"sqlite:///{tmp_path}/m.db"))
