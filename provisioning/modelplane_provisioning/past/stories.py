"""The stories of the example services, as the catalogue in their folder prints them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

HOUR = 3600


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True)


class Change(_Read):
    """An input that arrives wrong: its value times ``times``, plus ``plus`` in its own unit."""

    signal: str
    times: float
    plus: float


class Effect(_Read):
    """What befalls calls, of one tenant or version where it is not empty; shares are from 0 to 1."""

    tenant: str
    version: str
    bad_share: float
    slow_share: float
    changes: tuple[Change, ...]


class Chapter(_Read):
    """A stretch of a story, from ``hours_ago`` to the next one's; ``traffic`` multiplies its calls."""

    name: str
    hours_ago: float
    effects: tuple[Effect, ...]
    traffic: float


class Release(_Read):
    """A version, its share of the calls, its mean confidence and its share of right answers (0: unjudged)."""

    version: str
    confidence: float
    correct: float
    share: float
    hours_ago: float


class Stream(_Read):
    """Streamed answers: waits in seconds, tokens of a call by kind."""

    first_token_seconds: float
    token_seconds: float
    tokens: tuple[tuple[str, int], ...]


class Story(_Read):
    """What befalls one model; ``calls_per_second`` is by tenant, ``seconds`` what a usual call takes.

    ``lookup_seconds`` bounds what a slow call waits.
    """

    shows: str
    calls_per_second: tuple[tuple[str, float], ...]
    seconds: float
    releases: tuple[Release, ...]
    chapters: tuple[Chapter, ...]
    stream: Stream | None
    lookup_seconds: tuple[float, float]

    def release(self, version: str) -> Release:
        """The release of a version that the story knows."""
        return next(release for release in self.releases if release.version == version)

    @property
    def hours(self) -> float:
        """How long ago the story begins."""
        return max(chapter.hours_ago for chapter in self.chapters)
