"""`modelplane demo`: every installed framework, all the way to the store and the boards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_provisioning.examples import read_catalogue
from modelplane_provisioning.processes import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
# What Prometheus must hold from before it started.
FACTS = {
    "wine-grader": "drift of wine-grader in color_intensity; drift of wine-grader in proline",
    "digit-scanner": "burn of digit-scanner for north-clinic",
    "digit-reader": "deploy of digit-reader v1.3.0",
}


@pytest.mark.usefixtures("customary_ports_taken", "all_examples_alone")
def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    services = [service for service in read_catalogue(ROOT / "examples") if service.installed]
    command = [Path(sys.executable).with_name("modelplane"), "demo", "--seconds", "30"]
    run = subprocess.run(
        [*map(str, command), "--examples", str(ROOT / "examples"), "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE_SECONDS,
    )
    logs = "\n".join(log.read_text(errors="replace")[-2000:] for log in (tmp_path / "data/logs").glob("*"))
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}\n{logs}"
    assert f"every framework has data in Prometheus: {len(services)} frameworks" in run.stdout
    assert "FAIL" not in run.stdout
    for promise in (
        "writing the hours before",
        "incidents of the past",
        "first full table after",
        "what to look at",
        "/d/mp-fleet",
        "alerts went Prometheus -> Alertmanager -> store",
        "drift reaches owners, and failures tenants",
        "the latency API returns versions side by side",
        "every panel query returns data",
        "docker compose -f",
    ):
        assert promise in run.stdout
    past = next(line for line in run.stdout.splitlines() if "the past holds what befell the models" in line)
    for service in services:
        assert service.framework in run.stdout
        assert (fact := FACTS.get(service.model_name)) is None or fact in past
    assert not (tmp_path / "data" / "plane.json").exists()
