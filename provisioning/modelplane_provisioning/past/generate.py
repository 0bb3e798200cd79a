"""What a running example would have exposed, had it run all the hours of its story."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from modelplane_provisioning.past import calls, signals
from modelplane_provisioning.past.series import Labels, Sample, Series, Times, Values, read_exposition
from modelplane_provisioning.past.stories import HOUR, Story
from modelplane_schema.metrics import (
    BASELINE_MEAN,
    BASELINE_OBSERVATIONS,
    BASELINE_RATIO,
    BASELINE_STDDEV,
    DEVICE_SECONDS,
    EXPORTER_BUILD_INFO,
    EXPORTER_SAMPLING,
    EXPORTER_SCRAPE_DURATION,
    MODEL_INFO,
    SIGNAL_OBSERVATIONS,
    SIGNAL_UNOBSERVED,
)

CALL_SECONDS = 15
SLOW_SECONDS = (
    240  # of signals and constants; less than the five minutes after which Prometheus takes a series for gone
)
EARLY_SECONDS = 120
DEVICE_SAMPLE_SECONDS = 4  # two scrapes of the demo: the ledger takes a longer pause for a gap
_START = "process_start_time_seconds"
_UNCHANGING = (
    MODEL_INFO.name,
    BASELINE_RATIO.name,
    BASELINE_MEAN.name,
    BASELINE_STDDEV.name,
    BASELINE_OBSERVATIONS.name,
    SIGNAL_UNOBSERVED.name,
    EXPORTER_BUILD_INFO.name,
    EXPORTER_SAMPLING.name,
    EXPORTER_SCRAPE_DURATION.name,
    _START,
)
_TOLD_APART_BY = ("outcome", "le", "kind", "event", "verdict")


@dataclass(frozen=True, slots=True)
class Live:
    """A running example: what it exposes, and the labels that Prometheus adds to that."""

    model_name: str
    exposition: str
    target: Labels


@dataclass(frozen=True, slots=True)
class Span:
    """The hours to write, in milliseconds; device seconds reach back to ``costs_since``."""

    start: int
    end: int
    costs_since: int

    def grid(self, seconds: float, since: int | None = None) -> Times:
        """Times every so many seconds, the last one at the end."""
        begin = self.start if since is None else since
        return np.arange(self.end, begin - 1, -round(seconds * 1000))[::-1]

    def calls_grid(self) -> Times:
        """The ends of the steps in which calls are drawn."""
        fine = self.grid(CALL_SECONDS)
        early = self.grid(EARLY_SECONDS, self.costs_since)
        return np.concatenate((early[early < fine[0]], fine))


class Past:
    """The series of one example over a span, by its story; the same for the same seed.

    Calls are those of the story, and signals are drawn from the baselines that the example exposes. Each
    series has the labels of a series that the example exposes, and those of its target.
    """

    def __init__(self, live: Live, story: Story, span: Span, seed: int) -> None:
        self._live = live
        self._story = story
        self._span = span
        self._rng = np.random.default_rng([seed, *live.model_name.encode()])
        self._samples = list(read_exposition(live.exposition))

    def series(self) -> Iterator[Series]:
        """Every series, one after the other."""
        drawn = self._draw_calls()
        counters = self._call_counters(drawn)
        observations = self._observations(drawn)
        yield from self._target_series()
        for sample in self._samples:
            if sample.name in _UNCHANGING:
                yield self._constant(sample)
            elif "signal" in sample.labels:
                yield from self._signal_series(sample, observations)
            elif "tenant_id" in sample.labels:
                yield from self._call_series(sample, counters)

    def _draw_calls(self) -> dict[calls.Identity, calls.Calls]:
        grid = self._span.calls_grid()
        tenants = dict(self._story.calls_per_second)
        return {
            (release.version, tenant): calls.draw_calls(
                self._story, release, tenant, (grid, self._span.end), self._rng
            )
            for release in self._story.releases
            for tenant in tenants
        }

    def _call_counters(
        self, drawn: Mapping[calls.Identity, calls.Calls]
    ) -> dict[calls.Identity, dict[calls.Key, Values]]:
        counters = {
            (version, tenant): calls.call_counters(
                of_identity, self._story, self._story.release(version), self._rng
            )
            for (version, tenant), of_identity in drawn.items()
        }
        loads = {identity: values[calls.LOAD] for identity, values in counters.items()}
        for identity, seconds in calls.charged(loads, next(iter(drawn.values())).seconds).items():
            counters[identity][DEVICE_SECONDS.name, ""] = seconds
        return counters

    def _observations(
        self, drawn: Mapping[calls.Identity, calls.Calls]
    ) -> dict[signals.SignalId, signals.Counts]:
        grid = self._span.grid(SLOW_SECONDS)
        stretches = [
            (tuple(change for effect in chapter.effects for change in effect.changes), within)
            for chapter, within in calls.stretches(self._story, grid, self._span.end)
        ]
        totals: defaultdict[str, Values] = defaultdict(lambda: np.zeros(len(grid)))
        for (version, _), of_identity in drawn.items():
            answered = np.interp(grid, of_identity.ends, np.cumsum(of_identity.succeeded))
            totals[version] += np.floor(answered)
        return {
            signal: signals.draw_counts(
                baseline,
                np.diff(totals[signal[0]], prepend=totals[signal[0]][0]).astype(np.int64),
                signals.changes_of(signal, stretches),
                self._rng,
            )
            for signal, baseline in signals.read_baselines(self._samples).items()
        }

    def _target_series(self) -> Iterator[Series]:
        grid = self._span.grid(CALL_SECONDS)
        ones = np.ones(len(grid))
        facts = {
            "up": 1.0,
            "scrape_duration_seconds": 0.01,
            "scrape_samples_scraped": float(len(self._samples)),
        }
        for name, value in facts.items():
            yield Series(name, self._live.target, grid, ones * value)

    def _constant(self, sample: Sample) -> Series:
        grid = self._since_deployment(self._span.grid(SLOW_SECONDS), sample.labels)
        value = self._span.start / 1000 if sample.name == _START else sample.value
        return self._series(sample, grid, np.full(len(grid), value))

    def _signal_series(
        self, sample: Sample, observations: Mapping[signals.SignalId, signals.Counts]
    ) -> Iterator[Series]:
        counts = observations[signals.signal_id(sample.labels)]
        values = counts.get(sample.labels["bin"] if sample.name == SIGNAL_OBSERVATIONS.name else sample.name)
        if values is not None:
            yield self._counted(sample, self._span.grid(SLOW_SECONDS), values)

    def _call_series(
        self, sample: Sample, counters: Mapping[calls.Identity, Mapping[calls.Key, Values]]
    ) -> Iterator[Series]:
        labels = sample.labels
        told_apart = next((labels[name] for name in _TOLD_APART_BY if name in labels), "")
        key = (sample.name, f"{float(told_apart):g}" if "le" in labels else told_apart)
        values = counters.get((labels["model_version"], labels["tenant_id"]), {}).get(key)
        if values is None:
            return
        grid = self._span.calls_grid()
        if sample.name == DEVICE_SECONDS.name:
            fine = self._span.grid(DEVICE_SAMPLE_SECONDS)
            times = np.concatenate((grid[grid < fine[0]], fine))
            yield self._counted(sample, times, np.interp(times, grid, values))
        else:
            begin = np.searchsorted(grid, self._span.start)
            yield self._counted(sample, grid[begin:], values[begin:])

    def _counted(self, sample: Sample, times: Times, values: Values) -> Series:
        since = self._since_deployment(times, sample.labels)
        return self._series(sample, since, values[len(times) - len(since) :])

    def _since_deployment(self, times: Times, labels: Labels) -> Times:
        """The times at which the version of a series was there."""
        version = labels.get("model_version")
        if version is None or (hours_ago := self._story.release(version).hours_ago) >= self._story.hours:
            return times
        return times[times >= self._span.end - hours_ago * HOUR * 1000]

    def _series(self, sample: Sample, times: Times, values: Values) -> Series:
        return Series(sample.name, {**sample.labels, **self._live.target}, times, values)
