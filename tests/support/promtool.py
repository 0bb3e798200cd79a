"""What promtool says of a test of rules."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from modelplane_provisioning.processes import PATIENCE_SECONDS


def complaints(
    promtool: str, folder: Path, groups: Sequence[Mapping[str, Any]], content: Mapping[str, Any]
) -> str:
    """Its complaints about the ``content`` of a test file on ``groups`` of rules, or nothing."""
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [*groups]}), encoding="utf-8")
    test = {**content, "rule_files": ["rules.yml"]}
    (folder / "test.yml").write_text(yaml.safe_dump(test, width=1_000_000), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr
