"""What ``alerts:`` of the registry, or ``--config``, may set of the mixin of rules and alerts.

``config.libsonnet`` of the mixin has the defaults and says what each means. Needs pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    StrictBool,
    StrictStr,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from modelplane_schema.alerts import ALERTS
from modelplane_schema.fields import Declaration, raise_all
from modelplane_schema.metrics import LATENCY_BUCKETS
from modelplane_schema.promql import LABEL_NAME, duration_seconds
from modelplane_schema.validation import explain

# Older values are not found by a query: 5 minutes, Prometheus' default.
LOOKBACK_SECONDS = 300
# What the registry says elsewhere, by the name that the mixin has for it.
SET_ELSEWHERE = {
    "models": "models",
    "tenants": "tenants",
    "devices": "devices",
    "grafanaUrl": "urls.grafana",
    "runbooksUrl": "urls.runbooks",
}
_QUOTED = r"""("(\\.|[^"\\])*"|'(\\.|[^'\\])*'|`[^`]*`)"""
_MATCHER = rf"\s*{LABEL_NAME.pattern}\s*(=~|!~|!=|=)\s*{_QUOTED}\s*"
_MATCHERS = re.compile(rf"({_MATCHER}(,{_MATCHER})*)?")


def _matchers(text: str) -> str:
    if not _MATCHERS.fullmatch(text):
        raise ValueError("""must be matchers of PromQL without braces, such as 'job="models"', or ''""")
    return text


def _label(text: str) -> str:
    if not LABEL_NAME.fullmatch(text):
        raise ValueError("must be the name of a label: letters, digits and _, and no digit first")
    return text


def _duration(text: str) -> str:
    duration_seconds(text)
    return text


def _duration_or_none(text: str) -> str:
    return text if re.fullmatch(r"0[smhd]", text) else _duration(text)


def _interval(text: str) -> str:
    if duration_seconds(text) >= LOOKBACK_SECONDS:
        raise ValueError(
            "must be shorter than 5m, for a query does not look further back for what is recorded"
        )
    return text


def _alert_name(text: str) -> str:
    names = [alert.name for alert in ALERTS]
    if text not in names:
        nearest = get_close_matches(text, names, n=1, cutoff=0.0)[0]
        raise ValueError(f"must be the name of an alert; the nearest is {nearest!r}")
    return text


def _bound(value: Any) -> str:
    bounds = {f"{bound:g}": bound for bound in LATENCY_BUCKETS}
    text = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value
    if text not in bounds:
        raise ValueError(f"must be a bound of the latency histogram, in seconds: {', '.join(bounds)}")
    return str(text)


Matchers = Annotated[StrictStr, AfterValidator(_matchers)]
Label = Annotated[StrictStr, AfterValidator(_label)]
Duration = Annotated[StrictStr, AfterValidator(_duration)]
Pending = Annotated[StrictStr, AfterValidator(_duration_or_none)]
Interval = Annotated[StrictStr, AfterValidator(_interval)]
AlertName = Annotated[StrictStr, AfterValidator(_alert_name)]
Bound = Annotated[str, BeforeValidator(_bound)]
Share = Annotated[float, Field(gt=0, lt=1)]
# Stays out of what is returned: defaults are the mixin's.
NOT_GIVEN: Any = None


class MixinSettings(Declaration):
    """Every setting, by its name in the mixin."""

    model_config = ConfigDict(alias_generator=to_camel)

    for_: Annotated[dict[AlertName, Pending], Field(alias="for")] = NOT_GIVEN
    selector: Matchers = NOT_GIVEN
    plane_selector: Matchers = NOT_GIVEN
    cluster_labels: tuple[Label, ...] = NOT_GIVEN
    keep_firing_for: StrictBool = NOT_GIVEN
    native_histograms: StrictBool = NOT_GIVEN
    hold_errors: Duration = NOT_GIVEN
    error_ratio_threshold: Share = NOT_GIVEN
    min_bad_events: PositiveInt = NOT_GIVEN
    latency_threshold: Bound = NOT_GIVEN
    latency_ratio_threshold: Share = NOT_GIVEN
    no_traffic_min_calls: PositiveInt = NOT_GIVEN
    cancelled_ratio_threshold: Share = NOT_GIVEN
    min_cancelled: PositiveInt = NOT_GIVEN
    saturation_threshold: Annotated[float, Field(gt=0, le=1)] = NOT_GIVEN
    restarts: PositiveInt = NOT_GIVEN
    confidence_deviations: PositiveFloat = NOT_GIVEN
    confidence_shift: Share = NOT_GIVEN
    data_contract_threshold: Share = NOT_GIVEN
    min_invalid: PositiveInt = NOT_GIVEN
    min_observations: PositiveInt = NOT_GIVEN
    psi_warning: PositiveFloat = NOT_GIVEN
    psi_critical: PositiveFloat = NOT_GIVEN
    signal_windows: dict[Duration, Interval | None] = NOT_GIVEN
    slo_interval: Interval = NOT_GIVEN
    slo_long_interval: Interval = NOT_GIVEN
    slo_period_interval: Interval = NOT_GIVEN
    constant_interval: Interval = NOT_GIVEN
    level_interval: Interval = NOT_GIVEN
    traffic_interval: Interval = NOT_GIVEN
    quality_interval: Interval = NOT_GIVEN
    replica_interval: Interval = NOT_GIVEN
    token_cost_interval: Interval = NOT_GIVEN
    signal_baseline_interval: Interval = NOT_GIVEN
    drift_interval: Interval = NOT_GIVEN


SETTINGS = tuple(field.alias or name for name, field in MixinSettings.model_fields.items())


def checked_settings(given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """``given`` as the mixin takes it; ValueError with a line for each problem, the setting first."""
    problems = [problem for key in given if (problem := _unknown(key)) is not None]
    known = {key: value for key, value in given.items() if key in SETTINGS}
    settings: dict[str, JsonValue] = {}
    try:
        settings = MixinSettings.model_validate(known).model_dump(
            mode="json", by_alias=True, exclude_unset=True
        )
    except ValidationError as error:
        problems += explain(error, MixinSettings, "").splitlines()
    raise_all(problems)
    return settings


def _unknown(key: str) -> str | None:
    if key in SETTINGS:
        return None
    if key in SET_ELSEWHERE:
        return f"{key}: is not set here but by {SET_ELSEWHERE[key]} of the registry; remove it"
    nearest = get_close_matches(key, SETTINGS, n=1, cutoff=0.0)[0]
    return f"{key}: the mixin has no such setting; the nearest is {nearest!r}"
