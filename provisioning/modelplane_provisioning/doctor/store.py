"""The store of samples: Prometheus, or another that answers its queries."""

from __future__ import annotations

from modelplane_provisioning.clients.plane_errors import NoRouteError
from modelplane_provisioning.doctor.finding import Finding
from modelplane_provisioning.doctor.parts import Parts, required

STORE_ANSWERS = "Prometheus answers queries"


def check_store(parts: Parts) -> Finding:
    """A query is answered. Where the rest of Prometheus' API is missing, that is said where it is needed."""
    required(parts.prometheus, "/api/v1/query", {"query": "vector(1)"})
    try:
        version = parts.prometheus.get("/api/v1/status/buildinfo")["data"].get("version")
    except NoRouteError:
        version = None
    if not version:
        return Finding(STORE_ANSWERS, "a store that does not say its version")
    return Finding(STORE_ANSWERS, f"it says that it is {version}")
