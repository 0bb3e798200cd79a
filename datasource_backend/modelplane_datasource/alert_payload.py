"""Alertmanager's webhook payload, version 4, as records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from modelplane_datasource.times import parse_rfc3339

Status = Literal["firing", "resolved"]


class PayloadError(ValueError):
    """The body is not a webhook payload of version 4."""


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """What one payload says about one alert; times in milliseconds, ``ends_at`` None while it fires.

    ``labels`` and ``annotations`` are canonical JSON: sorted keys, no spaces.
    """

    fingerprint: str
    starts_at: int
    status: Status
    ends_at: int | None
    alertname: str
    severity: str
    tenant_id: str
    model_name: str
    model_version: str
    labels: str
    annotations: str
    generator_url: str


def parse_payload(body: bytes) -> tuple[AlertRecord, ...]:
    """The alerts of a payload in its order; unknown keys are ignored. PayloadError."""
    try:
        payload = _Payload.model_validate(orjson.loads(body))
        return tuple(_record(alert) for alert in payload.alerts)
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise PayloadError(str(error)) from error


def _is_time(text: str) -> str:
    parse_rfc3339(text)
    return text


Text = dict[str, str]
Time = Annotated[str, AfterValidator(_is_time)]


class _Alert(BaseModel):
    model_config = ConfigDict(strict=True)

    status: Status
    labels: Text
    annotations: Text = {}
    starts_at: Annotated[Time, Field(alias="startsAt")]
    ends_at: Annotated[Time | None, Field(alias="endsAt")] = None
    generator_url: Annotated[str, Field(alias="generatorURL")] = ""
    fingerprint: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class _Payload(BaseModel):
    model_config = ConfigDict(strict=True)

    version: Literal["4"]
    alerts: list[_Alert]


def _record(alert: _Alert) -> AlertRecord:
    return AlertRecord(
        fingerprint=alert.fingerprint,
        starts_at=parse_rfc3339(alert.starts_at),
        status=alert.status,
        ends_at=_ends_at(alert),
        alertname=alert.labels.get("alertname", ""),
        severity=alert.labels.get("severity", ""),
        tenant_id=alert.labels.get("tenant_id", ""),
        model_name=alert.labels.get("model_name", ""),
        model_version=alert.labels.get("model_version", ""),
        labels=_canonical(alert.labels),
        annotations=_canonical(alert.annotations),
        generator_url=alert.generator_url,
    )


def _ends_at(alert: _Alert) -> int | None:
    """A firing alert has the zero time, or the time at which it would lapse: neither is an end."""
    if alert.status == "firing":
        return None
    if alert.ends_at is None:
        raise PayloadError(f"the resolved alert {alert.fingerprint} has no endsAt")
    return parse_rfc3339(alert.ends_at)


def _canonical(mapping: Text) -> str:
    return orjson.dumps(mapping, option=orjson.OPT_SORT_KEYS).decode()
