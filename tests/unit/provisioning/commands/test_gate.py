"""``modelplane gate``: the exit status of each answer, waiting, and what is no answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import orjson
import pytest
from click.testing import CliRunner, Result

from http_servers import serving_by
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.backend import BackendClient, BackendError
from modelplane_provisioning.clients.gate import GateClient

STEP = Path(__file__).parents[4] / "examples" / "gates" / "step.sh"
WHO = ("--model-name", "digit-reader", "--baseline", "v1.2.0", "--candidate", "v1.3.0")


class Backend:
    """Gives the next of ``answers`` to each question; the last one is repeated."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []
        self.url = ""

    def answer(self, path: str, token: str | None) -> tuple[int, bytes]:
        parts = urlparse(path)
        self.asked.append((parts.path, parse_qs(parts.query), token))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, bytes):
            return 200, answer
        status = 400 if "message" in answer else 200
        return status, orjson.dumps(answer)


@pytest.fixture
def backend() -> Iterator[Backend]:
    state = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = state.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Requests are in ``asked``."""

    with serving_by(Handler) as state.url:
        yield state


def gate(name: str) -> dict[str, Any]:
    return {"gate": name, "reason": f"why {name}", "summary": ["errors: as ever."], "from": 1_000}


def run(backend: Backend, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["gate", "--url", backend.url, *WHO, *arguments])


@pytest.mark.parametrize(
    ("name", "status"), [("pass", 0), ("fail", 1), ("inconclusive", 2), ("no_traffic", 3)]
)
def test_each_answer_has_a_status(backend: Backend, name: str, status: int) -> None:
    backend.answers = [gate(name)]
    result = run(backend)
    assert (result.exit_code, result.output) == (status, f"{name}: why {name}\n  errors: as ever.\n")


def test_options_are_parameters_of_the_route(backend: Backend, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    backend.answers = [gate("pass")]
    options = (
        "--tenant-id",
        "a",
        "--tenant-id",
        "b",
        "--above",
        "0.25",
        "--level",
        "0.01",
        "--from",
        "now-2h",
    )
    assert run(backend, *options, "--token-file", str(token)).exit_code == 0
    assert backend.asked == [
        (
            "/api/v1/gate",
            {
                "model-name": ["digit-reader"], "baseline": ["v1.2.0"], "candidate": ["v1.3.0"],
                "tenant-id": ["a", "b"], "above": ["0.25"], "level": ["0.01"], "from": ["now-2h"],
            },
            "Bearer secret",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"message": "model-name is required", "error": "x"}, "Error: model-name is required"),
        ({"status": "ok"}, "not as a gate does: check --url"),
        (b"<html>", "answered 200, and not as the backend does: check --url"),
    ],
)
def test_what_is_no_gate_has_a_status_of_its_own(backend: Backend, answer: Any, text: str) -> None:
    backend.answers = [answer]
    result = run(backend)
    assert (result.exit_code, text in result.output) == (4, True)


def test_bad_options_and_a_silent_backend_are_not_inconclusive(backend: Backend) -> None:
    assert CliRunner().invoke(cli, ["gate"]).exit_code == 4
    result = run(backend, "--wait", "soon")
    assert (result.exit_code, "allowed: a number with s, m or h" in result.output) == (4, True)
    elsewhere = CliRunner().invoke(cli, ["gate", "--url", "http://me:secret@backend", *WHO])
    assert (elsewhere.exit_code, "must not hold a login" in elsewhere.output) == (4, True)
    silent = CliRunner().invoke(cli, ["gate", "--url", "http://127.0.0.1:9", *WHO])
    assert (silent.exit_code, "is the backend running there?" in silent.output) == (4, True)


class Clock:
    """Time passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, backend: Backend, seconds: float) -> tuple[dict[str, Any], list[str]]:
        told: list[str] = []
        answer = GateClient(BackendClient(backend.url, ""), {}).wait(
            "now-1h", seconds, 15, lambda body: told.append(body["gate"]), self.sleep, lambda: self.now
        )
        return answer, told


def test_waiting_ends_with_a_decision_and_keeps_the_start(backend: Backend) -> None:
    undecided = [gate("no_traffic"), {"message": "busy"}, gate("inconclusive")]
    backend.answers = [*undecided, gate("pass"), gate("fail")]
    clock = Clock()
    answer, told = clock.wait(backend, 600)
    assert (answer["gate"], told, clock.now) == ("pass", ["no_traffic", "inconclusive"], 45)
    assert [query["from"] for _, query, _ in backend.asked] == [["now-1h"], ["1000"], ["1000"], ["1000"]]


def test_waiting_ends_when_its_time_is_over(backend: Backend) -> None:
    backend.answers = [gate("inconclusive")]
    clock = Clock()
    assert clock.wait(backend, 40)[0]["gate"] == "inconclusive"
    assert (clock.now, len(backend.asked)) == (30, 3)
    backend.answers = [{"message": "busy"}]
    with pytest.raises(BackendError, match="busy"):
        clock.wait(backend, 40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "text"),
    [("pass", 0, "promote v1.3.0"), ("fail", 1, "roll v1.3.0 back"), ("inconclusive", 2, "not decided")],
)
def test_the_step_of_a_pipeline_ends_as_the_gate_does(
    backend: Backend, tmp_path: Path, name: str, status: int, text: str
) -> None:
    backend.answers = [gate(name)]
    command = tmp_path / "modelplane"
    main = "from modelplane_provisioning.entry import main; main()"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{main}' \"$@\"\n")
    command.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "MODELPLANE_URL": backend.url,
        "MODELPLANE_WAIT": "0s",
    }  # fmt: skip
    arguments = ["sh", str(STEP), "digit-reader", "v1.2.0", "v1.3.0"]
    result = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, text in result.stdout) == (status, True), result.stderr
