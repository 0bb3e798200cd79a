"""Answers of every route that the plugin reads, recorded for its tests: ``python -m`` writes them anew."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

from datasource_support.fake_prometheus import serving
from datasource_support.fixed_prometheus import NOW, REGISTRY, STRANGE, FixedPrometheus
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.times import format_rfc3339

FILE = Path(__file__).parents[3] / "plugin" / "src" / "testing" / "answers.json"
_SPAN = f"from={(NOW - 600) * 1000}&to={NOW * 1000}"
_WHO = "model-name=resnet50&tenant-id=user-A"
_VERSIONS = "baseline=v1.0.0&candidate=v2%20%22%CE%B2%22"
_SERIES = {metric.name: f"metrics/{metric.name}?{_WHO}&{_SPAN}&step=300s" for metric in SERIES_METRICS}
_SERIES["drift"] = f"metrics/drift?model-name=resnet50&signal=age&{_SPAN}&step=300s"
PATHS = (
    "metrics", "tables", "annotations", "menus", "identity",
    *_SERIES.values(),
    f"slo?{_SPAN}",
    f"drift/top?model-name=resnet50&limit=3&{_SPAN}",
    f"drift/distribution?model-name=resnet50&model-version=v1.0.0&kind=input&signal=age&{_SPAN}",
    f"costs?{_SPAN}&group-by=tenant",
    f"compare?{_WHO}&{_VERSIONS}&{_SPAN}",
    f"compare/verdicts?{_WHO}&{_VERSIONS}&{_SPAN}",
    f"gate?{_WHO}&{_VERSIONS}&{_SPAN}",
    "triage", "registry",
    "alerts", "incidents", "silences", f"incidents/statistics?{_SPAN}",
    f"annotations/alerts?{_SPAN}", f"annotations/incidents?{_SPAN}",
    "menus/tenants", "menus/models?search=net", "menus/slos",
    f"metrics/latency?{_WHO}&quantile=95",
    "metrics/nothing",
    "nothing",
)  # fmt: skip
# It reads a month, which takes seconds of work.
SLOW_PATHS = (f"costs/forecast?to={NOW * 1000}",)


def alert(name: str, tenant: str, minutes: int, **ended: str) -> dict[str, Any]:
    """One alert of a notification, which began that many minutes ago."""
    started = (NOW - 60 * minutes) * 1000
    return {
        "status": "resolved" if ended else "firing",
        "labels": {"alertname": name, "tenant_id": tenant, "model_name": "resnet50", "severity": "critical"},
        "annotations": {"summary": f"{name} of {tenant}", "runbook_url": "https://runbooks.example/x"},
        "startsAt": format_rfc3339(started),
        "fingerprint": f"{name}-{tenant}",
        **ended,
    }


@contextmanager
def fixed_plane(alertmanager_urls: tuple[str, ...] = ()) -> Iterator[Flask]:
    """A backend over the fixed data, with two alerts."""
    with serving() as prometheus, tempfile.TemporaryDirectory() as folder:
        prometheus.reply = FixedPrometheus()
        (Path(folder) / "modelplane.yaml").write_text(REGISTRY)
        settings = Settings(
            prometheus_url=prometheus.url,
            database_url=f"sqlite:///{folder}/modelplane.db",
            registry_file=Path(folder) / "modelplane.yaml",
            alertmanager_urls=alertmanager_urls,
        )
        app = create_app(settings, clock=lambda: NOW)
        try:
            alerts = [alert("ModelDown", "user-A", 30), alert("SlowCalls", STRANGE, 20)]
            stored = app.test_client().post("/api/v1/alerts", json={"version": "4", "alerts": alerts})
            assert stored.status_code == 200, stored.text
            yield app
        finally:
            close_app(app)


def recorded(paths: Iterable[str] = PATHS) -> dict[str, Any]:
    """Status and body of each answer, by the path below ``/api/v1/``."""
    with fixed_plane() as app:
        client = app.test_client()
        responses = ((path, client.get(f"/api/v1/{path}")) for path in paths)
        return {path: {"status": response.status_code, "data": response.json} for path, response in responses}


def as_text(answers: dict[str, Any]) -> str:
    """The file of ``answers``: a line for each."""
    lines = (
        f"{json.dumps(path)}: {json.dumps(answer, ensure_ascii=False)}" for path, answer in answers.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(as_text(recorded((*PATHS, *SLOW_PATHS))), encoding="utf-8")
