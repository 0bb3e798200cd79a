"""``/runbooks``: what to do about each alert, as a web page."""

from __future__ import annotations

from importlib.resources import files

from flask import Blueprint, Response

from modelplane_datasource.context import AppContext
from modelplane_datasource.web.openapi import Content, Operation, described
from modelplane_datasource.web.schemas import TEXT

# Made of docs/runbooks.md, whose words are the same for everybody.
PAGE = files("modelplane_datasource.api") / "runbooks.html"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def runbooks_blueprint(_context: AppContext) -> Blueprint:
    """The page, for everyone: an alert links to it, and whoever opens it in a browser has no token there."""
    routes = Blueprint("runbooks", __name__)
    page = PAGE.read_bytes()

    @routes.get("/runbooks")
    @described(Operation("Runbooks of all alerts.", {200: Content("A page.", {"text/html": TEXT})}))
    def runbooks() -> Response:
        return Response(page, mimetype="text/html", headers={"Content-Security-Policy": _POLICY})

    return routes
