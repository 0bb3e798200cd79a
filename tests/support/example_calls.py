"""Call the inference functions of an example service, and print what came of it as JSON.

Usage: ``example_calls.py SERVICE``, a module of ``examples/services``. First each kind of bad input after
good input, REFUSED_ROWS times; then rows of the first and of the last chapter, as clients would send them.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from dataclasses import replace
from unittest import mock

import numpy as np
from prometheus_client import generate_latest
from replay import Workload, next_call, targets_of, truncated, with_gap

from modelplane_exporter import tenant

REFUSED_ROWS = 20
CALLS = 350
"""In a chapter, of each version for each tenant."""
MOMENTS = {"first": 0, "last": -1}
"""Which chapter of a story is replayed."""


def refusals(workload: Workload) -> list[tuple[str, bool | str]]:
    """For each call the kind of its input, and whether its answer has a confidence, or the error."""
    rng = np.random.default_rng(0)
    outcomes: list[tuple[str, bool | str]] = []
    with tenant(workload.tenants[0]):
        for endpoint in workload.endpoints:
            for row in workload.rows[:REFUSED_ROWS]:
                inputs = {
                    "good": row,
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


def send(workload: Workload, chapter: int) -> None:
    """Calls of one chapter, without the bad ones, and without waiting."""
    rng = np.random.default_rng(0)
    for target in targets_of(workload, workload.story.chapters[chapter]):
        effects = [replace(effect, bad_share=0.0) for effect in target.effects]
        with tenant(target.tenant_id):
            for _ in range(CALLS):
                target.endpoint.predict(next_call(effects, workload, rng).row, 0.0)


def main(service: str) -> None:
    logging.basicConfig(level=logging.INFO)
    workload: Workload = importlib.import_module(service).build()
    outcomes = refusals(workload)
    expositions = {"refusals": generate_latest().decode()}
    with mock.patch("time.sleep"):  # a stream waits for each of its words
        for moment, chapter in MOMENTS.items():
            send(workload, chapter)
            expositions[moment] = generate_latest().decode()
    sys.stdout.write(json.dumps([outcomes, expositions]))


if __name__ == "__main__":
    main(sys.argv[1])
