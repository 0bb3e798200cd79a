"""Keep the backend's own queries within what the caller may see, whichever route makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.tenancy.promql_rewriter import RefusedError, restricted
from modelplane_schema import metrics, recorded

# Metrics of a model and of no tenant. Routes use it only together with a tenant's own series.
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


class Restriction(NamedTuple):
    """Turns PromQL into PromQL that finds nothing but what the caller may see; ApiError 403.

    A ``query`` also finds the metrics of models that belong to no tenant, a ``selector`` does not.
    """

    query: Callable[[str], str]
    selector: Callable[[str], str]


def _restrict(promql: str, unowned: frozenset[str]) -> str:
    """``promql`` over the caller's own series and the metrics ``unowned``; ApiError 403."""
    tenants = current_tenants()
    if tenants is None:
        return promql
    try:
        return restricted(promql, tenants, unowned)
    except (RefusedError, ValueError) as error:
        raise ApiError(403, "forbidden", f"This token may not see that: {error}.") from error


TO_CALLER = Restriction(
    query=lambda promql: _restrict(promql, OF_MODELS),
    selector=lambda selector: _restrict(selector, frozenset()),
)
UNRESTRICTED = Restriction(query=lambda promql: promql, selector=lambda selector: selector)
