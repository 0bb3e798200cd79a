"""Walks through pages and editors of the built plugin in headless Chromium, without a Grafana.

The page has Grafana's own packages; behind its ``getBackendSrv`` is a real backend, over fixed data or, with
``--backend``, one that runs. Pictures lie in ``plugin/harness/build``. ``make plugin-harness`` builds what
this needs and runs it.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from browser_walk import Walk
from editor_walks import walk_editors
from harness_server import PLUGIN, Wsgi, remote, served
from page_walks import (
    pages_of,
    walk_drift_signal,
    walk_failures,
    walk_incident,
    walk_pages,
    walk_search,
    walk_states,
)
from panel_walks import walk_panels
from playwright.sync_api import Browser, expect, sync_playwright

from datasource_support.fake_alertmanager import serving_silences
from datasource_support.fixed_prometheus import NEW, NOW
from datasource_support.recorded_answers import fixed_plane

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
COMPARED = {"model-name": "resnet50", "tenant-id": "user-A", "baseline": "v1.0.0", "candidate": NEW}


def main() -> None:
    """Every walk; an AssertionError for what is not as it should be."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("modelplane_datasource").setLevel(logging.WARNING)
    expect.set_options(timeout=60_000)
    with (
        _backend(arguments) as backend,
        served(backend, arguments.packages) as (address, proxy),
        _browser() as browser,
    ):
        if arguments.backend:
            _walk_any(Walk(browser, address, proxy, None))
        for part in [] if arguments.backend else arguments.parts:
            PARTS[part](Walk(browser, address, proxy, NOW))


def _walk_any(walk: Walk) -> None:
    """The pages of a backend that holds whatever it holds."""
    walk_pages(walk, pages_of({}))


PAGES = pages_of(COMPARED)
PARTS: Mapping[str, Callable[[Walk], None]] = {
    "editors": lambda walk: walk_editors(walk, ((NOW - 600) * 1000, NOW * 1000)),
    "panels": walk_panels,
    "pages": lambda walk: walk_pages(walk, PAGES),
    "search": walk_search,
    "signal": lambda walk: walk_drift_signal(walk, "age"),
    "incident": lambda walk: walk_incident(walk, "ModelDown"),
    "states": lambda walk: walk_states(walk, PAGES),
    "failures": lambda walk: walk_failures(walk, PAGES),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=f"all when left out: {', '.join(PARTS)}")
    parser.add_argument(
        "--packages", type=Path, default=PLUGIN, help="folder whose node_modules the page was built of"
    )
    parser.add_argument("--backend", help="address of a backend that runs, in place of fixed data")
    parser.add_argument("--token-file", type=Path, help="file with the token for --backend")
    return parser.parse_args()


@contextmanager
def _backend(arguments: argparse.Namespace) -> Iterator[Wsgi]:
    if arguments.backend:
        token = arguments.token_file.read_text().strip() if arguments.token_file else ""
        yield remote(arguments.backend, token)
        return
    with serving_silences() as alertmanager, fixed_plane(alertmanager_urls=(alertmanager.url,)) as app:
        yield app


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    main()
