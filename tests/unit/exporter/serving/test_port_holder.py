"""The port passes from a worker process that dies to another, with real processes that are really killed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from modelplane_exporter.serving.port_holder import PortHolder
from modelplane_provisioning.processes import free_port, wait_until


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def children() -> Iterator[list[int]]:
    pids: list[int] = []
    yield pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # a grandchild is not ours to wait for
            os.waitpid(pid, 0)


def holder(port: int, interval_seconds: float = 0.2) -> PortHolder:
    return PortHolder(lambda: HTTPServer(("127.0.0.1", port), _Answer), interval_seconds)


def is_serving(holder: PortHolder) -> bool:
    """Whether this process has the port."""
    return holder._server is not None


def forked(function: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        function()
        signal.pause()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(1)


def answering(port: int) -> int | None:
    """The process that answers at the port."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return int(connection.getresponse().read())
    except OSError:
        return None
    finally:
        connection.close()


def wait_for(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, interval=0.02)


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.slow
def test_when_the_holder_is_killed_another_answers(port: int, children: list[int]) -> None:
    children += [forked(lambda: holder(port, 2.0)) for _ in range(3)]
    wait_for(lambda: answering(port) is not None)
    for left in (2, 1):
        dead = answering(port)
        assert dead in children
        kill(dead)
        children.remove(dead)
        wait_for(lambda: answering(port) in children)
        assert len(children) == left


@pytest.mark.slow
def test_a_forked_child_frees_the_port_of_its_dead_parent_and_takes_over(
    port: int, children: list[int]
) -> None:
    from_child, to_parent = os.pipe()

    def parent() -> None:
        held = holder(port)
        wait_for(lambda: is_serving(held))
        grandchild = forked(lambda: None)
        os.write(to_parent, grandchild.to_bytes(4, "little"))

    children.append(forked(parent))
    grandchild = int.from_bytes(os.read(from_child, 4), "little")
    os.close(from_child)
    os.close(to_parent)
    assert answering(port) == children[0]
    kill(children.pop())
    children.append(grandchild)
    wait_for(lambda: answering(port) == grandchild)


@pytest.mark.slow
def test_a_forked_child_that_holds_nothing_leaves_its_parent_serving(port: int, children: list[int]) -> None:
    held = holder(port)
    wait_for(lambda: is_serving(held))
    children.append(forked(lambda: None))
    time.sleep(0.5)
    assert {answering(port) for _ in range(5)} == {os.getpid()}
    held.stop()
    wait_for(lambda: answering(port) == children[0])


@pytest.mark.slow
def test_a_child_of_a_stopped_holder_does_not_start(port: int, children: list[int]) -> None:
    held = holder(port)
    wait_for(lambda: is_serving(held))
    held.stop()
    children.append(forked(lambda: None))
    time.sleep(0.5)
    assert answering(port) is None


def test_stop_frees_the_port_and_may_be_called_again(port: int) -> None:
    for _ in range(5):  # also before it serves
        held = holder(port)
        held.stop()
        held.stop()
        assert not is_serving(held)
        assert answering(port) is None
    held = holder(port)
    wait_for(lambda: answering(port) == os.getpid())
    held.stop()
    assert answering(port) is None


def test_stop_ends_the_waiting_for_a_port(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        held = holder(port, 60.0)
        held.stop()
    assert "modelplane-port" not in {thread.name for thread in threading.enumerate()}
    assert not is_serving(held)


def test_a_taken_port_is_one_debug_line(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), socket.create_server(("127.0.0.1", port)):
        held = holder(port, 0.01)
        wait_for(lambda: bool(caplog.records))
        time.sleep(0.1)
        held.stop()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "another process serves the metrics; this one waits for the port")
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EACCES, "Permission denied"), "[Errno 13] Permission denied"),
        (ValueError("a bad certificate"), "a bad certificate"),
    ],
)
def test_another_failure_is_logged_once_and_tried_again(
    port: int, caplog: pytest.LogCaptureFixture, error: Exception, text: str
) -> None:
    attempts: list[int] = []

    def create() -> HTTPServer:
        attempts.append(1)
        if len(attempts) < 4:
            raise error
        return HTTPServer(("127.0.0.1", port), _Answer)

    held = PortHolder(create, 0.01)
    wait_for(lambda: answering(port) == os.getpid())
    held.stop()
    assert [record.getMessage() for record in caplog.records] == [
        f"this process does not serve the metrics and goes on trying: {text}"
    ]


def test_a_server_that_fails_while_it_serves_is_replaced(port: int, caplog: pytest.LogCaptureFixture) -> None:
    served: list[int] = []

    class Failing(HTTPServer):
        def service_actions(self) -> None:
            served.append(1)
            if len(served) == 1:
                raise OSError(errno.EMFILE, "Too many open files")

    held = PortHolder(lambda: Failing(("127.0.0.1", port), _Answer), 0.01)
    wait_for(lambda: answering(port) == os.getpid() and len(served) > 1)
    held.stop()
    assert len(caplog.records) == 1


def test_a_process_that_cannot_start_a_thread_goes_on(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        held = holder(port)
    held.stop()
    assert not is_serving(held)
    assert len(caplog.records) == 1
