"""How long a Prometheus takes to evaluate the rules of a large registry, against the interval of each group.

    python benchmarks/rule_evaluation.py --tenants 1000 --models 10 --prometheus /path/to/prometheus
    python benchmarks/rule_evaluation.py --tenants 1000 --models 10 --queries

The second asks each rule's expression as a query instead and counts Prometheus' CPU seconds, which other work
on the machine changes little: ``seconds`` and ``share`` are of CPU then, and ``cores`` the sum of shares. It
leaves out constants, the texts of alerts that fire, and storing what is recorded, in whose place is an answer
in JSON.

Prints JSON. Each tenant uses each model; an identity has 40 scraped series. 80 minutes of their samples are
written by remote write, and go on while rules are evaluated; and what rules read of the days before, recorded
every ``--memory-step`` seconds, which in production is more often, so that reading it costs more there. Then
rules are loaded as the bundle loads them (every 15 s unless a group says otherwise). ``seconds`` is the
wall time of a group's last evaluation, ``share`` the part of its interval that it took. Needs 4 GB for 10,000
identities. Signals, prices and tokens are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import requests
import yaml
from support import remote_write
from support.fleet import Fleet, FleetSeries, InfoSeries, registry_text, remembered, scraped
from support.rule_costs import Evaluator
from support.servers import (
    Prometheus,
    SeriesRequests,
    cpu_seconds,
    last_scrape,
    resident_bytes,
    running_prometheus,
)

from modelplane_alerts.render import CONSTANTS_GROUP, rule_files
from modelplane_schema.promql import duration_seconds
from modelplane_schema.registry import parse_registry

SCRAPED_SECONDS = 80 * 60
EVALUATION_SECONDS = 15  # of the bundle
MOST_RULES_SHOWN = 12
_CONFIGURATION = """
global: {{scrape_interval: 1m, evaluation_interval: {seconds}s}}
rule_files: ['{folder}/rules/*.yml']
storage: {{tsdb: {{out_of_order_time_window: 2h}}}}
"""


class Writer:
    """Writes the samples of some series to a Prometheus."""

    def __init__(self, port: int, series: FleetSeries | InfoSeries) -> None:
        self._url, self._session = f"http://127.0.0.1:{port}/api/v1/write", requests.Session()
        self._series, self._requests = series, SeriesRequests(series.labels())

    def write(self, times: range) -> int:
        """Write samples at ``times`` in seconds; their number."""
        if not times:
            return 0
        seconds = np.array(times, dtype=np.int64)
        values = self._series.values(seconds % (400 * 86_400))
        for body in self._requests.bodies(values, seconds * 1000):
            remote_write.send(self._session, self._url, body)
        return int(values.size)


def write_past(past: Writer, live: Writer, options: argparse.Namespace, end: int) -> int:
    """Write what is remembered and what was scraped until ``end``, in the order of time; samples."""
    step, samples, block = options.memory_step, 0, 3600
    for start in range(end - options.memory_days * 86_400, end, block):
        samples += past.write(range(start, start + block, step))
        first = max(start, end - SCRAPED_SECONDS)
        samples += live.write(range(first, start + block, options.scrape))
        print(f"\rwrote {samples / 1e6:.1f} million samples", end="", file=sys.stderr)
    print(file=sys.stderr)
    return samples


def catch_up(writers: tuple[Writer, ...], start: int, interval: int) -> int:
    """Write a sample of each series at each interval from ``start`` until now; the next time."""
    at = start
    while at <= time.time():
        for writer in writers:
            writer.write(range(at, at + 1))
        at += interval
    return at


def go_on(writers: tuple[Writer, ...], start: int, interval: int, done: threading.Event) -> None:
    """Write a sample of each series at each interval from ``start`` on until ``done``."""
    at = start
    while not done.wait(max(at - time.time(), 0)):
        at = catch_up(writers, at, interval)


def evaluated(url: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Load the rules and wait; the answers of /api/v1/rules a minute apart."""
    requests.post(f"{url}/-/reload", timeout=120).raise_for_status()
    for _ in range(options.minutes):
        time.sleep(60)
        answer: dict[str, Any] = requests.get(f"{url}/api/v1/rules", timeout=120).json()
        yield answer["data"]


