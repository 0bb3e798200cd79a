"""Flask backend: {x, y} series, Grafana JSON datasource, alert store."""

from __future__ import annotations

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.server import ServerError, serve
from modelplane_datasource.settings import ConfigurationError, Settings
from modelplane_datasource.tenancy.tokens import hash_token

__all__ = ["ConfigurationError", "ServerError", "Settings", "close_app", "create_app", "hash_token", "serve"]
