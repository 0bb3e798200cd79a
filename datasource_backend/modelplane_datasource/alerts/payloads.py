"""Bodies about alerts, as observations: Alertmanager's webhook, version 4, and polls of its list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, Observation, canonical, columnar, tenant_of
from modelplane_datasource.timeline.times import parse_rfc3339


class PayloadError(ValueError):
    """The body is not a webhook payload of version 4."""


def parse_payload(body: bytes, source: str = DEFAULT_SOURCE) -> tuple[Observation, ...]:
    """The alerts of a payload in its order; unknown keys are ignored. PayloadError."""
    try:
        payload = _Payload.model_validate(orjson.loads(body))
        return tuple(_observation(alert, source) for alert in payload.alerts)
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise PayloadError(str(error)) from error


def poll_body(observations: Iterable[Observation]) -> bytes:
    """The observations of a poll of Alertmanager, as they are stored; ``parse_poll`` reads it."""
    return canonical([asdict(observation) for observation in observations]).encode()


def parse_poll(body: bytes) -> tuple[Observation, ...]:
    """The observations of a stored poll. PayloadError."""
    try:
        return _POLL.validate_python(orjson.loads(body))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise PayloadError(str(error)) from error


def _is_time(text: str) -> str:
    parse_rfc3339(text)
    return text


Text = dict[str, str]
Time = Annotated[str, AfterValidator(_is_time)]

_POLL = TypeAdapter(tuple[Observation, ...])


class _Alert(BaseModel):
    model_config = ConfigDict(strict=True)

    status: Literal["firing", "resolved"]
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


def _observation(alert: _Alert, source: str) -> Observation:
    starts_at = parse_rfc3339(alert.starts_at)
    return Observation(
        source=source,
        tenant_id=tenant_of(alert.labels),
        fingerprint=columnar(alert.fingerprint),
        kind=alert.status,
        starts_at=starts_at,
        last_at=max(starts_at, _fired_until(alert, starts_at)),
        labels=canonical(alert.labels),
        annotations=canonical(alert.annotations),
        generator_url=columnar(alert.generator_url),
    )


def _fired_until(alert: _Alert, starts_at: int) -> int:
    """A firing alert has the zero time, or the time at which it would lapse: neither is an end."""
    if alert.status == "firing":
        return starts_at
    if alert.ends_at is None:
        raise PayloadError(f"the resolved alert {alert.fingerprint} has no endsAt")
    return parse_rfc3339(alert.ends_at)