def group_figures(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups with the median of their evaluations, the most expensive by time first."""
    seconds: dict[str, list[float]] = {}
    for answer in answers:
        for group in answer["groups"]:
            if not group["lastEvaluation"].startswith("0001-"):
                seconds.setdefault(group["name"], []).append(group["evaluationTime"])
    figures = [
        {
            "group": group["name"],
            "rules": len(group["rules"]),
            "interval": group["interval"],
            "seconds": round(float(np.median(seconds[group["name"]])), 3),
            "share": round(float(np.median(seconds[group["name"]])) / group["interval"], 4),
        }
        for group in answers[-1]["groups"]
        if group["name"] in seconds
    ]
    return sorted(figures, key=lambda figure: -figure["share"])


def rule_figures(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The rules that take the largest share of their interval."""
    figures = [
        {
            "rule": rule["name"], "group": group["name"], "seconds": round(rule["evaluationTime"], 3),
            "share": round(rule["evaluationTime"] / group["interval"], 4), "health": rule["health"],
            "error": rule.get("lastError", ""),
        }
        for group in answer["groups"]
        for rule in group["rules"]
    ]  # fmt: skip
    failed = [figure for figure in figures if figure["health"] == "err"]
    return failed + sorted(figures, key=lambda figure: -figure["share"])[:MOST_RULES_SHOWN]


def metric(url: str, name: str) -> float:
    """The sum of a metric of Prometheus itself."""
    lines = requests.get(f"{url}/metrics", timeout=60).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def list_figures(url: str) -> dict[str, Any]:
    """Size and time of the list of rules, which boards and doctor read."""
    start = time.monotonic()
    answer = requests.get(f"{url}/api/v1/rules", timeout=120)
    return {"bytes": len(answer.content), "seconds": round(time.monotonic() - start, 2)}


def query_figures(prometheus: Prometheus, files: Mapping[str, str], instant: int) -> dict[str, Any]:
    """What rules cost by their expressions, the most expensive groups first; and the cores that all need."""
    groups = [group for text in files.values() for group in yaml.load(text, yaml.CSafeLoader)["groups"]]
    evaluator, figures, costs = Evaluator(prometheus, instant), [], []
    for group in groups:
        if group["name"] == CONSTANTS_GROUP:
            evaluator.record_constants(group["rules"])
            continue
        interval = duration_seconds(group.get("interval", f"{EVALUATION_SECONDS}s"))
        of_group = [evaluator.cost(rule) for rule in group["rules"]]
        seconds = sum(cost.seconds for cost in of_group)
        figures.append(_figure({"group": group["name"], "rules": len(of_group)}, interval, seconds))
        costs += [
            _figure(
                {"rule": cost.rule, "group": group["name"], "series": cost.series}, interval, cost.seconds
            )
            for cost in of_group
        ]
    return {
        "cores": round(sum(figure["share"] for figure in figures), 3),
        "groups": sorted(figures, key=lambda figure: -figure["share"]),
        "rules": sorted(costs, key=lambda figure: -figure["share"])[:MOST_RULES_SHOWN],
    }


def _figure(of: dict[str, Any], interval: float, seconds: float) -> dict[str, Any]:
    return {**of, "interval": interval, "seconds": round(seconds, 3), "share": round(seconds / interval, 4)}


def measure(prometheus: Prometheus, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures, with an empty Prometheus that reads ``folder``/rules."""
    fleet = Fleet(options.tenants, options.models)
    labels = {"job": "models", "instance": "10.0.0.5:8000"}
    live = Writer(prometheus.port, FleetSeries(fleet, scraped(), **labels))
    loaded = Writer(prometheus.port, InfoSeries(fleet, **labels))
    past = Writer(prometheus.port, FleetSeries(fleet, remembered()))
    end, started = last_scrape(options.scrape), time.monotonic()
    samples = write_past(past, live, options, end)
    loaded.write(range(end - 3600, end, options.scrape))
    loading, files = time.monotonic() - started, rule_files(parse_registry(registry_text(fleet)))
    written = {"samples_written": samples, "writing_seconds": round(loading)}
    if options.queries:
        return {**written, **query_figures(prometheus, files, end)}
    return {
        **written,
        **evaluation_figures(prometheus, folder / "rules", files, (loaded, live), end, options),
    }


def evaluation_figures(
    prometheus: Prometheus,
    folder: Path,
    files: Mapping[str, str],
    writers: tuple[Writer, ...],
    end: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """What Prometheus says of its evaluations while it is written to."""
    url, before = f"http://127.0.0.1:{prometheus.port}", resident_bytes(prometheus.process.pid)
    done, start = threading.Event(), catch_up(writers, end, options.scrape)
    writing = threading.Thread(target=go_on, args=(writers, start, options.scrape, done))
    writing.start()
    try:
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        cpu, begun = cpu_seconds(prometheus.process.pid), time.monotonic()
        answers = list(evaluated(url, options))
        cores = (cpu_seconds(prometheus.process.pid) - cpu) / (time.monotonic() - begun)
        return {
            "groups": group_figures(answers),
            "rules": rule_figures(answers[-1]),
            "missed_iterations": metric(url, "prometheus_rule_group_iterations_missed_total"),
            "failures": metric(url, "prometheus_rule_evaluation_failures_total"),
            "cores_busy": round(cores, 2),
            "resident_bytes": {"before": before, "after": resident_bytes(prometheus.process.pid)},
            "head_series": metric(url, "prometheus_tsdb_head_series"),
            "rules_api": list_figures(url),
        }
    finally:
        done.set()
        writing.join()


def main() -> None:
    """Measure once: minutes of evaluations are many."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--scrape", type=int, default=60, help="seconds between two scrapes")
    parser.add_argument("--memory-days", type=int, default=3)
    parser.add_argument("--memory-step", type=int, default=300)
    parser.add_argument("--minutes", type=int, default=5, help="for which rules are evaluated")
    parser.add_argument("--queries", action="store_true", help="ask for each rule, and count CPU seconds")
    parser.add_argument("--prometheus", default="prometheus", help="the program")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        configuration = _CONFIGURATION.format(folder=folder, seconds=EVALUATION_SECONDS)
        with running_prometheus(folder, configuration, options.prometheus) as prometheus:
            figures = measure(prometheus, folder, options)
    json.dump({"method": __doc__, "options": vars(options), **figures}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
