"""The process's one metrics server."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, start_http_server

from modelplane_exporter.complaints import logger

ADDRESS_VARIABLE = "MODELPLANE_EXPORTER_ADDRESS"
PORT_VARIABLE = "MODELPLANE_EXPORTER_PORT"
DEFAULT_ADDRESS = "0.0.0.0"  # noqa: S104 - a pull exporter must be reachable from Prometheus
DEFAULT_PORT = 8000
OFF = "off"

_lock = threading.Lock()
_attempted = False


def configured_port(port: int | str | None, environ: Mapping[str, str] = os.environ) -> int | None:
    """The port from argument, environment or default; None for ``off``. ValueError names the field."""
    source, value = ("port", port) if port is not None else (PORT_VARIABLE, environ.get(PORT_VARIABLE))
    if value is None:
        return DEFAULT_PORT
    if str(value).strip().lower() == OFF:
        return None
    if isinstance(value, bool) or not str(value).strip().isdecimal() or int(value) > 65535:
        raise ValueError(f"{source} must be a port from 0 to 65535 or {OFF!r} (got {value!r})")
    return int(value)


def ensure_started(registry: CollectorRegistry, address: str | None, port: int | None) -> None:
    """Serve ``registry`` unless this process already tried; a port that cannot be had is logged, once."""
    global _attempted
    if port is None:
        return
    bind = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    with _lock:
        if _attempted:
            return
        _attempted = True
        try:
            server, _ = start_http_server(port, bind, registry)
        except OSError as error:
            logger.error(
                "metrics are not served: cannot listen on %s:%d (%s); the model goes on. "
                "Set %s to a free port, or to 'off' to mount /metrics yourself.",
                bind, port, error.strerror or error, PORT_VARIABLE,
            )  # fmt: skip
            return
        logger.info("metrics are served at http://%s:%d/metrics", bind, server.server_port)
