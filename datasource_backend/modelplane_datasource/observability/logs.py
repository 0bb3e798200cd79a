"""One log line for each event and each request, for people or for programs.

A line never holds a query string, a header or a body: tokens and payloads stay out of the log.
"""

from __future__ import annotations

import logging
import re
import sys
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

from modelplane_datasource.observability.telemetry import CompletedRequest

_LOG = logging.getLogger(__name__)
_REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PROBES = ("/healthz", "/readyz", "/metrics")


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(suffix)s")

    def format(self, record: logging.LogRecord) -> str:
        record.suffix = f" [{_REQUEST_ID.get()}]" if _REQUEST_ID.get() else ""
        return super().format(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if _REQUEST_ID.get():
            line["request_id"] = _REQUEST_ID.get()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure_logs(log_format: str) -> None:
    """Write the log of this process to stderr, as ``text`` or as ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def name_request(proposed: str) -> str:
    """The id of the request that begins: the ``proposed`` one if it is well-formed, else a new one."""
    request_id = proposed if _ACCEPTED_ID.fullmatch(proposed) else uuid.uuid4().hex
    _REQUEST_ID.set(request_id)
    return request_id


def log_request(request: CompletedRequest) -> None:
    """Log one request with its status, duration and caller."""
    level = logging.DEBUG if request.path in _PROBES else logging.INFO
    if not _LOG.isEnabledFor(level):
        return
    fields = {
        "method": request.method,
        "path": request.path,
        "status": int(request.status),
        "milliseconds": round(request.seconds * 1000, 1),
        "caller": request.caller,
    }
    text = "{method} {path} {status} in {milliseconds} ms for {caller}".format(**fields)
    _LOG.log(level, "%s", text.encode("ascii", "backslashreplace").decode(), extra={"fields": fields})
