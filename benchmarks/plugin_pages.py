"""How long the plugin's Triage page and its menus take before a registry of 1,000 tenants and 10 models.

Each model serves each tenant. A real Prometheus has calls of nine tenths of these 10,000 pairs, so that the
others were never seen, and of a ninth of those a burn rate beyond its limit; it is asked anew each time, for
the backend caches nothing. The page is the built plugin in headless Chromium with Grafana's npm packages, as
``make plugin-harness`` builds it, with the development build of React, which is the slower one. Times are
taken in the page. *title* and *rows* begin with the call that loads the plugin's module, and end with the
frame in which the page's title and the first row of the table are there. *search* begins with the last key of
a name of a tenant, and ends with the frame in which the menu has that tenant first. Prints JSON, with the
requests of a page.

Example: python benchmarks/plugin_pages.py --rounds 10
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import requests
from support import fleet, remote_write, servers

from modelplane_schema import metrics
from modelplane_schema.recorded_slo import SLO_BURN_RATE

HARNESS = Path(__file__).parents[1] / "plugin" / "harness"
FLEET = fleet.Fleet(tenants=1_000, models=10)
SERIES_AT_ONCE = 4_000
LIMIT_MS = 1_500
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
# Resolves with milliseconds from the call to the frames after which something is there.
SHOW = """async () => {
  const start = performance.now();
  const frameWith = (selector) => new Promise((resolve) => {
    const look = () => document.querySelector(selector)
      ? requestAnimationFrame(() => resolve(performance.now() - start)) : requestAnimationFrame(look);
    look();
  });
  const shown = Promise.all([frameWith('main h1'), frameWith('main tbody tr')]);
  await showPage('triage', 'dark', 'Viewer');
  return shown;
}"""
SEARCH = """(text) => new Promise((resolve) => {
  const start = performance.now();
  const look = () => {
    const options = [...document.querySelectorAll('[role=option]')].map(({ textContent }) => textContent);
    return options[0] === text ? requestAnimationFrame(() => resolve(performance.now() - start))
      : requestAnimationFrame(look);
  };
  look();
})"""


def write_samples(port: int) -> None:
    """One sample of each series, of now."""
    identities = FLEET.identities
    seen = [labels for number, labels in enumerate(identities) if number % 10]
    series = [
        *({**labels, "__name__": metrics.REQUESTS.name, "outcome": "success"} for labels in seen),
        *({**labels, "__name__": SLO_BURN_RATE.over("1h").name, "slo": "availability"} for labels in seen),
    ]
    burning = [20.0 if number % 10 == 1 else 0.5 for number, _ in enumerate(seen)]
    values = np.array([*([100.0] * len(seen)), *burning])[:, None]
    times = np.array([int(time.time()) * 1000], dtype=np.int64)
    session = requests.Session()
    for at in range(0, len(series), SERIES_AT_ONCE):
        part = slice(at, at + SERIES_AT_ONCE)
        body = remote_write.Request(series[part], 1).body(values[part], times)
        remote_write.send(session, f"http://127.0.0.1:{port}/api/v1/write", body)


def measure(browser: Any, address: str, proxy: Any, before: Any, rounds: int) -> dict[str, Any]:
    """Milliseconds of each round, and what a page asked for."""
    columns: dict[str, list[float]] = {"title": [], "rows": [], "search": []}
    for number in range(rounds):
        before()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        proxy.requests.clear()
        title, rows = page.evaluate(SHOW)
        asked = list(proxy.requests)
        wanted = f"tenant-{(number * 90 + 1) % FLEET.tenants:04d}"
        page.locator("#tenant-id").press_sequentially(wanted)
        search = page.evaluate(SEARCH, wanted)
        for name, value in zip(columns, (title, rows, search), strict=True):
            columns[name].append(value)
        footer = page.get_by_text("1 to 50 of").inner_text()
        page.close()
    return {
        "milliseconds": {name: _summary(values) for name, values in columns.items()},
        "within_limit": statistics.median(columns["rows"]) <= LIMIT_MS,
        "requests": asked,
        "table": footer,
    }


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values)), "worst": round(max(values))}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    if not (HARNESS / "build" / "harness.js").exists():
        print(json.dumps({"not_measured": "the page is not built; make plugin-harness builds it"}))
        return
    sys.path.insert(0, str(HARNESS))
    from harness_server import remote, served
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, servers.running_prometheus(Path(name)) as prometheus:
        folder = Path(name)
        (folder / "modelplane.yaml").write_text(fleet.registry_text(FLEET))
        env = servers.environment(prometheus, folder, folder / "modelplane.yaml", cache_seconds=0)
        with (
            servers.running_backend("backend", folder, env) as (port, _),
            served(remote(f"http://127.0.0.1:{port}", "")) as (address, proxy),
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            figures = measure(
                browser, address, proxy, lambda: write_samples(prometheus.port), arguments.rounds
            )
            browser.close()
    environment = {"python": platform.python_version(), "tenants": FLEET.tenants, "models": FLEET.models}
    print(json.dumps({"environment": environment, "limit_ms": LIMIT_MS, **figures}, indent=2))


if __name__ == "__main__":
    main()
