"""What boards of a large registry cost: time and memory of reading it, and of writing its boards.

    python benchmarks/boards.py --tenants 10 100 1000 --models 10

Each tenant has models of its own, so that 1,000 tenants with 10 models have 11,000 boards of one tenant or
model besides the shared ones. Each step is a process of its own, as a command is: its seconds, of the clock
and of the CPU, begin before it reads the registry and leave out the start of Python; its memory is the peak
of the whole process. ``json_dumps`` is what writing JSON costs at least: the same boards as dictionaries,
one after the other, through ``json.dumps`` with the same options; only these calls are timed. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from support.fleet import FRAMEWORK, SLOS, VERSION

import modelplane_dashboards
from modelplane_schema.alert_coverage import coverage_warnings
from modelplane_schema.registry import Registry, load_registry

METHOD = "one process a step; cpu and clock seconds without the start of Python; peak memory of the process"


def registry_text(tenants: int, models: int) -> str:
    """A registry in which each tenant has ``models`` models of its own, with two SLOs each."""
    names = [f"tenant-{number:04d}" for number in range(tenants)]
    content = {
        "apiVersion": "modelplane/v1",
        "tenants": [{"id": name, "name": name.title()} for name in names],
        "models": [
            {
                "name": f"model-{tenant[7:]}-{number:02d}", "framework": FRAMEWORK, "owner": "team",
                "tenants": [tenant], "max_in_flight": 8, "versions": [{"version": VERSION}], "slos": SLOS,
            }
            for tenant in names
            for number in range(models)
        ],
    }  # fmt: skip
    return yaml.dump(content, Dumper=_PlainDumper, sort_keys=False)


class _PlainDumper(yaml.CSafeDumper):
    """Writes every model out, as people do, and no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def check_registry(registry: Registry, out: Path) -> int:
    """What ``registry check`` does once the registry is read."""
    return len(coverage_warnings(registry))


def write_shared(registry: Registry, out: Path) -> int:
    """The boards with menus, into a folder of their own."""
    folder = out.with_name("shared")
    return len(
        modelplane_dashboards.write(modelplane_dashboards.files(registry, per_entity="never"), folder).written
    )


def write_all(registry: Registry, out: Path) -> int:
    """Every board, and how many were written."""
    return len(
        modelplane_dashboards.write(modelplane_dashboards.files(registry, per_entity="always"), out).written
    )


def dump_all(registry: Registry, out: Path) -> int:
    """The boards of the folder through ``json.dumps``; returns the CPU nanoseconds of these calls."""
    spent = 0
    for path in out.glob("*/*.json"):
        board = json.loads(path.read_bytes())
        start = time.process_time_ns()
        json.dumps(board, ensure_ascii=False, indent=2, sort_keys=True)
        spent += time.process_time_ns() - start
    return spent


STEPS: dict[str, Callable[[Registry, Path], int]] = {
    "registry_check": check_registry,
    "shared_boards": write_shared,
    "all_boards": write_all,
    "unchanged": write_all,
    "one_changed_tenant": write_all,
    "json_dumps": dump_all,
}


def run_step(name: str, registry: Path, out: Path) -> dict[str, float]:
    """Do one step in this process."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = STEPS[name](load_registry(registry), out)
    return {
        "clock_seconds": round(time.perf_counter() - clock, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "result": result,
    }


def measure(tenants: int, models: int) -> dict[str, object]:
    """All steps for one registry, in the order in which each finds the folder as it expects it."""
    with tempfile.TemporaryDirectory() as folder:
        registry, out = Path(folder, "modelplane.yaml"), Path(folder, "boards")
        text = registry_text(tenants, models)
        steps: dict[str, dict[str, float]] = {}
        for name in STEPS:
            renamed = text.replace("name: Tenant-0003\n", "name: Another\n") if "changed_" in name else text
            registry.write_text(renamed, encoding="utf-8")
            command = [sys.executable, __file__, "--step", name, str(registry), str(out)]
            steps[name] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        dumping = steps["json_dumps"].pop("result") / 1e9
        steps["json_dumps"] = {"cpu_seconds": round(dumping, 2)}
        return {
            "tenants": tenants,
            "models": tenants * models,
            "registry_bytes": len(text),
            "boards": len(list(out.glob("*/*.json"))),
            "bytes": sum(path.stat().st_size for path in out.glob("*/*.json")),
            "steps": steps,
            "all_boards_to_json_dumps": round(steps["all_boards"]["cpu_seconds"] / dumping, 2),
        }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenants", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--models", type=int, default=10, help="models of each tenant")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "REGISTRY", "OUT"), help="do one step, here")
    arguments = parser.parse_args()
    if arguments.step:
        name, registry, out = arguments.step
        answer: object = run_step(name, Path(registry), Path(out))
    else:
        fleets = [measure(tenants, arguments.models) for tenants in arguments.tenants]
        answer = {"method": METHOD, "fleets": fleets}
    json.dump(answer, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
