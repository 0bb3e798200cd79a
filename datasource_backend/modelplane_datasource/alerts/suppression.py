"""Suppression windows: times in which alerts are expected. They mark episodes and hide nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from modelplane_datasource.alerts.episodes import Episode
from modelplane_schema.documents import raised_as, read_text
from modelplane_schema.errors import UserError
from modelplane_schema.validation import parse_model


class SuppressionError(UserError, ValueError):
    """The file of windows cannot be used; the message names the place and what is allowed."""


@dataclass(frozen=True, slots=True)
class SuppressionWindow:
    """From ``start`` to before ``end``, in milliseconds; empty tuples cover all."""

    name: str
    start: int
    end: int
    tenants: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    alertnames: tuple[str, ...] = ()

    def covers(self, episode: Episode) -> bool:
        """Whether the episode started in the window: what had begun before was not caused by it."""
        return self.start <= episode.starts_at < self.end and all(
            not allowed or value in allowed
            for allowed, value in (
                (self.tenants, episode.tenant_id),
                (self.models, episode.model_name),
                (self.alertnames, episode.alertname),
            )
        )


def names_of(windows: Iterable[SuppressionWindow], episode: Episode) -> tuple[str, ...]:
    """The windows that cover an episode."""
    return tuple(window.name for window in windows if window.covers(episode))


class _Window(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    start: Annotated[datetime, Field(alias="from")]
    end: Annotated[datetime, Field(alias="to")]
    tenants: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    alertnames: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ends_later(self) -> _Window:
        if _milliseconds(self.start) >= _milliseconds(self.end):
            raise ValueError("from must lie before to")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    windows: tuple[_Window, ...]


def load_windows(path: Path) -> tuple[SuppressionWindow, ...]:
    """Read ``windows: [{name, from, to, tenants, models, alertnames}]`` from a YAML file; SuppressionError.

    Times without an offset are UTC.
    """
    with raised_as(SuppressionError):
        declared = parse_model(_File, read_text(path), str(path)).windows
    return tuple(
        SuppressionWindow(
            window.name,
            _milliseconds(window.start),
            _milliseconds(window.end),
            window.tenants,
            window.models,
            window.alertnames,
        )
        for window in declared
    )


def _milliseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
