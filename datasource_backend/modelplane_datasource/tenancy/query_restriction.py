"""Keep the backend's own queries within what the caller may see, whichever route makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.tenancy.promql_rewriter import restricted
from modelplane_datasource.tenancy.promql_text import RefusedError
from modelplane_schema import metrics, recorded
from modelplane_schema.metrics import TENANT_ID

# Selects nothing, as no series has two values of one label: a store that finds something ignores selectors.
NOTHING = f'{{{TENANT_ID}="a",{TENANT_ID}="b"}}'
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
    ``is_limited`` says whether anything is hidden from the caller, ``admits`` whether labels of series in an
    answer name no tenant that is.
    """

    query: Callable[[str], str]
    selector: Callable[[str], str]
    is_limited: Callable[[], bool]
    admits: Callable[[Iterable[Mapping[str, str]]], bool]


def _restrict(promql: str, unowned: frozenset[str]) -> str:
    """``promql`` over the caller's own series and the metrics ``unowned``; ApiError 403."""
    tenants = current_tenants()
    if tenants is None:
        return promql
    try:
        return restricted(promql, tenants, unowned)
    except (RefusedError, ValueError) as error:
        raise ApiError(403, "forbidden", f"This token may not see that: {error}.") from error


def _admits(labels: Iterable[Mapping[str, str]]) -> bool:
    tenants = current_tenants()
    return tenants is None or all(
        TENANT_ID not in of_series or of_series[TENANT_ID] in tenants for of_series in labels
    )


TO_CALLER = Restriction(
    query=lambda promql: _restrict(promql, OF_MODELS),
    selector=lambda selector: _restrict(selector, frozenset()),
    is_limited=lambda: current_tenants() is not None,
    admits=_admits,
)
UNRESTRICTED = Restriction(
    query=lambda promql: promql,
    selector=lambda selector: selector,
    is_limited=lambda: False,
    admits=lambda _labels: True,
)
