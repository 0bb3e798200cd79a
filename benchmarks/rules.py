"""How long rules of a large registry take to render, and how large they are, against ``yaml.dump`` of them.

    python benchmarks/rules.py --tenants 1000 --models 10

Prints JSON. ``render`` is the whole of ``rule_files``; ``dump`` is PyYAML's C emitter on the same content,
the least that writing YAML costs. Seconds are CPU time of this process.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import yaml
from support.fleet import Fleet, registry_text

from modelplane_alerts.render import rule_files
from modelplane_schema.registry import parse_registry


def seconds(work: Any) -> tuple[float, Any]:
    """CPU seconds of ``work``, and what it returns."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    """Measure once, for rendering is a batch job."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10)
    arguments = parser.parse_args()
    text = registry_text(Fleet(arguments.tenants, arguments.models))
    parsing, registry = seconds(lambda: parse_registry(text))
    rendering, files = seconds(lambda: rule_files(registry))
    contents = [yaml.load(content, yaml.CSafeLoader) for content in files.values()]
    dumping, _ = seconds(lambda: [yaml.dump(content, Dumper=yaml.CSafeDumper) for content in contents])
    groups = [group for content in contents for group in content["groups"]]
    figures = {
        "method": "CPU seconds of one run; ratio is render / dump of the same content",
        "tenants": arguments.tenants,
        "models": arguments.models,
        "parse_seconds": round(parsing, 2),
        "render_seconds": round(rendering, 2),
        "dump_seconds": round(dumping, 2),
        "ratio": round(rendering / dumping, 2),
        "bytes": {name: len(content) for name, content in files.items()},
        "rules": sum(len(group["rules"]) for group in groups),
    }
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
