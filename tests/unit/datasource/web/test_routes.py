"""Routes are matched; their URLs are not built from names."""

from __future__ import annotations

from typing import Any

import pytest
from flask import url_for
from flask.testing import FlaskClient


def test_no_builder_is_compiled_for_a_route(client: FlaskClient) -> None:
    """Should werkzeug name its compiler otherwise, applications are slow to make again."""
    with client.application.test_request_context():
        for rule in client.application.url_map.iter_rules():
            values: dict[str, Any] = dict.fromkeys(rule.arguments, "x")
            with pytest.raises(NotImplementedError, match="is not built from its name"):
                url_for(rule.endpoint, **values)
