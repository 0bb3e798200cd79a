"""Series, a registry and alerts of two tenants; everything that only the second one has is marked.

The same of the first tenant alone says what that one may be told: the second must make no difference to it.
A third tenant is in the registry and has no data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from modelplane_schema import metrics, recorded

NOW = 1_698_400_800  # 2023-10-27T10:00:00Z
SECONDS = 3 * 3600
RECENT = SECONDS - 1800  # when versions change
SCRAPE = 15
CALLER_TENANT, OTHER, QUIET, ABSENT = "acme", "globex", "quiet", "initech"
SHARED_MODEL, OTHER_MODEL, ABSENT_MODEL = "classifier", "globex-secret-model", "initech-secret-model"
OTHER_VERSION = "globex-v9"  # of the shared model
COMMON_SIGNAL = "common_age"  # of the shared model's versions that the first tenant calls
# What only the other tenant has: its names, its currency, and numbers that nothing else gives.
MARKERS = re.compile(rb"globex|gbx|777717|7\.77717", re.IGNORECASE)


class Use(NamedTuple):
    """Whose calls of which version on which device, and how much of them there is."""

    tenant: str
    model: str
    version: str
    rate: float
    share: float = 0.1
    device: str = "host/serve"
    device_type: str = "cpu-process"
    framework: str = "jax"
    tokens: tuple[str, ...] = ("input",)

    @property
    def of_model(self) -> dict[str, str]:
        """The labels of the version."""
        return {"model_name": self.model, "model_version": self.version, "framework": self.framework}


CALLER_USES = (
    Use(CALLER_TENANT, SHARED_MODEL, "v1", 1.0),
    Use(CALLER_TENANT, SHARED_MODEL, "v2", 2.0),
    # Neither listed nor priced as it should be, so that the tenant has warnings of its own.
    Use(CALLER_TENANT, SHARED_MODEL, "v1", 1.0, device="acme-lost", device_type="t4"),
)
OTHER_USES = (
    Use(OTHER, SHARED_MODEL, "v1", 777717.0, 0.27, tokens=("input", "reasoning")),
    Use(OTHER, SHARED_MODEL, OTHER_VERSION, 777717.0, 0.27),
    # The shared device under another type than the registry's.
    Use(OTHER, SHARED_MODEL, "v1", 777717.0, 0.01, device_type="globex-slice"),
    Use(OTHER, OTHER_MODEL, "globex-v1", 777717.0, 0.27, "globex-gpu", "globex-type", "globexfw"),
    Use(OTHER, OTHER_MODEL, "globex-v1", 777717.0, 0.27, "globex-lost", "globex-lost-type", "globexfw"),
    Use(OTHER, OTHER_MODEL, "globex-v1", 777717.0, 0.27, "globex-odd", "globex-odd-type", "globexfw"),
)


def exposition(with_others: bool = True) -> str:
    """The plane's series of both tenants, or of the first alone."""
    lines = (line for use in uses(with_others) for line in _lines(use))
    return "\n".join([*dict.fromkeys(lines), "# EOF", ""])


def uses(with_others: bool) -> tuple[Use, ...]:
    """What is called."""
    return (*CALLER_USES, *(OTHER_USES if with_others else ()))


def registry(with_others: bool = True) -> str:
    """The registry of both tenants, or of the first alone."""
    others = _others_registry() if with_others else {}
    of_types = {"device_type": "t4", "currency": "USD", "per": "hour"}
    content = {
        "apiVersion": "modelplane/v1",
        "tenants": [
            {"id": CALLER_TENANT, "budget": {"amount": 100, "currency": "USD"}},
            {"id": QUIET, "budget": {"amount": 100, "currency": "USD"}},
            *others.get("tenants", ()),
        ],
        "models": [_shared_model(with_others), *others.get("models", ())],
        "devices": {
            "inventory": [
                {"device": "host/serve", "device_type": "cpu-process", "from": "2023-10-01"},
                *others.get("inventory", ()),
            ],
            "prices": [
                {**of_types, "device_type": "cpu-process", "amount": 3.6, "effective_from": "2023-01-01"},
                {**of_types, "amount": 1, "effective_from": "2023-01-01"},
                {**of_types, "amount": 9, "effective_from": "2023-06-01"},
                *others.get("prices", ()),
            ],
        },
    }
    return json.dumps(content)


def _shared_model(with_others: bool) -> dict[str, Any]:
    input_price = {"kind": "input", "amount": 2, "currency": "USD", "effective_from": "2023-01-01"}
    reasoning = [
        {**input_price, "kind": "reasoning", "amount": amount, "effective_from": date}
        for amount, date in ((1, "2023-01-01"), (777717, "2023-06-01"))
    ]
    return {
        "name": SHARED_MODEL,
        "framework": "jax",
        "owner": "vision",
        "tenants": [CALLER_TENANT, QUIET, *([OTHER] if with_others else [])],
        "max_in_flight": 8,
        "versions": [
            {"version": "v1"},
            {"version": "v2", "stage": "canary"},
            *([{"version": OTHER_VERSION, "stage": "canary"}] if with_others else []),
            *([{"version": "globex-v10"}] if with_others else []),  # which nobody calls yet
        ],
        "slos": [_slo("availability")],
        "drift": {"visible_to_tenants": True},
        "token_prices": [input_price, *(reasoning if with_others else [])],
    }


def _slo(name: str) -> dict[str, Any]:
    return {"name": name, "objective": 0.99, "window": "1d", "indicator": {"type": "errors"}}


