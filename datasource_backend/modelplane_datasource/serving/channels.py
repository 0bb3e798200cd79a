"""Connections of waitress: errors as JSON, refusals, and room for new ones."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from modelplane_datasource.web.refusals import REFUSED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SPARE_CONNECTIONS = 16  # waitress' own sockets, and those that are being closed
_IS_REFUSED = "modelplane_is_refused"


def refuse(request: Any) -> None:
    """Have the application answer a request of waitress without doing anything."""
    setattr(request, _IS_REFUSED, True)


class _Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """Tells the application which requests are to be refused."""

    def get_environment(self) -> WSGIEnvironment:
        """The environment of the request."""
        environ: WSGIEnvironment = super().get_environment()
        if getattr(self.request, _IS_REFUSED, False):
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
        if len(server.active_channels) > server.adj.connection_limit - SPARE_CONNECTIONS:
            _close_idlest(server.active_channels.values())


def _close_idlest(channels: Any) -> None:
    """Close the connection that is silent longest of those whose request is not being answered."""
    idle = (channel for channel in channels if not channel.requests and not channel.will_close)
    idlest = min(idle, key=lambda channel: channel.last_activity, default=None)
    if idlest is not None:
        idlest.will_close = True
        with suppress(OSError):  # its client may have closed it just now
            idlest.socket.shutdown(socket.SHUT_RDWR)
