"""The stories of the example services: what befalls each model, for whom, and since when.

The services replay them, and `modelplane demo` writes from them the six hours before it was started.
Importing this module imports no machine-learning framework.
"""

from __future__ import annotations

from dataclasses import dataclass

PAST_HOURS = 6.0


@dataclass(frozen=True, slots=True)
class Change:
    """An input that arrives wrong: its value times ``times``, plus ``plus`` in its own unit."""

    signal: str
    times: float = 1.0
    plus: float = 0.0


@dataclass(frozen=True, slots=True)
class Effect:
    """What befalls calls, of one tenant or version where it is named. Shares are from 0 to 1.

    A bad call brings input that the model refuses; a slow one waits for a lookup.
    """

    tenant: str = ""
    version: str = ""
    bad_share: float = 0.0
    slow_share: float = 0.0
    changes: tuple[Change, ...] = ()

    def befalls(self, tenant: str, version: str) -> bool:
        """Whether it is about calls of this tenant and version."""
        return self.tenant in ("", tenant) and self.version in ("", version)


@dataclass(frozen=True, slots=True)
class Chapter:
    """A stretch of a story: it began ``hours_ago`` when the demo starts, and lasts until the next begins.

    ``traffic`` multiplies the calls of the story.
    """

    name: str
    hours_ago: float
    effects: tuple[Effect, ...] = ()
    traffic: float = 1.0


@dataclass(frozen=True, slots=True)
class Release:
    """A version: its ``share`` of the calls, and how sure and right (0: nobody judges) it is on average."""

    version: str
    confidence: float
    correct: float = 0.0
    share: float = 1.0
    hours_ago: float = PAST_HOURS


@dataclass(frozen=True, slots=True)
class Stream:
    """Streamed answers: waits in seconds, and tokens of a call by kind, on average."""

    first_token_seconds: float
    token_seconds: float
    tokens: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What a model shows. ``calls_per_second`` is by tenant; ``seconds`` is what a usual call takes.

    ``lookup_seconds`` bounds what a slow call waits; it is above the bound of the examples' latency SLOs.
    """

    shows: str
    calls_per_second: tuple[tuple[str, float], ...]
    seconds: float
    releases: tuple[Release, ...]
    chapters: tuple[Chapter, ...]
    stream: Stream | None = None
    lookup_seconds: tuple[float, float] = (0.3, 0.6)


LETTERS = Stream(0.06, 0.012, (("input", 180), ("cached_input", 60), ("output", 40)))
HEALTHY = Chapter("healthy", PAST_HOURS)

STORIES: dict[str, Story] = {
    "tumour-screen": Story(
        shows="healthy: nothing to do",
        calls_per_second=(("north-clinic", 6.0), ("south-clinic", 2.0)),
        seconds=0.003,
        releases=(Release("v1.0.4", confidence=0.95, correct=0.97),),
        chapters=(HEALTHY,),
    ),
    "wine-grader": Story(
        shows="its input drifts: a colorimeter lost its calibration, then proline comes in another unit",
        calls_per_second=(("retail-eu", 4.0), ("vision-lab", 1.0)),
        seconds=0.006,
        releases=(Release("v2.0.1", confidence=0.97),),
        chapters=(
            HEALTHY,
            Chapter(
                "the colorimeter lost its calibration",
                3.0,
                (Effect(changes=(Change("color_intensity", plus=2.5),)),),
            ),
            Chapter(
                "proline comes in g/l instead of mg/l",
                0.75,
                (Effect(changes=(Change("color_intensity", plus=2.5), Change("proline", times=0.001))),),
            ),
        ),
    ),
    "digit-reader": Story(
        shows="its canary is worse than production: slower, less sure, less often right",
        calls_per_second=(("vision-lab", 5.0), ("retail-eu", 1.0)),
        seconds=0.003,
        releases=(
            Release("v1.2.0", confidence=0.97, correct=0.97),
            Release("v1.3.0", confidence=0.75, correct=0.85, share=0.4, hours_ago=2.0),
        ),
        chapters=(
            HEALTHY,
            Chapter("cameras send broken images", 5.25, (Effect(bad_share=0.4, slow_share=0.1),)),
            Chapter("the cameras are mended", 4.75),
            Chapter(
                "canary v1.3.0 is deployed, and looks features up slowly",
                2.0,
                (Effect(version="v1.3.0", bad_share=0.04, slow_share=0.25),),
            ),
        ),
    ),
    "digit-scanner": Story(
        shows="it burns its error budget for one tenant alone: north-clinic sends broken scans",
        calls_per_second=(("vision-lab", 5.0), ("north-clinic", 1.5)),
        seconds=0.003,
        releases=(Release("v3.1.0", confidence=0.95),),
        chapters=(
            HEALTHY,
            Chapter("north-clinic sends broken scans", 0.8, (Effect(tenant="north-clinic", bad_share=0.3),)),
        ),
    ),
    "progression-risk": Story(
        shows="it has little traffic: too few calls for a value of drift over an hour",
        calls_per_second=(("north-clinic", 0.05), ("south-clinic", 0.02)),
        seconds=0.004,
        releases=(Release("v0.9.0", confidence=0.75),),
        chapters=(HEALTHY,),
    ),
    "letter-writer": Story(
        shows="it wastes a device: since its campaign ended, a dear accelerator waits for work",
        calls_per_second=(("retail-eu", 0.9), ("south-clinic", 0.3)),
        seconds=0.6,
        releases=(Release("v0.4.0", confidence=0.25),),
        chapters=(
            Chapter("a campaign of letters", PAST_HOURS),
            Chapter("the campaign has ended", 2.5, traffic=0.25),
        ),
        stream=LETTERS,
    ),
}
