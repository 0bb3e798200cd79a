"""The examples that run, and what Prometheus holds of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.examples import ExampleService, example_process
from modelplane_provisioning.past.generate import Live
from modelplane_provisioning.past.incidents import Incident, notifications
from modelplane_provisioning.past.series import read_exposition
from modelplane_provisioning.past.stories import Story
from modelplane_provisioning.processes import (
    PATIENCE_SECONDS,
    Process,
    ProcessError,
    free_port,
    wait_until,
)
from modelplane_schema.expressions import FAILED, SUCCEEDED, everything, quantile
from modelplane_schema.metrics import (
    CONFIDENCE,
    LATENCY,
    MODEL_INFO,
    MODEL_NAME,
    MODEL_VERSION,
    REQUESTS,
    TENANT_ID,
)
from modelplane_schema.promql import total
from modelplane_schema.registry import Registry

JOB = "models"  # of prometheus.yml
_BY_MODEL = (MODEL_NAME,)


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What Prometheus holds of one model: counts since its start, latency in seconds."""

    framework: str
    model_name: str
    versions: int
    success: float
    failure: float
    confidence: float
    latency_p95: float

    @property
    def complete(self) -> bool:
        """Whether every column has data; a healthy model has no failures."""
        counts = (self.versions, self.success, self.confidence)
        return all(count > 0 for count in counts) and math.isfinite(self.latency_p95)


@dataclass(frozen=True, slots=True)
class Example:
    """A service that runs: its process, and where Prometheus scrapes it."""

    service: ExampleService
    process: Process
    address: str

    def scrape(self) -> Live:
        """What it exposes once each version has answered each tenant; ProcessError otherwise."""
        story = self.service.story
        expected = {
            (release.version, tenant) for release in story.releases for tenant, _ in story.calls_per_second
        }
        exposition = ""

        def complete() -> bool:
            nonlocal exposition
            answer = requests.get(f"http://{self.address}/metrics", timeout=PATIENCE_SECONDS)
            exposition = answer.text
            return not self.process.alive or expected <= _answered(exposition)

        if not wait_until(complete) or not self.process.alive:
            raise ProcessError(f"{self.process.name} answers no calls. {self.process.log_excerpt()}")
        return Live(self.service.model_name, exposition, {"job": JOB, "instance": self.address})


def example_services(folder: Path, services: Iterable[ExampleService], logs: Path) -> list[Example]:
    """The installed services, each to be started on a free port."""
    examples = []
    for service in services:
        if service.installed:
            port = free_port()
            process = example_process(folder, service, port, logs)
            examples.append(Example(service, process, f"127.0.0.1:{port}"))
    return examples


def targets(examples: Iterable[Example]) -> dict[str, list[str]]:
    """What Prometheus scrapes, by model."""
    return {example.service.model_name: [example.address] for example in examples}


def stories(examples: Iterable[Example]) -> Mapping[str, Story]:
    """What befalls the models that run."""
    return {example.service.model_name: example.service.story for example in examples}


def tell_incidents(webhook: Connection, incidents: Sequence[Incident]) -> int:
    """Notify the backend of the incidents that are over, as Alertmanager would have; how many they are."""
    over = [incident for incident in incidents if incident.end is not None]
    for notification in notifications(over):
        webhook.post("/api/v1/alerts", notification)
    return len(over)


def summary(prometheus: Connection, registry: Registry, past_end: int) -> list[ModelSummary]:
    """The summary of each model, in the order of the registry.

    Only versions that were scraped after the past ended (milliseconds) count; the last sample of a scrape is
    that of all its series, so that no other column is of the past then.
    """
    scraped = f"timestamp({MODEL_INFO.name}) > {past_end / 1000:.3f}"
    versions = _by_model(prometheus, f"count by ({MODEL_NAME}) ({scraped})")
    success = _by_model(prometheus, total(everything(REQUESTS.name, SUCCEEDED), _BY_MODEL))
    failure = _by_model(prometheus, total(everything(REQUESTS.name, FAILED), _BY_MODEL))
    confidence = _by_model(prometheus, total(f"{CONFIDENCE.name}_count", _BY_MODEL))
    p95 = quantile(0.95, LATENCY, everything, "5m", (*_BY_MODEL, "le"))
    latency = _by_model(prometheus, p95, absent=math.nan)
    return [
        ModelSummary(
            model.framework,
            model.name,
            int(versions[model.name]),
            success[model.name],
            failure[model.name],
            confidence[model.name],
            latency[model.name],
        )
        for model in registry.models
    ]


def _answered(exposition: str) -> set[tuple[str, str]]:
    """Versions and tenants with a call that succeeded."""
    return {
        (sample.labels[MODEL_VERSION], sample.labels[TENANT_ID])
        for sample in read_exposition(exposition)
        if sample.name == REQUESTS.name and sample.labels["outcome"] == "success" and sample.value > 0
    }


def _by_model(prometheus: Connection, expression: str, absent: float = 0.0) -> defaultdict[str, float]:
    values: defaultdict[str, float] = defaultdict(lambda: absent)
    for item in prometheus_query(prometheus, expression):
        values[item["metric"][MODEL_NAME]] = float(item["value"][1])
    return values
