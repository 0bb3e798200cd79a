"""When the server's loop looks at a connection whose answer is being sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from waitress.adjustments import Adjustments

from modelplane_datasource.serving.waitress_server import Channel


@pytest.fixture
def channel() -> Iterator[Channel]:
    """A connection that has one byte to send."""
    ours, theirs = socket.socketpair()
    server = SimpleNamespace(active_channels={}, max_connections=1)
    with ours, theirs:
        made = Channel(server, ours, ("127.0.0.1", 1), Adjustments(), map={})
        made.outbufs[0].append(b"x")
        made.total_outbufs_len = 1
        yield made


@contextmanager
def sending(channel: Channel) -> Iterator[None]:
    """Another thread is in the middle of sending."""
    is_locked, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with channel.outbuf_lock:
            is_locked.set()
            may_end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_locked.wait()
    try:
        yield
    finally:
        may_end.set()
        thread.join()


def test_the_loop_does_not_spin_while_the_answering_thread_sends(channel: Channel) -> None:
    channel.requests.append(object())
    with sending(channel):
        assert not channel.writable()
    assert channel.writable()


def test_what_an_ended_request_left_is_sent_by_the_loop(channel: Channel) -> None:
    assert channel.writable()


def test_a_thread_that_waits_above_the_watermark_is_helped(channel: Channel) -> None:
    channel.requests.append(object())
    channel.total_outbufs_len = channel.adj.outbuf_high_watermark
    with sending(channel):
        assert channel.writable()


def test_nothing_to_send_is_not_writable(channel: Channel) -> None:
    channel.requests.append(object())
    channel.total_outbufs_len = 0
    assert not channel.writable()
