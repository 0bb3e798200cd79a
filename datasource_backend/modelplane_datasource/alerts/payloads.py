"""Bodies about alerts, as observations: Alertmanager's webhook, version 4, and polls of its list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Annotated, Any, Literal

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
from modelplane_datasource.alerts.plausible_times import plausible_span
from modelplane_datasource.timeline.times import parse_rfc3339

_PROBLEMS_NAMED = 5


class PayloadError(ValueError):
    """The body is not a webhook payload of version 4, or none of its alerts can be read."""


def ignore_problem(_problem: str) -> None:
    """Nobody wants to know."""


def parse_payload(
    body: bytes,
    source: str = DEFAULT_SOURCE,
    received_at: int | None = None,
    on_problem: Callable[[str], None] = ignore_problem,
) -> tuple[Observation, ...]:
    """The alerts of a payload in its order; unknown keys are ignored. PayloadError.

    ``received_at``, in milliseconds, bounds their times; None takes them as they are. An alert that cannot be
    read is left out; ``on_problem`` gets a sentence about it, and about those that Alertmanager left out.
    """
    payload = _payload(body)
    observations: list[Observation] = []
    problems: list[str] = []
    for position, alert in enumerate(payload.alerts):
        try:
            observations.append(_observation(_Alert.model_validate(alert), source, received_at))
        except (ValidationError, _AlertError, orjson.JSONEncodeError) as error:
            problems.append(f"alerts.{position}: {_sentence(error)}")
    if problems and not observations:
        raise PayloadError("; ".join(problems[:_PROBLEMS_NAMED]))
    if isinstance(payload.truncated_alerts, int) and payload.truncated_alerts > 0:
        problems.append(f"truncatedAlerts: Alertmanager left out {payload.truncated_alerts} alerts")
    for problem in problems:
        on_problem(problem)
    return tuple(observations)


def _payload(body: bytes) -> _Payload:
    try:
        return _Payload.model_validate(_document(body))
    except (ValueError, RecursionError) as error:
        raise PayloadError(_sentence(error)) from error


def _document(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # One broken text or NaN must not lose all alerts; Python's own parser lets them pass.
        return json.loads(body.decode(errors="replace"))


def _sentence(error: Exception) -> str:
    """What is wrong, without what was sent: a log is read by others than the alerts are for."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


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
    try:
        parse_rfc3339(text)
    except ValueError as error:
        raise ValueError("is no RFC 3339 time") from error
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
    alerts: list[Any]
    truncated_alerts: Annotated[Any, Field(alias="truncatedAlerts")] = 0


class _AlertError(ValueError):
    """An alert that cannot be read."""


def _observation(alert: _Alert, source: str, received_at: int | None) -> Observation:
    starts_at, last_at = _span(alert, received_at)
    return Observation(
        source=source,
        tenant_id=tenant_of(alert.labels),
        fingerprint=columnar(alert.fingerprint),
        kind=alert.status,
        starts_at=starts_at,
        last_at=last_at,
        labels=canonical(alert.labels),
        annotations=canonical(alert.annotations),
        generator_url=columnar(alert.generator_url),
    )


def _span(alert: _Alert, received_at: int | None) -> tuple[int, int]:
    """From when until when the alert fired, in milliseconds.

    A firing alert has the zero time, or the time at which it would lapse: neither is an end.
    """
    starts_at = parse_rfc3339(alert.starts_at)
    ends_at = starts_at
    if alert.status == "resolved":
        if alert.ends_at is None:
            raise _AlertError("a resolved alert has no endsAt")
        ends_at = parse_rfc3339(alert.ends_at)
    if received_at is None:
        return starts_at, max(starts_at, ends_at)
    return plausible_span(starts_at, ends_at, received_at)
