"""JSON responses."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from flask import Response


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as strict JSON: a float that is not finite becomes null."""
    return Response(orjson.dumps(body), status, headers, mimetype="application/json")
