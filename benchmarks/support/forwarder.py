"""The least that a backend can cost: Flask behind waitress, which sends queries on and reads no answer.

Takes ``[[path, form], ...]`` as JSON, and answers with the bodies of all, as they came, one after the other.
Example: python -m support.forwarder 9090 8000 forwards from port 8000 to a Prometheus on 9090.
"""

from __future__ import annotations

import sys

import orjson
from flask import Flask, Response, request
from waitress import serve

from modelplane_datasource.prometheus.transport import Transport

_MAX_BYTES, _THREADS, _SECONDS = 2**30, 8, 60.0


def forwarder(port: int) -> Flask:
    """The application in front of a Prometheus on a ``port`` of loopback."""
    app = Flask(__name__)
    transport = Transport(f"http://127.0.0.1:{port}", {}, _MAX_BYTES, _THREADS)

    @app.post("/")
    def forward() -> Response:
        bodies = [
            transport.request(path, form, _SECONDS)[1] for path, form in orjson.loads(request.get_data())
        ]
        return Response(b"".join(bodies), mimetype="application/json")

    @app.get("/readyz")
    def ready() -> str:
        return "ready"

    return app


if __name__ == "__main__":
    upstream, own = map(int, sys.argv[1:])
    serve(
        forwarder(upstream), host="127.0.0.1", port=own, threads=_THREADS, asyncore_use_poll=True, _quiet=True
    )
