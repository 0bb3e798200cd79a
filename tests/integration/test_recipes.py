"""Every recipe of docs/recipes.md runs as it stands there, and ``/metrics`` has the lines promised."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import requests

from exporter_support.recipes import PAGE, Command, Recipe, Request, recipes
from modelplane_exporter.settings import WORKERS_DIR
from modelplane_exporter.workers.publisher import PUBLISH_SECONDS
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

pytestmark = pytest.mark.slow
RECIPES = recipes()
NOTEBOOK = "A notebook"
SESSIONS = [
    pytest.param(recipe, session, id=f"{recipe.title} {number}")
    for recipe in RECIPES
    for number, session in enumerate(recipe.sessions, 1)
]
APPLICATION_PORT, METRICS_PORT = "8080", "8000"
# The program that runs cells: all in their order, and then all again.
RUN_CELLS_TWICE = """
import pathlib
cells = pathlib.Path("notebook.py").read_text(encoding="utf-8").split("# %%\\n")
namespace = {"__name__": "__main__"}
for cell in cells * 2:
    print("# cell")
    exec(cell, namespace)
"""
# Celery warns of the user root, as which tests may run; nothing else may warn.
WARNINGS = ("-W", "error", "-W", "ignore:You're running the worker with superuser privileges")
# Listening sockets that gunicorn and uvicorn leave open at their end.
OF_SERVERS = re.compile(r"ResourceWarning: unclosed <socket\.socket .*laddr=\('127\.0\.0\.1', \d+\)>$")


class Session:
    """One shell on ports and in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {APPLICATION_PORT: str(free_port()), METRICS_PORT: str(free_port())}
        self._environment = {
            "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
            "MODELPLANE_EXPORTER_PORT": self._ports[METRICS_PORT],
        }
        self.processes = ExitStack()
        self.log = folder / "log"

    def run(self, command: Command) -> None:
        environment = dict(command.environment)
        if WORKERS_DIR.name in environment:
            environment[WORKERS_DIR.name] = str(self._folder / "workers")
        if not command.words:
            self._environment.update(environment)
        elif command.words[0] == "curl":
            self._send(Request.parse(tuple(map(self._on_free_port, command.words))))
        elif command.is_background:
            self._start(command.words, environment)
        else:
            self._finish(command.words, environment)

    def metrics(self) -> list[str]:
        answer = requests.get(self._metrics_url, timeout=PATIENCE_SECONDS)
        answer.raise_for_status()
        return answer.text.splitlines()

    @property
    def _metrics_url(self) -> str:
        return f"http://localhost:{self._ports[METRICS_PORT]}/metrics"

    def _on_free_port(self, word: str) -> str:
        for port, free in self._ports.items():
            word = free if word == port else word.replace(f"localhost:{port}", f"localhost:{free}")
        return word

    def _argv(self, words: tuple[str, ...]) -> list[str]:
        program, *arguments = map(self._on_free_port, words)
        module = [] if program == "python" else ["-m", program]
        return [sys.executable, *WARNINGS, *module, *arguments]

    def _start(self, words: tuple[str, ...], environment: dict[str, str]) -> None:
        environment = {**self._environment, **environment}
        argv = ["env", f"--chdir={self._folder}", *self._argv(words)]
        process = Process(words[0], argv, self.log, environment, self._metrics_url)
        self.processes.enter_context(process)
        self.processes.callback(end, process)

    def _finish(self, words: tuple[str, ...], environment: dict[str, str]) -> None:
        finished = subprocess.run(
            self._argv(words), env={**os.environ, **self._environment, **environment}, cwd=self._folder,
            capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stderr
        assert finished.stderr == ""

    def _send(self, request: Request) -> None:
        method = "GET" if request.body is None else "POST"
        for url in request.urls:
            send = partial(self._is_answered, method, url, request)
            assert wait_until(send), self.log.read_text(encoding="utf-8")

    def _is_answered(self, method: str, url: str, request: Request) -> bool:
        """Send a request; False while the server is not there yet. A status of 500 or above is a failure."""
        try:
            answer = requests.request(
                method, url, headers=request.headers, data=request.body, timeout=PATIENCE_SECONDS
            )
        except requests.ConnectionError:
            return False
        assert answer.status_code < 500, answer.text + self.log.read_text(encoding="utf-8")
        return True


def test_every_recipe_is_complete() -> None:
    assert len(RECIPES) == PAGE.count("\n## ") == 7
    for recipe in RECIPES:
        assert recipe.files
        assert recipe.lines
        assert recipe.sessions or recipe.title == NOTEBOOK
        assert all(line.startswith("model_") for line in recipe.lines), recipe.title
    assert sum(len(recipe.files) for recipe in RECIPES) == PAGE.count("```python")


@pytest.mark.parametrize(("recipe", "commands"), SESSIONS)
def test_a_recipe_shows_the_lines_that_it_promises(
    recipe: Recipe, commands: tuple[Command, ...], tmp_path: Path
) -> None:
    write(recipe, tmp_path)
    session = Session(tmp_path)
    with session.processes:
        for command in commands:
            session.run(command)
        wait_until(lambda: recipe.lines <= set(session.metrics()))
        time.sleep(PUBLISH_SECONDS + 0.5)  # what would be counted too often shows, too
        assert other_values(recipe.lines, session.metrics()) == {}, session.log.read_text(encoding="utf-8")
    log = session.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    warned = [line for line in log.splitlines() if "Warning: " in line]
    assert [line for line in warned if not OF_SERVERS.match(line)] == []


def test_the_cells_of_a_notebook_run_twice(tmp_path: Path) -> None:
    (notebook,) = (recipe for recipe in RECIPES if recipe.title == NOTEBOOK)
    write(notebook, tmp_path)
    finished = subprocess.run(
        [sys.executable, *WARNINGS, "-c", RUN_CELLS_TWICE],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert other_values(notebook.lines, finished.stdout.rpartition("# cell\n")[2].splitlines()) == {}


def other_values(promised: Iterable[str], exposed: Iterable[str]) -> dict[str, str | None]:
    """What is exposed in place of lines that were promised: a value, or None where the series is absent."""
    values = {series: value for series, _, value in (line.rpartition(" ") for line in exposed)}
    pairs = [(series, value) for series, _, value in (line.rpartition(" ") for line in promised)]
    return {series: values.get(series) for series, value in pairs if values.get(series) != value}


def end(process: Process) -> None:
    """End a service as ``kill`` does; none of its workers stays behind."""
    if process.alive:
        os.kill(process.pid, signal.SIGTERM)
    assert wait_until(lambda: not process.alive), process.log_excerpt()
    if not wait_until(lambda: not signal_group(process.pid, 0)):
        signal_group(process.pid, signal.SIGKILL)
        pytest.fail(f"{process.name} left workers behind. {process.log_excerpt()}")


def signal_group(pid: int, number: int) -> bool:
    """Send a signal to all processes of a group; False when there are none."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    return True


def write(recipe: Recipe, folder: Path) -> None:
    for name, text in recipe.files.items():
        (folder / name).write_text(text, encoding="utf-8")
