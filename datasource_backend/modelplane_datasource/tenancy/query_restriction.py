"""Keep the backend's own queries within what the caller may see, whichever route makes them."""

from __future__ import annotations

from collections.abc import Collection

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.tenancy.promql_rewriter import RefusedError, scoped
from modelplane_schema import metrics, recorded

# What is known of a model and of no tenant. Routes use it only together with a tenant's own series.
OF_MODELS = frozenset(
    {
        metrics.BASELINE_RATIO.name,
        metrics.BASELINE_OBSERVATIONS.name,
        metrics.BASELINE_UPPER_BOUND.name,
        metrics.MODEL_INFO.name,
        recorded.MAX_IN_FLIGHT.name,
        recorded.PRODUCTION_VERSION.name,
    }
)


def restrict(promql: str, unowned: Collection[str]) -> str:
    """``promql`` over the caller's own series and the metrics ``unowned``; ApiError 403."""
    tenants = current_tenants()
    if tenants is None:
        return promql
    try:
        return scoped(promql, tenants, frozenset(unowned))
    except (RefusedError, ValueError) as error:
        raise ApiError(403, "forbidden", f"This token may not see that: {error}.") from error
