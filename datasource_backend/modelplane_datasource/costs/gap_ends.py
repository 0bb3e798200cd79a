"""The samples outside of a range of time that a gap in scraping over its start or end depends on.

Nothing is read where each series has samples at both ends. A store lists the series of a day without
reading a sample, so those that are missing at an end are known before any sample is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from modelplane_datasource.costs.sample_reader import RangeSamples, SampleReader
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_schema.promql import Matcher, one_of, selector

_HOUR = 3_600_000
_INSTANCE = "instance"
_INSTANCES_AT_ONCE = 50  # VictoriaMetrics takes queries of 16 KiB
_Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class GapEnds:
    """Looks beyond ``time_range``, whose first ``lead`` milliseconds are not charged, until ``now``."""

    reader: SampleReader
    time_range: TimeRange
    lead: int
    now: int

    def read(self, parts: Sequence[RangeSamples]) -> list[RangeSamples]:
        """Samples before the range and after it; UpstreamError."""
        start, end = self.time_range
        timing = self.reader.timing
        next_scrapes = min(end + timing.hold, self.now)
        following = [self.reader.as_scraped(TimeRange(end, next_scrapes))] if end < self.now else []
        inside, continuing = _series_of(parts), _series_of(following)
        leading = _series_of([part for part in parts if part.time_range.start == start], start + self.lead)
        latest = min(end + timing.lookback, self.now)
        earlier = self._listed(start - timing.lookback, start) - leading
        later = (self._listed(next_scrapes, latest) if next_scrapes < latest else set()) - continuing
        before = earlier & (inside | continuing | later)
        after = later & (inside | before)
        hours_before = _hours(start - timing.lookback, start)
        return [
            *self._hours_with(before, Grid(start - (hours_before - 1) * _HOUR, start, _HOUR), -1),
            *following,
            *self._hours_with(
                after,
                Grid(next_scrapes + _HOUR, next_scrapes + _hours(next_scrapes, latest) * _HOUR, _HOUR),
                0,
            ),
        ]

    def _listed(self, start: int, end: int) -> set[_Labels]:
        """Labels of all series between two times."""
        names = one_of("__name__", (metric.name for metric in self.reader.counters))
        series = self.reader.prometheus.unrestricted_series([f"{{{names}}}"], start, end)
        return {frozenset(labels.items()) for labels in series}

    def _hours_with(self, wanted: set[_Labels], hours: Grid, place: int) -> Iterator[RangeSamples]:
        """All samples of the hours in which the first (0) or last (-1) sample of a wanted series is.

        ``hours`` are their ends. Whole processes are read: what is a gap depends on all of their series.
        """
        instances = _instances(wanted)
        ends: set[int] = set()
        for metric in self.reader.counters if wanted else ():
            query = f"last_over_time({selector(metric.name, instances)}[{_HOUR - 1}ms])"
            for series in self.reader.prometheus.unrestricted_samples_on(query, hours):
                if frozenset(series.labels.items()) in wanted:
                    ends.add(int(series.times[place]))
        for end in sorted(ends):
            yield self.reader.as_scraped(TimeRange(end - _HOUR, end), instances)


def _hours(start: int, end: int) -> int:
    """How many hours hold a range."""
    return -(-(end - start) // _HOUR)


def _instances(wanted: Iterable[_Labels]) -> tuple[Matcher, ...]:
    """A matcher for where the ``wanted`` series are scraped from; none when there are many."""
    instances = {dict(labels).get(_INSTANCE, "") for labels in wanted}
    return (one_of(_INSTANCE, instances),) if 0 < len(instances) <= _INSTANCES_AT_ONCE else ()


def _series_of(parts: Iterable[RangeSamples], until: int | None = None) -> set[_Labels]:
    """Labels of the series that have a sample inside of ``parts``, and not after ``until``."""
    every: dict[bytes, RawSeries] = {}
    for part in parts:
        for series in (series for of_metric in part.series.values() for series in of_metric):
            times = part.inside(series).times
            if len(times) and (until is None or times[0] <= until):
                every[series.metric] = series
    return {frozenset(series.labels.items()) for series in every.values()}
