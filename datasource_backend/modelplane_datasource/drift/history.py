"""What Prometheus has recorded of drift: in the last two windows, and once an hour in the two days before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from modelplane_datasource.drift.bin_counts import SIGNAL_LABELS, QueryAnswer, SignalKey, keys_of
from modelplane_datasource.drift.parameters import WINDOW, signal_matchers
from modelplane_datasource.drift.queries import called_versions_of
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import duration, parse_duration
from modelplane_schema.calibration import ARMS, PAST_HOURS, PSI, PSI_SERIES, TWO_SIDED_ARMS
from modelplane_schema.promql import selector
from modelplane_schema.recorded import CALIBRATED_WINDOWS

# The past of more signals is many megabytes of text and seconds of Prometheus' time.
MAX_SIGNALS = 2000
_HOUR = parse_duration("1h")
_SERIES = {PSI: PSI_SERIES, **{arm.method: arm.series for arm in TWO_SIDED_ARMS}}


class History(NamedTuple):
    """Recorded values of signals by arm, NaN for none.

    ``past`` has shape (arms, signals, hours), the oldest hour first, ``previous``, of the window before the
    live one, and ``live`` (arms, signals); all in the order of ``ARMS``.
    """

    past: FloatArray
    previous: FloatArray
    live: FloatArray


def is_calibrated(selection: Selection) -> bool:
    """Whether drift over the selected window is recorded, and has limits of a signal's own past."""
    return duration(selection.options[WINDOW.name]) in _CALIBRATED_WINDOWS


def read_history(prometheus: PrometheusClient, selection: Selection, moment: int) -> QueryAnswer:
    """Recorded drift of the selected signals, the label ``method`` naming the arm; UpstreamError.

    Nothing where Prometheus has recorded psi of more than ``MAX_SIGNALS`` of them.
    Times are whole hours from ``moment``, which is the last.
    """
    window: int = selection.options[WINDOW.name]
    grid = Grid(moment - 2 * window - (PAST_HOURS - 1) * _HOUR, moment, _HOUR)
    table = prometheus.query_table(called_versions_of(_query(selection, window), selection), grid)
    return QueryAnswer(table.labels, table.values)


def no_history(signals: int) -> History:
    """The history of so many signals of which nothing is recorded."""
    shape = (len(ARMS), signals)
    return History(np.full((*shape, PAST_HOURS), np.nan), np.full(shape, np.nan), np.full(shape, np.nan))


def history_of(signals: Sequence[SignalKey], answers: Sequence[QueryAnswer], window: int) -> History:
    """The history of ``signals``, in their order, from recorded values over ``window`` milliseconds."""
    previous = -1 - window // _HOUR
    rows = {signal: row for row, signal in enumerate(signals)}
    history = no_history(len(signals))
    for answer in answers:
        for labels, key, column in zip(
            answer.labels, keys_of(answer, SIGNAL_LABELS), answer.values, strict=True
        ):
            row, method = rows.get(SignalKey(*key)), labels.get("method")
            if row is not None and method in _SERIES:
                place = ARMS.index(method), row
                history.past[place] = column[:PAST_HOURS]
                history.previous[place], history.live[place] = column[previous], column[-1]
    return history


_CALIBRATED_WINDOWS = {duration(parse_duration(window)): window for window in CALIBRATED_WINDOWS}


def _query(selection: Selection, window: int) -> str:
    """Of replicas of Prometheus that record the same the largest value counts."""
    matchers, by = signal_matchers(selection), ", ".join(SIGNAL_LABELS)
    name = _CALIBRATED_WINDOWS[duration(window)]
    arms = (
        f"label_replace(max by ({by}) ({selector(series.over(name).name, matchers)}), "
        f'"method", "{method}", "", "")'
        for method, series in _SERIES.items()
    )
    few = f"count({selector(PSI_SERIES.over(name).name, matchers)}) <= {MAX_SIGNALS}"
    return f"({' or '.join(arms)}) and on () ({few})"
