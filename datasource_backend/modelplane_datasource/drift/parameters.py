"""Parameters of drift, and how they select series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelplane_datasource.series.selection import MODEL, VERSION, Selection
from modelplane_datasource.tenancy.caller import TENANT_PARAMETER, current_tenants, permitted_tenants
from modelplane_datasource.timeline.times import DURATION_PATTERN
from modelplane_datasource.web import identity_parameters
from modelplane_datasource.web.parameters import (
    MAX_LABEL,
    Parameter,
    TenantParameter,
    choice,
    label_text,
    parser,
    whole_number,
)
from modelplane_datasource.web.time_parameters import window_duration
from modelplane_schema.metrics import ALL_TENANTS, SIGNAL_KINDS, TENANT_ID
from modelplane_schema.promql import Matcher, one_of
from modelplane_schema.recorded import DEFAULT_MIN_OBSERVATIONS

METHODS = ("psi", "js_distance", "ks", "mean_shift", "mean_shift_z", "variance_ratio", "missing_shift")
CONFIDENCE_KIND = "confidence"
OF_CONFIDENCE = ("psi", "js_distance", "ks")  # it has neither deviations nor missing values


@dataclass(frozen=True, slots=True)
class Reference:
    """What live data is compared with: the training baseline, the time before, or another version.

    ``previous`` is the length in milliseconds of the time that ends where the live window starts.
    """

    previous: int | None = None
    version: str | None = None


@parser(
    {
        "type": "string",
        "pattern": rf"^(baseline|previous:{DURATION_PATTERN}|version:[\s\S]{{1,{MAX_LABEL}}})$",
        "examples": ["baseline", "previous:7d", "version:v1.2.0"],
    }
)
def reference(text: str) -> Reference:
    """``baseline``, ``previous:7d`` or ``version:v1.2.0``; ValueError."""
    kind, _, value = text.partition(":")
    if kind == "previous":
        return Reference(previous=window_duration(value))
    if kind == "version" and value:
        return Reference(version=label_text(value))
    if text != "baseline":
        raise ValueError(text)
    return Reference()


METHOD = Parameter(
    "method", "How drift is measured.", ", ".join(METHODS), choice(*METHODS), default="psi"
)  # fmt: skip
KIND = Parameter(
    "kind", "Kind of the signals; every kind of the baseline when it is left out.",
    ", ".join((*SIGNAL_KINDS, CONFIDENCE_KIND)), choice(*SIGNAL_KINDS, CONFIDENCE_KIND), repeated=True,
)  # fmt: skip
SIGNAL = Parameter(
    "signal", "Signal by its name; every one when it is left out.", "the name of a signal, repeatable",
    label_text, repeated=True,
)  # fmt: skip
REFERENCE = Parameter(
    "reference", "What live data is compared with.",
    "baseline, previous:7d (the 7 days before the live window) or version:v1.2.0", reference,
    default="baseline",
)  # fmt: skip
WINDOW = Parameter(
    "window", "Length of the live window that ends at each point.",
    "a duration from 1s to 366d, such as 6h", window_duration, default="1h",
)  # fmt: skip
MIN_OBSERVATIONS = Parameter(
    "min-observations", "Fewer observations than this in a window give no value.",
    "a whole number from 1 to 1000000000", whole_number(1, 10**9),
    default=str(DEFAULT_MIN_OBSERVATIONS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SignalTenantParameter(TenantParameter):
    """Tenants of signals, by id; whoever reads signals of all tenants together checks who may see them."""

    def permitted(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """The tenants that are ``given``; when none is, all of the caller's, and all of them together.

        ApiError 403 for somebody else's.
        """
        others = permitted_tenants(tuple(tenant for tenant in given if tenant != ALL_TENANTS))
        if given or current_tenants() is None:
            return given
        return (*others, ALL_TENANTS)


# Signals are counted for all tenants together unless the model's team wants each.
TENANT = SignalTenantParameter(
    TENANT_PARAMETER,
    f"Tenant, by its id in the registry; {ALL_TENANTS} is all of them together. Without it a token that is "
    "limited to tenants gets theirs, and those of all together that the registry lets them see.",
    identity_parameters.TENANT.allowed,
    label_text,
    repeated=True,
    default=ALL_TENANTS,
)
DRIFT_SELECTION: tuple[Parameter[str], ...] = (MODEL, TENANT, VERSION)
DRIFT_OPTIONS: tuple[Parameter[Any], ...] = (METHOD, KIND, SIGNAL, REFERENCE, WINDOW, MIN_OBSERVATIONS)


def signal_matchers(selection: Selection) -> tuple[Matcher, ...]:
    """Matchers of the selection and of its kinds and signals."""
    labels = (("kind", selection.options[KIND.name]), ("signal", selection.options[SIGNAL.name]))
    return (*selection.matchers, *(one_of(label, values) for label, values in labels if values))


def without_tenant(matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    """Matchers of a baseline, which belongs to a version and no tenant."""
    return tuple(matcher for matcher in matchers if matcher.label != TENANT_ID)
