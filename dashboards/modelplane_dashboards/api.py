"""Addresses of backend routes, with the board's time range and Grafana's variables in them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote


def api_url(path: str, parameters: Mapping[str, str]) -> str:
    """``path`` with ``parameters``, whose values are already encoded, and the board's time range."""
    pairs = {**parameters, "from": "${__from}", "to": "${__to}"}
    return f"{path}?{'&'.join(f'{name}={value}' for name, value in pairs.items())}"


def literal(value: str) -> str:
    """``value`` percent-encoded; the result holds none of the characters that start a Grafana variable."""
    return quote(value, safe="")
