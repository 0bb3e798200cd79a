"""Start, watch and stop child processes with their output in log files."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from modelplane_schema.errors import UserError

# The limit of a wait for an event: meant for a very busy machine, since an event ends its wait at once.
PATIENCE_SECONDS = 180

# What we start listens on this machine: a proxy from the environment must not be asked for it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ProcessError(UserError, RuntimeError):
    """A child process could not be started or did not become ready; the message ends with its log."""


def free_port() -> int:
    """A TCP port on loopback for a server of ours; until this process ends nobody else is given it.

    A socket stays bound to it, so Linux gives the port to no connection and to nobody who asks for any port.
    A server that names the port and sets SO_REUSEADDR, as servers do, listens on it, also after a restart.
    """
    holder = socket.socket()
    atexit.register(holder.close)
    holder.bind(("127.0.0.1", 0))
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return int(holder.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could bind ``port`` on all addresses now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - a server on any address would conflict
        except OSError:
            return False
    return True


def answers(url: str, timeout: float = 2) -> bool:
    """Whether a GET of ``url`` gives a status below 400."""
    try:
        with _DIRECT.open(url, timeout=timeout) as response:
            return bool(response.status < 400)
    except (urllib.error.URLError, OSError):
        return False


def wait_until(
    condition: Callable[[], bool], timeout: float = PATIENCE_SECONDS, interval: float = 0.1
) -> bool:
    """Poll ``condition`` until it holds; False when ``timeout`` seconds passed first."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True


class Process:
    """One child in its own process group.

    ``ready_url`` answers below 400 once it can be used, at the latest ``patience`` seconds after its start.

    In a ``with`` statement the child is ready; it is stopped at the end, and when it does not become ready.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        ready_url: str | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.env = dict(env or {})
        self.ready_url = ready_url
        self.patience = patience
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the child; its output is appended to the log. ProcessError when it cannot be executed."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            try:
                self._child = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.env},
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"{self.name}: cannot run {self.argv[0]}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """Process id of the started child."""
        return self._started().pid

    @property
    def alive(self) -> bool:
        """Whether the child was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status, or None while the child runs."""
        return self._started().poll()

    def wait_ready(self, timeout: float | None = None) -> None:
        """Block until ``ready_url`` answers; ProcessError when the child ends or ``timeout`` passes.

        The default is the patience for this child.
        """
        url, timeout = self.ready_url, self.patience if timeout is None else timeout
        if url is None:
            return
        wait_until(lambda: not self.alive or answers(url), timeout)
        if not self.alive:
            raise ProcessError(f"{self.name} ended with status {self.returncode}. {self.log_excerpt()}")
        if not answers(url):
            raise ProcessError(f"{self.name}: no answer at {url} within {timeout:g} s. {self.log_excerpt()}")

    def stop(self, timeout: float = 10) -> None:
        """End the child's process group: SIGTERM, then SIGKILL after ``timeout`` seconds."""
        if self._child is None:
            return
        self._signal_group(signal.SIGTERM)
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the child's process group at once with SIGKILL."""
        self._signal_group(signal.SIGKILL)
        self._started().wait()

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the log, or an empty string when there is none."""
        if not self.log.exists():
            return ""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def log_excerpt(self) -> str:
        """A sentence that says where the log is and shows how it ends."""
        return f"Its log, {self.log}, ends with:\n{self.log_tail()}"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise ProcessError(f"{self.name} was not started")
        return self._child

    def _signal_group(self, number: signal.Signals) -> None:
        child = self._started()
        if child.poll() is None:
            os.killpg(child.pid, number)
