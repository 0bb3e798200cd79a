"""JSON responses."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from flask import Response

from modelplane_datasource.tenancy.notices import noted_for_caller


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as strict JSON: a float that is not finite becomes null.

    An object has in ``warnings`` what was noted while the request was answered and its caller may read.
    TypeError for one that brings warnings of its own, which nobody filtered.
    """
    if isinstance(body, Mapping):
        if "warnings" in body:
            raise TypeError("warnings of an answer must be noted")
        warnings = noted_for_caller()
        body = {**body, "warnings": warnings} if warnings else body
    return Response(orjson.dumps(body), status, headers, mimetype="application/json")