def _others_registry() -> dict[str, Any]:
    token_price = {"kind": "input", "amount": 7, "currency": "GBX", "effective_from": "2023-01-01"}
    price = {
        "device_type": "globex-type", "amount": 1, "currency": "GBX", "per": "hour",
        "effective_from": "2023-01-01",
    }  # fmt: skip
    return {
        "tenants": [
            {
                "id": OTHER,
                "name": "Globex Corporation",
                "budget": {"amount": 777717, "currency": "GBX"},
                "receivers": [{"type": "webhook", "url": "https://globex.example.org/hook"}],
            }
        ],
        "models": [
            {
                "name": OTHER_MODEL,
                "framework": "globexfw",
                "owner": "globex-owner",
                "tenants": [OTHER],
                "versions": [{"version": "globex-v1"}],
                "slos": [_slo("globex-slo")],
                "drift": {"visible_to_tenants": True},
                "token_prices": [
                    token_price,
                    {**token_price, "amount": 777717, "effective_from": "2023-06-01"},
                ],
            },
            {  # which nobody calls yet
                "name": "globex-planned-model",
                "framework": "jax",
                "owner": "globex-owner",
                "tenants": [OTHER],
                "versions": [{"version": "globex-v1", "stage": "production"}],
            },
        ],
        "inventory": [
            {"device": "globex-gpu", "device_type": "globex-type", "from": "2023-10-01"},
            {"device": "globex-odd", "device_type": "globex-type", "from": "2023-10-01"},
        ],
        "prices": [price, {**price, "amount": 777717, "effective_from": "2023-06-01"}],
    }


def _lines(use: Use) -> Iterator[str]:
    identity = {**use.of_model, "tenant_id": use.tenant}
    grows = partial(lambda seconds, rate: float(seconds) * rate, rate=use.rate)
    signal = {"kind": "input", "signal": f"{use.tenant}_age", "baseline": "0a1b"}
    bins = ("00", "01", metrics.MISSING_BIN)
    counted: dict[str, list[dict[str, str]]] = {
        metrics.REQUESTS.name: [{"outcome": outcome} for outcome in ("success", "failure")],
        metrics.TOKENS.name: [{"kind": kind} for kind in use.tokens],
        metrics.BUSINESS_EVENTS.name: [{"event": f"{use.tenant}-event"}],
        metrics.SIGNAL_OBSERVATIONS.name: [{**signal, "bin": name} for name in bins],
    }
    for histogram, bounds in ((metrics.LATENCY, ("0.1", "0.25")), (metrics.CONFIDENCE, ("0.5", "0.9"))):
        counted[f"{histogram.name}_bucket"] = [{"le": bound} for bound in (*bounds, "+Inf")]
        counted |= {f"{histogram.name}{suffix}": [{}] for suffix in ("_sum", "_count")}
    for name, labels in counted.items():
        for of_series in labels:
            yield from _samples(name, grows, {**identity, **of_series})
    yield from _common_signal(use, bins)
    yield from _samples(metrics.ACTIVE.name, lambda _: use.rate, identity)
    device = {"device": use.device, "device_type": use.device_type}
    yield from _samples(
        metrics.DEVICE_SECONDS.name, lambda seconds: seconds * use.share, {**identity, **device}
    )
    yield from _of_version(use, signal, bins)


def _common_signal(use: Use, bins: tuple[str, ...]) -> Iterator[str]:
    """A signal that is counted for all tenants together, the same whoever else calls the version."""
    is_called = any((use.model, use.version) == (other.model, other.version) for other in CALLER_USES)
    name, rate = (COMMON_SIGNAL, 1.0) if is_called else (f"{use.tenant}_common", use.rate)
    signal = {"kind": "input", "signal": name, "baseline": "0a1b"}
    identity = {**use.of_model, "tenant_id": metrics.ALL_TENANTS, **signal}
    for place in bins:
        labels = {**identity, "bin": place}
        yield from _samples(metrics.SIGNAL_OBSERVATIONS.name, lambda seconds: seconds * rate, labels)
        ratio = {**use.of_model, **signal, "bin": place}
        yield from _samples(metrics.BASELINE_RATIO.name, lambda _: 1 / 3, ratio)
    yield from _samples(metrics.BASELINE_OBSERVATIONS.name, lambda _: 1000.0, {**use.of_model, **signal})


def _of_version(use: Use, signal: Mapping[str, str], bins: tuple[str, ...]) -> Iterator[str]:
    """What is known of a version; all but the first of its model appear in the last hour."""
    start = 0 if use.version == "v1" else RECENT
    for name in bins:
        labels = {**use.of_model, **signal, "bin": name}
        yield from _samples(metrics.BASELINE_RATIO.name, lambda _: 1 / 3, labels)
    yield from _samples(metrics.BASELINE_OBSERVATIONS.name, lambda _: 1000.0, {**use.of_model, **signal})
    information = {"owner": f"{use.tenant}-owner", "stage": "production", "framework_version": "1"}
    yield from _samples(metrics.MODEL_INFO.name, lambda _: 1.0, {**use.of_model, **information}, start)
    yield from _samples(recorded.PRODUCTION_VERSION.name, lambda _: 1.0, use.of_model, start)
    yield from _samples(recorded.MAX_IN_FLIGHT.name, lambda _: 8.0, {"model_name": use.model})


def _samples(
    name: str, value: Callable[[int], float], labels: Mapping[str, str], start: int = 0
) -> Iterator[str]:
    """The samples of one series."""
    shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
    for seconds in range(start, SECONDS, SCRAPE):
        yield f"{name}{{{shown}}} {value(seconds)!r} {NOW - SECONDS + seconds}"


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
    return {
        "version": "4", "groupKey": "g", "status": "firing", "receiver": f"{tenant}-receiver",
        "alerts": [alert],
    }  # fmt: skip
