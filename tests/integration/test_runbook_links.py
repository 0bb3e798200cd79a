"""The link of each rendered alert opens, on a running backend, at the heading with the alert's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import requests
import yaml

from modelplane_provisioning.bundle.files import bundle_files, registry_targets
from modelplane_provisioning.bundle.site import CONTAINERS, PRODUCTION_TIMES, local_site
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port
from modelplane_schema.registry import Registry, load_registry

ROOT = Path(__file__).parents[2]


def rendered_alerts(registry: Registry, backend: str) -> list[dict[str, Any]]:
    """The alerting rules of a plane whose backend is at ``host:port``."""
    version = CONTAINERS.alertmanager_version
    site = local_site("/bundle", "/data", "127.0.0.1:9", "127.0.0.1:9", backend, version)
    files = bundle_files(registry, site, PRODUCTION_TIMES, registry_targets(registry))
    texts = [text for path, text in files.items() if path.startswith("prometheus/rules/")]
    groups = [group for text in texts for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_the_link_of_each_alert_opens_at_its_heading(
    tmp_path: Path, start_backend: Callable[..., Process]
) -> None:
    registry, port = load_registry(ROOT / "examples" / "modelplane.yaml"), free_port()
    start_backend(tmp_path, "http://127.0.0.1:9", port)
    alerts = rendered_alerts(registry, f"127.0.0.1:{port}")
    assert alerts
    page = requests.get(f"http://127.0.0.1:{port}/runbooks", timeout=PATIENCE_SECONDS)
    headings = dict(re.findall(r'<h2 id="([^"]*)">([^<]*)</h2>', page.text))
    for alert in alerts:
        address, anchor = urldefrag(alert["annotations"]["runbook_url"])
        assert address == page.url
        assert headings[anchor] == alert["alert"]
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_runbooks_of_ones_own_are_linked_to() -> None:
    registry = load_registry(ROOT / "examples" / "modelplane.yaml")
    urls = registry.urls.model_copy(update={"runbooks": "https://wiki.example.org/runbooks"})
    alerts = rendered_alerts(registry.model_copy(update={"urls": urls}), "127.0.0.1:9")
    assert {urldefrag(alert["annotations"]["runbook_url"])[0] for alert in alerts} == {urls.runbooks}
