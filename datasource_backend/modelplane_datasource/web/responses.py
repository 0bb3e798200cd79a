"""JSON responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response

from modelplane_datasource.observability.query_warnings import noted


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as strict JSON: a float that is not finite becomes null.

    An object says in ``warnings`` what Prometheus warned of while the request was answered.
    """
    told = _with_warnings(body) if isinstance(body, Mapping) else body
    return Response(orjson.dumps(told), status, headers, mimetype="application/json")


def _with_warnings(body: Mapping[str, Any]) -> Mapping[str, Any]:
    warnings = list(dict.fromkeys((*body.get("warnings", ()), *noted())))
    return {**body, "warnings": warnings} if warnings else body
