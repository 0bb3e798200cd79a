"""What a request says, apart from its parameters' meaning."""

from __future__ import annotations

from flask import request

from modelplane_datasource.web.parameters import Values


def query_values() -> Values:
    """The parameters of the query string, each with all its values."""
    return request.args.to_dict(flat=False)
