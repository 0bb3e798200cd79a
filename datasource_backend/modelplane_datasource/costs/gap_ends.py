"""The samples outside of a range of time that a gap in scraping over its start or end depends on.

Nothing is read where each series has samples at both ends. A store lists the series of a day without
reading a sample, so those that are missing at an end are known before any sample is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import orjson

from modelplane_datasource.costs.sample_reader import Labels, RangeSamples, SampleReader
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.prometheus.errors import REJECTED, UpstreamError
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import DAY
from modelplane_schema import metrics
from modelplane_schema.promql import Matcher, one_of, selector

_HOUR = 3_600_000
_SHORTEST_RANGE = 900_000
_FARTHEST = 92 * DAY  # the longest range of costs: what it shows of a gap each of its days shows
_INSTANCE = "instance"
_INSTANCES_AT_ONCE = 50  # VictoriaMetrics takes queries of 16 KiB
_OF_METRICS = frozenset({"__name__", *metrics.DEVICE_SECONDS.labels, *metrics.TOKENS.labels})


class _Missing(NamedTuple):
    """Series that have no sample at an end of the range: those that were scraped ``before`` it and come
    again, and ``after`` it again, and those of processes that ``began`` or ``ended`` within the lookback."""

    before: set[Labels]
    after: set[Labels]
    began: set[Labels]
    ended: set[Labels]


@dataclass(frozen=True, slots=True)
class GapEnds:
    """Looks beyond ``time_range``, whose first ``lead`` milliseconds are not charged, until ``now``."""

    reader: SampleReader
    time_range: TimeRange
    lead: int
    now: int

    def following(self) -> list[RangeSamples]:
        """The two scrapes after the range, whatever is in it; UpstreamError."""
        end, (_, next_scrapes, _) = self.time_range.end, self._limits
        return [self.reader.as_scraped(TimeRange(end, next_scrapes))] if end < self.now else []

    def read(self, parts: Sequence[RangeSamples], following: Sequence[RangeSamples]) -> list[RangeSamples]:
        """Samples before the range and after it, by what was read of it and ``following`` it; UpstreamError.

        Of a process that was scraped beyond the lookback alone there is a sample at the lookback, which says
        just that: the value of one so far away does not count.
        """
        (start, end), timing = self.time_range, self.reader.timing
        earliest, next_scrapes, latest = self._limits
        missing = self._missing(parts, following)
        hours = _hours(earliest, start), _hours(next_scrapes, latest)
        before = Grid(start - (hours[0] - 1) * _HOUR, start, _HOUR)
        after = Grid(next_scrapes + _HOUR, next_scrapes + hours[1] * _HOUR, _HOUR)
        far_before = TimeRange(start - _FARTHEST, earliest)
        far_after = TimeRange(latest, min(end + _FARTHEST, self.now))
        return [
            *self._at_lookback(missing.began, far_before, earliest - 1),
            *self._hours_with(missing.before, before, -1),
            *following,
            *self._hours_with(missing.after, after, 0),
            *self._at_lookback(missing.ended, far_after, end + timing.lookback + 1),
        ]

    @property
    def _limits(self) -> tuple[int, int, int]:
        """The lookback before the range, two scrapes after it, and the lookback after it, until ``now``."""
        (start, end), timing = self.time_range, self.reader.timing
        return start - timing.lookback, min(end + timing.hold, self.now), min(end + timing.lookback, self.now)

    def _missing(self, parts: Sequence[RangeSamples], following: Sequence[RangeSamples]) -> _Missing:
        """What is missing of the series of the range and those that ``following`` has."""
        start = self.time_range.start
        earliest, next_scrapes, latest = self._limits
        first_parts = [part for part in parts if part.time_range.start == start]
        texts = _series_of(parts), _series_of(following), _series_of(first_parts, start + self.lead)
        is_past = next_scrapes < latest
        if not is_past and texts[0].keys() | texts[1].keys() <= texts[2].keys():
            return _Missing(set(), set(), set(), set())
        inside, continuing, leading = (set(map(self.reader.labels_of, of_part.values())) for of_part in texts)
        earlier, later = self._listed(earliest, start) - leading, set[Labels]()
        if is_past and (earlier or not inside <= continuing):
            later = self._listed(next_scrapes, latest) - continuing
        before = _continued(earlier, inside | continuing | later, leading)
        ended = _of_other_processes(inside | before, continuing | later) if latest < self.now else set()
        return _Missing(
            before,
            _continued(later, inside | before, continuing),
            _of_other_processes(inside | continuing | later, leading | earlier),
            ended,
        )

    def _listed(self, start: int, end: int, matchers: Sequence[Matcher] = ()) -> set[Labels]:
        """Labels of all series between two times."""
        names = one_of("__name__", (metric.name for metric in self.reader.counters))
        selected = ",".join(map(str, (names, *matchers)))
        series = self.reader.prometheus.unrestricted_series([f"{{{selected}}}"], start, end)
        return {frozenset(labels.items()) for labels in series}

    def _hours_with(self, wanted: set[Labels], hours: Grid, place: int) -> Iterator[RangeSamples]:
        """All samples of the hours in which the first (0) or last (-1) sample of a wanted series is.

        ``hours`` are their ends. Whole processes are read: what is a gap depends on all of their series.
        """
        instances = _instances(wanted)
        ends: set[int] = set()
        for metric in self.reader.counters if wanted else ():
            query = f"last_over_time({selector(metric.name, instances)}[{_HOUR - 1}ms])"
            of_series: dict[Labels, list[int]] = {}
            for series in self._samples_on(query, hours):
                of_series.setdefault(self.reader.labels_of(series), []).extend(series.times.tolist())
            ends |= {times[place] for labels, times in of_series.items() if labels in wanted}
        for end in sorted(ends):
            yield from self._as_scraped(TimeRange(end - _HOUR, end), instances)

    def _samples_on(self, query: str, grid: Grid) -> list[RawSeries]:
        """The series of a query at the times of a grid, in halves where the store refuses all at once."""
        try:
            return list(self.reader.prometheus.unrestricted_samples_on(query, grid))
        except UpstreamError as error:
            if error.error != REJECTED or len(grid) == 1:
                raise
        return [series for half in grid.halves() for series in self._samples_on(query, half)]

    def _as_scraped(self, time_range: TimeRange, matchers: Sequence[Matcher]) -> list[RangeSamples]:
        """All samples of a range, in halves where the store refuses all at once."""
        try:
            return [self.reader.as_scraped(time_range, matchers)]
        except UpstreamError as error:
            if error.error != REJECTED or time_range.length <= _SHORTEST_RANGE:
                raise
        middle = (time_range.start + time_range.end) // 2
        halves = TimeRange(time_range.start, middle), TimeRange(middle, time_range.end)
        return [part for half in halves for part in self._as_scraped(half, matchers)]

    def _at_lookback(self, series: set[Labels], time_range: TimeRange, at: int) -> Iterator[RangeSamples]:
        """A sample at a time of each series of the same processes that the store lists in a range."""
        if time_range.start >= time_range.end:
            return
        instances, processes = sorted(set(map(_instance, series))), set(map(_process, series))
        for first in range(0, len(instances), _INSTANCES_AT_ONCE):
            matcher = one_of(_INSTANCE, instances[first : first + _INSTANCES_AT_ONCE])
            listed = self._listed(*time_range, [matcher])
            samples: dict[str, list[RawSeries]] = {metric.name: [] for metric in self.reader.counters}
            for labels in (dict(items) for items in listed if _process(items) in processes):
                sample = RawSeries(orjson.dumps(labels), np.array([at], dtype=np.int64), np.zeros(1))
                samples[labels["__name__"]].append(sample)
            yield RangeSamples(
                TimeRange(at - 1, at), False, {name: tuple(of) for name, of in samples.items()}, {}
            )


def _hours(start: int, end: int) -> int:
    """How many hours hold a range."""
    return -(-(end - start) // _HOUR)


def _instance(series: Labels) -> str:
    return dict(series).get(_INSTANCE, "")


def _process(series: Labels) -> Labels:
    """The labels of all series of a process."""
    return frozenset(label for label in series if label[0] not in _OF_METRICS)


def _continued(candidates: set[Labels], others: set[Labels], scraped: set[Labels]) -> set[Labels]:
    """Those that are among others too, or whose process has others and is not scraped at the end between.

    ``scraped`` are the series with a sample at that end.
    """
    if not candidates:
        return set()
    processes = set(map(_process, others)) - set(map(_process, scraped))
    return {series for series in candidates if series in others or _process(series) in processes}


def _of_other_processes(series: set[Labels], others: set[Labels]) -> set[Labels]:
    """The series whose process has none of the others."""
    if series <= others:
        return set()
    processes = set(map(_process, others))
    return {labels for labels in series if _process(labels) not in processes}


def _instances(wanted: Iterable[Labels]) -> tuple[Matcher, ...]:
    """A matcher for where the ``wanted`` series are scraped from; none when there are many."""
    instances = set(map(_instance, wanted))
    return (one_of(_INSTANCE, instances),) if 0 < len(instances) <= _INSTANCES_AT_ONCE else ()


def _series_of(parts: Iterable[RangeSamples], until: int | None = None) -> dict[bytes, RawSeries]:
    """The series that have a sample inside of ``parts``, and not after ``until``, by their labels as text."""
    every: dict[bytes, RawSeries] = {}
    for part in parts:
        for series in (series for of_metric in part.series.values() for series in of_metric):
            if series.metric not in every:
                first = part.first_inside(series)
                if first < len(series.times) and (until is None or series.times[first] <= until):
                    every[series.metric] = series
    return every
