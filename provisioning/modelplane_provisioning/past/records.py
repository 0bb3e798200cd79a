"""What Prometheus would have recorded over a past, and when its alerts would have fired.

Rules that read records of other rules come after them: a Prometheus is started on the past for each level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.past.blocks import scratch_folder, write_blocks
from modelplane_provisioning.past.incidents import Incident, firing_series, incidents_of
from modelplane_provisioning.past.rules import SLOW_STEP_SECONDS, STEP_SECONDS, Rule, levels
from modelplane_provisioning.past.series import Series
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port


def add_records(database: Path, rules: Sequence[Rule], start: int, end: int) -> list[Incident]:
    """Write what ``rules`` give between two moments into a database that no Prometheus has open.

    Times are milliseconds. ProcessError and PlaneError when Prometheus or promtool do not.
    """
    *records, alerts = levels(rules)
    settled = start + SLOW_STEP_SECONDS * 1000  # when each record that an alert reads is there
    for level in records:
        with _prometheus(database) as process:
            prometheus = _connection(process)
            series = [entry for rule in level for entry in evaluate(prometheus, rule, start, end)]
        write_blocks(database, series)
    with _prometheus(database) as process:
        prometheus = _connection(process)
        incidents = [
            incident
            for rule in alerts
            for entry in evaluate(prometheus, rule, settled, end)
            for incident in incidents_of(entry, rule, end)
        ]
    write_blocks(database, (firing_series(incident, STEP_SECONDS) for incident in incidents))
    return incidents


def evaluate(prometheus: Connection, rule: Rule, start: int, end: int) -> Iterator[Series]:
    """The values of a rule at each of its evaluations, as series that bear its name and labels."""
    step = rule.seconds
    query = {
        "query": rule.expression,
        "start": -(-start // (step * 1000)) * step,
        "end": end / 1000,
        "step": step,
    }
    for result in prometheus.get("/api/v1/query_range", query)["data"]["result"]:
        labels = {name: value for name, value in result["metric"].items() if name != "__name__"}
        samples = np.array(result["values"], dtype=float)
        times = (samples[:, 0] * 1000).astype(np.int64)
        yield Series(rule.name, {**labels, **rule.labels}, times, samples[:, 1])


def _prometheus(database: Path) -> Process:
    """A Prometheus without targets and rules."""
    port = free_port()
    scratch = scratch_folder(database)
    configuration = scratch / "prometheus.yml"
    configuration.write_text("global: {}\n", encoding="utf-8")
    argv = [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={database}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    ready_url = f"http://127.0.0.1:{port}/-/ready"
    return Process("the Prometheus of the past", argv, scratch / "prometheus.log", ready_url=ready_url)


def _connection(process: Process) -> Connection:
    url = str(process.ready_url).removesuffix("/-/ready")
    return Connection("the Prometheus of the past", url, timeout_seconds=PATIENCE_SECONDS)
