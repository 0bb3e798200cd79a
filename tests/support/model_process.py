"""The model that plane tests watch, of ``tests/integration/model_service.py``: its process and registry."""

from __future__ import annotations

import sys
from pathlib import Path

from modelplane_provisioning.processes import Process

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: user-A}, {id: "user B & co"}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, "user B & co"]
    targets: ["127.0.0.1:PORT"]
    versions: [{version: v1.2.0, stage: production}, {version: v1.3.0, stage: canary}]
    slos: [{name: latency, objective: 0.95, window: 30d, indicator: {type: latency, threshold_seconds: 0.01}}]
"""
SERVICE = Path(__file__).parents[1] / "integration" / "model_service.py"


def service_process(folder: Path, port: int) -> Process:
    """It serves metrics on loopback, and logs into ``folder``."""
    env = {"MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1", "MODELPLANE_EXPORTER_PORT": str(port)}
    url = f"http://127.0.0.1:{port}/metrics"
    return Process("model", [sys.executable, str(SERVICE)], folder / "model.log", env, url)


def write_registry(folder: Path, port: int) -> Path:
    """The registry of the model that serves on ``port``, in ``folder``."""
    path = folder / "modelplane.yaml"
    path.write_text(REGISTRY.replace("PORT", str(port)), encoding="utf-8")
    return path
