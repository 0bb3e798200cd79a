"""Call the inference functions of an example service, and print what came of it as JSON.

Usage: ``example_calls.py SERVICE``, a module of ``examples/services``. First each kind of bad input after
good input, REFUSED_ROWS times; then two phases of random rows, as clients would send them.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys

import numpy as np
from prometheus_client import generate_latest
from replay import Phase, Workload, next_call, truncated, with_gap

from modelplane_exporter import tenant

REFUSED_ROWS = 20
CALLS = 350
"""In a phase, of each version for each tenant."""
PHASES = (Phase("normal"), Phase("drift", drift_share=1.0))


def refusals(workload: Workload) -> list[tuple[str, bool | str]]:
    """For each call the kind of its input, and whether its answer has a confidence, or the error."""
    rng = np.random.default_rng(0)
    outcomes: list[tuple[str, bool | str]] = []
    with tenant(workload.tenants[0]):
        for endpoint in workload.endpoints:
            for row in workload.rows[:REFUSED_ROWS]:
                inputs = {
                    "good": row,
                    "drifted": workload.drift(row, rng),
                    "truncated": truncated(row),
                    "gap": with_gap(row, rng),
                }
                for kind, features in inputs.items():
                    try:
                        confidence = float(str(endpoint.predict(features, 0.0)["confidence"]))
                        outcomes.append((kind, 0 < confidence <= 1))
                    except Exception as error:  # noqa: BLE001 - whatever the framework raises
                        outcomes.append((kind, type(error).__name__))
    return outcomes


def send(workload: Workload, phase: Phase) -> None:
    rng = np.random.default_rng(0)
    for tenant_id in workload.tenants:
        with tenant(tenant_id):
            for endpoint in workload.endpoints:
                for _ in range(CALLS):
                    endpoint.predict(next_call(phase, workload, rng).row, 0.0)


def main(service: str) -> None:
    logging.basicConfig(level=logging.INFO)
    workload: Workload = importlib.import_module(service).build()
    outcomes = refusals(workload)
    expositions = {"refusals": generate_latest().decode()}
    for phase in PHASES:
        send(workload, phase)
        expositions[phase.name] = generate_latest().decode()
    sys.stdout.write(json.dumps([outcomes, expositions]))


if __name__ == "__main__":
    main(sys.argv[1])
