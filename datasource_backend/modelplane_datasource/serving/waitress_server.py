"""Waitress with bulkheads: errors as JSON, refusals, and room for new connections."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from modelplane_datasource.serving.pools import BulkheadPools, is_refused
from modelplane_datasource.web.refusals import REFUSED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_ACCEPTED_AT_ONCE = 64
_SPARE_CONNECTIONS = 2 * _ACCEPTED_AT_ONCE  # waitress' own sockets, and those that are being closed


class _Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """Tells the application which requests are to be refused."""

    def get_environment(self) -> WSGIEnvironment:
        """The environment of the request."""
        environ: WSGIEnvironment = super().get_environment()
        if is_refused(self.request):
            environ[REFUSED] = True
        return environ


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """Answers a request that never reaches the application: broken, or much too large."""

    def execute(self) -> None:
        """Write the status and body of the error."""
        error = self.request.error
        body = {"message": f"{error.reason}: {error.body}.", "error": "bad_request", "details": {}}
        text = orjson.dumps(body)
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), ("Connection", "close")]
        self.set_close_on_finish()
        self.content_length = len(text)
        self.write(text)


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """One connection. One too many takes the place of that which is silent longest."""

    task_class = _Task
    error_task_class = _JsonErrorTask

    def __init__(self, server: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(server, *arguments, **options)
        if len(server.active_channels) > server.max_connections:
            _close_idlest(server.active_channels.values())

    def writable(self) -> bool:
        """Whether the server's loop has something to do here once the socket takes bytes.

        Not while the thread that answers is sending. Waitress' loop wakes then, finds the lock taken and
        wakes again at once, 40,000 times a second; it holds the interpreter meanwhile, and each answer waits
        5 ms for it (benchmarks/webhook.py: 150 deliveries a second, 980 without). That thread wakes the loop
        when it has answered, and waits for it only above the high watermark, with the lock free.
        """
        if self.requests and self.total_outbufs_len < self.adj.outbuf_high_watermark:
            if not self.outbuf_lock.acquire(blocking=False):
                return False
            self.outbuf_lock.release()
        return bool(super().writable())


class Server(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Serves an application on a socket that listens; ``run`` does until SystemExit."""

    channel_class = Channel

    def __init__(
        self,
        application: WSGIApplication,
        listener: socket.socket,
        pools: BulkheadPools,
        max_connections: int,
        **adjustments: object,
    ) -> None:
        """``adjustments`` are those of waitress."""
        self.max_connections = max_connections
        super().__init__(
            application,
            _sock=listener,
            dispatcher=pools,
            adj=Adjustments(connection_limit=max_connections + _SPARE_CONNECTIONS, **adjustments),
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def handle_accept(self) -> None:
        """Take the connections that wait. Waitress takes one each time it has looked at all it has, so that
        hundreds that come at once would keep others waiting for seconds."""
        for _ in range(_ACCEPTED_AT_ONCE):
            before = len(self._map)
            super().handle_accept()
            if len(self._map) == before:
                return


def _close_idlest(channels: Any) -> None:
    """Close the connection that is silent longest of those whose request is not being answered."""
    idle = (channel for channel in channels if not channel.requests and not channel.will_close)
    idlest = min(idle, key=lambda channel: channel.last_activity, default=None)
    if idlest is not None:
        idlest.will_close = True
        with suppress(OSError):  # its client may have closed it just now
            idlest.socket.shutdown(socket.SHUT_RDWR)
