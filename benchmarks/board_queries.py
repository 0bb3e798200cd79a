"""How long a Prometheus takes for each query of each board over a day of a large fleet, against the limits.

    python benchmarks/board_queries.py --tenants 1000 --models 10 --prometheus /path/to/prometheus

Prints JSON. Each tenant uses each model; the series are those that boards select, with all labels of the
schema. What a board reads over its range, with All where it has All and else one tenant or model, has a day
of samples: recorded series every ``--recorded`` seconds, scraped ones every ``--scrape``. All others have 15
minutes of them, and before that one every ``--others-every`` seconds (0: none), so that the index of each
block holds them. All is written by remote write in the order of time, and read once its blocks are written.
``promtool tsdb create-blocks-from openmetrics`` takes eight times as much CPU for a sample.

Queries are Grafana's for the last 24 h in 500 points (a step of 2 min), one at a time, ``--rounds`` times:
those of panels, annotations and menus. ``median_ms`` and ``max_ms`` are wall times at the client.
``cpu_seconds`` is what process_cpu_seconds_total of Prometheus grew by, in steps of 10 ms, over the rounds;
what else Prometheus does meanwhile is counted with it. ``series`` are those that the selectors of a query
match, ``samples`` what Prometheus says that a query read (stats=all); the values of a label have none. Exits
1 when a query fails, or has no data and must have. 10,000 identities are a million series: 8 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import requests
from support import remote_write
from support.board_selectors import RANGE_SECONDS, STEP_SECONDS, BoardQuery, board_queries, selectors
from support.board_series import Chunk, SeriesPlan, chunks, series_plans
from support.fleet import Fleet, registry_text
from support.servers import (
    Prometheus,
    SeriesRequests,
    cpu_seconds,
    last_scrape,
    resident_bytes,
    running_prometheus,
    wait_for_blocks,
)

from modelplane_dashboards import build
from modelplane_schema.registry import parse_registry

BLOCK_SECONDS = 900  # between two writes of a series, and what short series have at the end
MOST_SHOWN = 5
BOARD_LIMIT_MS, MENU_LIMIT_MS = 1_000, 1_000
LIMITS_MS = {"mp-tenant": 2_000, "mp-model": 2_000}
Measured = tuple[BoardQuery, dict[str, Any]]
_CONFIGURATION = "storage: {tsdb: {out_of_order_time_window: 2h}}\n"


class Writer:
    """Writes the samples of one chunk."""

    def __init__(self, chunk: Chunk, options: argparse.Namespace) -> None:
        self._chunk, self._interval = chunk, options.recorded if chunk.is_recorded else options.scrape
        self._others_every = options.others_every
        self._requests = SeriesRequests(chunk.labels())

    def bodies(self, start: int, end: int) -> Iterator[tuple[bytes, int]]:
        """Requests and their samples for the block after ``start``, of a day that ends at ``end``."""
        block_end = start + BLOCK_SECONDS
        times = np.arange(start + self._interval, block_end + 1, self._interval)
        if not self._chunk.is_long and block_end < end:
            due = self._others_every and (end - block_end) % self._others_every == 0
            times = times[-1:] if due else times[:0]
        if times.size:
            values = self._chunk.at(times)
            # A new layout for the last block: the longer ones of all short series together would take 3 GB.
            layout = SeriesRequests(self._chunk.labels()) if block_end == end else self._requests
            for body in layout.bodies(values, times * 1000):
                yield body, values.size


def write_day(port: int, parts: Sequence[Chunk], end: int, options: argparse.Namespace) -> int:
    """Write the day that ends at ``end`` in the order of time, and wait for its blocks; samples."""
    url, session, samples = f"http://127.0.0.1:{port}", requests.Session(), 0
    writers = [Writer(part, options) for part in parts]
    for start in range(end - RANGE_SECONDS, end, BLOCK_SECONDS):
        for writer in writers:
            for body, size in writer.bodies(start, end):
                remote_write.send(session, f"{url}/api/v1/write", body)
                samples += size
        hours = (start + BLOCK_SECONDS - end + RANGE_SECONDS) / 3600
        print(f"\rwrote {hours:.2f} of 24 h, {samples / 1e6:.1f} million samples", end="", file=sys.stderr)
    print(file=sys.stderr)
    wait_for_blocks(url, session, end, timeout=1200)
    return samples


class Client:
    """Asks a Prometheus as Grafana does for the day that ends at ``end``."""

    def __init__(self, prometheus: Prometheus, end: int) -> None:
        self._url, self._pid = f"http://127.0.0.1:{prometheus.port}/api/v1", prometheus.process.pid
        self._session, self._end = requests.Session(), end

    def figures(self, query: BoardQuery, series: int, rounds: int) -> dict[str, Any]:
        """Time, CPU and size of a query."""
        before, answers = cpu_seconds(self._pid), [self._request(query) for _ in range(rounds)]
        used = (cpu_seconds(self._pid) - before) / rounds
        content, milliseconds = answers[-1][0], [elapsed for _, elapsed in answers]
        # A list of values; or a result with statistics; or nothing after an error.
        data = content.get("data", [])
        result, stats = (data["result"], data["stats"]) if isinstance(data, dict) else (data, {})
        return {
            "query": query.name,
            "median_ms": round(statistics.median(milliseconds), 1),
            "max_ms": round(max(milliseconds), 1),
            "cpu_seconds": round(used, 3),
            "series": series,
            "samples": stats["samples"]["totalQueryableSamples"] if stats else None,
            "rows": len(result),
            "error": content.get("error", ""),
        }

    def _request(self, query: BoardQuery) -> tuple[dict[str, Any], float]:
        start, end = str(self._end - RANGE_SECONDS), str(self._end)
        begun = time.perf_counter()
        if query.kind == "values":
            form = {"match[]": query.text, "start": start, "end": end}
            answer = self._session.get(f"{self._url}/label/{query.label}/values", params=form, timeout=300)
        elif query.kind == "instant":
            form = {"query": query.text, "time": end, "stats": "all"}
            answer = self._session.post(f"{self._url}/query", form, timeout=300)
        else:
            form = {
                "query": query.text,
                "start": start,
                "end": end,
                "step": str(STEP_SECONDS),
                "stats": "all",
            }
            answer = self._session.post(f"{self._url}/query_range", form, timeout=300)
        elapsed = (time.perf_counter() - begun) * 1000
        content: dict[str, Any] = answer.json()
        return content, elapsed


def board_figures(measured: list[Measured]) -> dict[str, Any]:
    """What is reported of a board, or of the menus."""
    slowest = sorted((figure for _, figure in measured), key=lambda figure: -figure["median_ms"])
    return {
        "queries": len(measured),
        "median_of_all_ms": statistics.median(figure["median_ms"] for _, figure in measured),
        "cpu_seconds_of_all": round(sum(figure["cpu_seconds"] for _, figure in measured), 2),
        "slowest": slowest[:MOST_SHOWN],
        "errors": [f"{_title(query)}: {figure['error']}" for query, figure in measured if figure["error"]],
        "over_limit": [
            f"{_title(query)}: {figure['median_ms']:.0f} ms"
            for query, figure in measured
            if figure["median_ms"] > limit_ms(query)
        ],
        "without_data": [
            _title(query) + ("" if query.may_be_empty else ": must have data")
            for query, figure in measured
            if not figure["rows"]
        ],
    }


def _title(query: BoardQuery) -> str:
    return f"{query.board}, {query.name}"


def limit_ms(query: BoardQuery) -> int:
    """How long a query may take."""
    return MENU_LIMIT_MS if query.is_menu else LIMITS_MS.get(query.board, BOARD_LIMIT_MS)


def is_fault(query: BoardQuery, figure: dict[str, Any]) -> bool:
    """Whether a query failed, or has no data though it must have."""
    return bool(figure["error"]) or (not figure["rows"] and not query.may_be_empty)


class Workload(NamedTuple):
    """What boards ask, and the series that it takes."""

    queries: list[BoardQuery]
    plans: dict[str, SeriesPlan]
    parts: list[Chunk]

    def series_of(self, query: BoardQuery) -> int:
        """How many series a query selects."""
        return sum(self.plans[item.name].matching(item) for item in selectors(query))

    def series_count(self, *, is_long: bool) -> int:
        """How many series are long, or short."""
        return sum(len(part.rows) for part in self.parts if part.is_long is is_long)


def workload(fleet: Fleet, scrape_seconds: int) -> Workload:
    """All queries of the boards of a fleet, and all series that they select."""
    queries = list(board_queries(build(parse_registry(registry_text(fleet))), scrape_seconds))
    selected = [item for query in queries for item in selectors(query)]
    plans = {plan.name: plan for plan in series_plans((item.name for item in selected), fleet)}
    parts = [part for plan in plans.values() for part in chunks(plan, selected)]
    return Workload(queries, plans, parts)


def figures_of_all(client: Client, work: Workload, rounds: int) -> Iterator[Measured]:
    """Figures of each query, in their order."""
    for number, query in enumerate(work.queries, start=1):
        progress = f"query {number} of {len(work.queries)}: {query.board}, {query.name}"
        print(f"\r{progress:100.100}", end="", file=sys.stderr)
        yield query, client.figures(query, work.series_of(query), rounds)
    print(file=sys.stderr)


def measure(prometheus: Prometheus, options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """All figures, and whether a query has a fault."""
    work = workload(Fleet(options.tenants, options.models), options.scrape)
    begun, pid, end = time.monotonic(), prometheus.process.pid, last_scrape(STEP_SECONDS)
    samples = write_day(prometheus.port, work.parts, end, options)
    written, writing = time.monotonic() - begun, cpu_seconds(pid)
    measured = list(figures_of_all(Client(prometheus, end), work, options.rounds))
    of_boards = {
        board: [item for item in measured if item[0].board == board and not item[0].is_menu]
        for board in dict.fromkeys(query.board for query in work.queries)
    }
    figures = {
        "series": {"long": work.series_count(is_long=True), "short": work.series_count(is_long=False)},
        "samples_written": samples,
        "writing_seconds": {"wall": round(written), "cpu_of_prometheus": round(writing)},
        "resident_bytes": resident_bytes(pid),
        "load_average": os.getloadavg(),
        "boards": {board: board_figures(items) for board, items in of_boards.items()},
        "menus": board_figures([item for item in measured if item[0].is_menu]),
    }
    return figures, any(is_fault(query, figure) for query, figure in measured)


def main() -> None:
    """Write a day, ask all queries and print their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--scrape", type=int, default=60, help="seconds between two scrapes")
    parser.add_argument("--recorded", type=int, default=30, help="seconds between two evaluations of rules")
    parser.add_argument("--others-every", type=int, default=7200, help="seconds between samples of others")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prometheus", default="prometheus", help="the program")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        running_prometheus(Path(name), _CONFIGURATION, options.prometheus) as prometheus,
    ):
        figures, is_faulty = measure(prometheus, options)
    json.dump({"method": __doc__, "options": vars(options), **figures}, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.exit(1 if is_faulty else 0)


if __name__ == "__main__":
    main()
