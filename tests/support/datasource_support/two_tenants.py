"""Series, a registry and alerts of two tenants; what only the second one has is marked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from modelplane_schema import metrics
from modelplane_schema.metrics import Metric

NOW = 1_698_400_800  # 2023-10-27T10:00:00Z
SECONDS = 3 * 3600
SCRAPE = 15
CALLER_TENANT, OTHER, ABSENT = "acme", "globex", "initech"
SHARED_MODEL, OTHER_MODEL, ABSENT_MODEL = "classifier", "globex-secret-model", "initech-secret-model"
# What only the other tenant has: its names, and numbers that nothing else gives.
MARKERS = re.compile(rb"globex|777717|7\.77717", re.IGNORECASE)
REGISTRY = f"""
apiVersion: modelplane/v1
tenants:
  - {{id: {CALLER_TENANT}, budget: {{amount: 100, currency: USD, period: month}}}}
  - {{id: {OTHER}, name: "Globex Corporation", budget: {{amount: 777717, currency: USD, period: month}}}}
models:
  - name: {SHARED_MODEL}
    framework: jax
    owner: vision
    tenants: [{CALLER_TENANT}, {OTHER}]
    max_in_flight: 8
    versions: [{{version: v1, stage: production}}, {{version: v2}}]
    slos: [{{name: availability, objective: 0.99, window: 1d, indicator: {{type: errors}}}}]
  - name: {OTHER_MODEL}
    framework: jax
    owner: globex-owner
    tenants: [{OTHER}]
    versions: [{{version: globex-v1, stage: production}}]
    slos: [{{name: globex-slo, objective: 0.99, window: 1d, indicator: {{type: errors}}}}]
devices:
  inventory: [{{device: host/serve, device_type: cpu-process, from: 2023-10-01}}]
  prices: [{{device_type: cpu-process, amount: 3.6, currency: USD, per: hour, effective_from: 2023-01-01}}]
"""


class Use(NamedTuple):
    """Whose calls of which version, and how much of them there is."""

    tenant: str
    model: str
    version: str
    rate: float


USES = (
    Use(CALLER_TENANT, SHARED_MODEL, "v1", 1.0),
    Use(CALLER_TENANT, SHARED_MODEL, "v2", 2.0),
    Use(OTHER, SHARED_MODEL, "v1", 777717.0),
    Use(OTHER, OTHER_MODEL, "globex-v1", 777717.0),
)


def lines_of(metric: Metric, suffix: str, value: Callable[[int], float], **labels: str) -> Iterator[str]:
    """The samples of one series."""
    shown = ",".join(f'{name}="{text}"' for name, text in labels.items())
    for seconds in range(0, SECONDS, SCRAPE):
        yield f"{metric.name}{suffix}{{{shown}}} {value(seconds)!r} {NOW - SECONDS + seconds}"


def exposition() -> str:
    """The plane's series of both tenants."""
    lines: list[str] = []
    for use in USES:
        identity = dict(zip(metrics.IDENTITY, (use.model, use.version, use.tenant, "jax"), strict=True))
        of_model = {name: text for name, text in identity.items() if name != "tenant_id"}
        grows = partial(lambda seconds, rate: float(seconds) * rate, rate=use.rate)
        for metric, labels in (
            *((metrics.REQUESTS, {"outcome": outcome}) for outcome in ("success", "failure")),
            (metrics.TOKENS, {"kind": "prompt"}),
            *(
                (metrics.SIGNAL_OBSERVATIONS, {
                    "kind": "input", "signal": f"{use.tenant}_age", "baseline": "0a1b", "bin": bin_,
                })
                for bin_ in ("00", "01", metrics.MISSING_BIN)
            ),
        ):  # fmt: skip
            lines += lines_of(metric, "", grows, **identity, **labels)
        share = partial(
            lambda seconds, part: seconds * part, part=0.1 if use.tenant == CALLER_TENANT else 0.27
        )
        device = {"device": "host/serve", "device_type": "cpu-process"}
        lines += lines_of(metrics.DEVICE_SECONDS, "", share, **identity, **device)
        always = partial(lambda _, rate: rate, rate=use.rate)
        lines += lines_of(metrics.ACTIVE, "", always, **identity)
        for histogram, bounds in ((metrics.LATENCY, ("0.1", "0.25")), (metrics.CONFIDENCE, ("0.5", "0.9"))):
            for bound in (*bounds, "+Inf"):
                lines += lines_of(histogram, "_bucket", grows, **identity, le=bound)
            for suffix in ("_sum", "_count"):
                lines += lines_of(histogram, suffix, grows, **identity)
        signal = {"kind": "input", "signal": f"{use.tenant}_age", "baseline": "0a1b"}
        for bin_ in ("00", "01", metrics.MISSING_BIN):
            lines += lines_of(metrics.BASELINE_RATIO, "", lambda _: 1 / 3, **of_model, **signal, bin=bin_)
        lines += lines_of(metrics.BASELINE_OBSERVATIONS, "", lambda _: 1000.0, **of_model, **signal)
        information = {"owner": f"{use.tenant}-owner", "stage": "production", "framework_version": "1"}
        lines += lines_of(metrics.MODEL_INFO, "", lambda _: 1.0, **of_model, **information)
    return "\n".join([*lines, "# EOF", ""])


def notification(tenant: str, model: str, name: str) -> dict[str, Any]:
    """A webhook payload about one alert."""
    alert = {
        "status": "firing",
        "labels": {"alertname": name, "severity": "critical", "tenant_id": tenant, "model_name": model},
        "annotations": {"summary": f"{tenant} burns", "description": f"{tenant} has errors"},
        "startsAt": "2023-10-27T09:30:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"http://{tenant}.example.org",
        "fingerprint": f"{tenant}-{name}".encode().hex()[:16],
    }
    return {"version": "4", "groupKey": "g", "status": "firing", "receiver": "x", "alerts": [alert]}
