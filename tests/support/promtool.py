"""What promtool says of a test of rules."""

from __future__ import annotations

import os
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
    _write(folder / "rules.yml", {"groups": [*groups]})
    _write(folder / "test.yml", {**content, "rule_files": ["rules.yml"]})
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        env={**os.environ, "GOGC": "400"},  # collecting garbage less often saves a quarter of its work
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, width=1_000_000), encoding="utf-8")
