"""JSON responses."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from flask import Response

from modelplane_datasource.observability.query_warnings import noted


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as strict JSON: a float that is not finite becomes null.

    An object says in ``warnings`` what Prometheus warned of while the request was answered.
    """
    warnings = noted()
    if warnings and isinstance(body, Mapping):
        body = {**body, "warnings": warnings}
    return Response(orjson.dumps(body), status, headers, mimetype="application/json")
