"""Write the past of running examples into the database of a Prometheus that is not started yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from modelplane_provisioning.past.blocks import write_blocks
from modelplane_provisioning.past.generate import Live, Past, Span
from modelplane_provisioning.past.incidents import Incident
from modelplane_provisioning.past.records import add_records
from modelplane_provisioning.past.rules import read_rules
from modelplane_provisioning.past.stories import HOUR, Story

SEED = 19
_DAY = 24 * HOUR


def span_until(now: int, hours: float) -> Span:
    """The span that ends at ``now`` (seconds).

    Costs hold the day before in UTC, because prices change at midnight.
    """
    start = now - round(hours * HOUR)
    yesterday = now - now % _DAY - _DAY
    return Span(start * 1000, now * 1000, min(start, yesterday) * 1000)


def write_past(
    database: Path, lives: Sequence[Live], stories: Mapping[str, Story], rules: Iterable[str], span: Span
) -> list[Incident]:
    """Write samples of ``lives``, and what ``rules`` (files as text) make of them; return the incidents.

    ProcessError and PlaneError when promtool or Prometheus does not do it.
    """
    series = (entry for live in lives for entry in Past(live, stories[live.model_name], span, SEED).series())
    write_blocks(database, series, span.start)
    return add_records(database, read_rules(rules), span.start, span.end)
