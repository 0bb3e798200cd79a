"""Series of situations and what is to be seen in them, in the notation of promtool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOUR, DAY = 60, 1440
Series = Mapping[str, str]


def labelled(name: str, **labels: str) -> str:
    return f"{name}{{{','.join(f'{key}={value!r}' for key, value in labels.items())}}}".replace("'", '"')


def call_labels(**labels: str) -> dict[str, str]:
    identity = {
        "model_name": "resnet50",
        "model_version": "v1",
        "tenant_id": "user-A",
        "framework": "pytorch",
    }
    return {**identity, **labels}


def calls(values: str, outcome: str = "success", **labels: str) -> Series:
    labels = call_labels(outcome=outcome, **labels)
    return {labelled("model_inference_requests_total", **labels): values}


def latencies(fast: str, every: str, le: str = "0.25", **labels: str) -> Series:
    name = "model_inference_latency_seconds"
    return {
        labelled(f"{name}_bucket", **call_labels(le=le, **labels)): fast,
        labelled(f"{name}_bucket", **call_labels(le="+Inf", **labels)): every,
        labelled(f"{name}_count", **call_labels(**labels)): every,
    }


def loaded(values: str = "1x2000", **labels: str) -> Series:
    described = {"model_name": "resnet50", "model_version": "v1", "framework": "pytorch", **labels}
    return {labelled("model_info", **described): values}


@dataclass(frozen=True)
class Expected:
    """How many instances of ``alert`` fire at ``minute``, and for whom and how severe."""

    minute: int
    alert: str
    instances: int = 1
    severity: str = ""
    tenant_id: str = ""
    owner: str = ""
    cluster: str = ""
    model_version: str = ""

    def as_test(self) -> dict[str, Any]:
        chosen = {
            key: getattr(self, key)
            for key in ("severity", "tenant_id", "owner", "cluster", "model_version")
            if getattr(self, key)
        }
        chosen |= {"alertname": self.alert, "alertstate": "firing"}
        samples = [{"labels": "{}", "value": self.instances}] if self.instances else []
        return {
            "expr": f"count({labelled('ALERTS', **chosen)})",
            "eval_time": f"{self.minute}m",
            "exp_samples": samples,
        }


Situations = dict[str, tuple[Series, Sequence[Expected]]]
