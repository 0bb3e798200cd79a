"""Keys of an alert, and of a tenant and model: digests of what identifies them."""

from __future__ import annotations

import hashlib

from modelplane_datasource.alerts.episodes import canonical

_KEY_DIGITS, _GROUP_DIGITS = 32, 16


def digest(*parts: str) -> str:
    """Hex SHA-256 of a list of texts."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def alert_key(source: str, tenant_id: str, fingerprint: str) -> str:
    """The key of all rows about one alert."""
    return digest(source, tenant_id, fingerprint)[:_KEY_DIGITS]


def group_key(tenant_id: str, model_name: str) -> str:
    """The key of a tenant and model, whose episodes make incidents."""
    return digest(tenant_id, model_name)[:_GROUP_DIGITS]
