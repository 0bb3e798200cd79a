"""Walks through pages and query editor of the built plugin in headless Chromium, without a Grafana.

The page has Grafana's own packages; behind its ``getBackendSrv`` is a real backend over fixed data. Pictures
lie in ``plugin/harness/build``. ``make plugin-harness`` builds what this needs and runs it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

from datasource_support.fixed_prometheus import NOW
from datasource_support.recorded_answers import fixed_plane

PLUGIN = Path(__file__).parents[1]
BUILD = PLUGIN / "harness" / "build"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PROXY = "/api/datasources/proxy/uid/modelplane"
# Grafana's own style sheet does the same for every element.
STYLE = b"<style>*{box-sizing:border-box}button,input,textarea{font:inherit;color:inherit}</style>"
PAGE = (
    b"<!doctype html><meta charset=utf-8><link rel=stylesheet href=/build/harness.css>"
    + STYLE
    + b"<body><div id=root></div><script src=/build/harness.js></script>"
)
FROM, TO = (NOW - 600) * 1000, NOW * 1000
WIDTHS = (1440, 800)
MODES = ("dark", "light")
# compare has its own: it asks for nothing before versions are chosen.
PAGES = {
    "triage": "Triage",
    "incidents": "Incidents",
    "drift": "Drift",
    "cost": "Cost",
    "registry": "Registry",
}
MOST_REQUESTS = 8
_LOG = logging.getLogger("walk")
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Any]


class QuietHandler(WSGIRequestHandler):
    """Logs nothing: requests are counted."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Nothing."""


class Proxy:
    """Grafana's proxy: ``read`` and ``write`` stand for the API's root; ``failing`` answers instead of it."""

    def __init__(self, backend: Wsgi) -> None:
        self.backend = backend
        self.requests: list[str] = []
        self.failing: tuple[str, bytes] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path: str = environ["PATH_INFO"]
        if not path.startswith(PROXY):
            start_response("200 OK", [("Content-Type", "text/html")])
            return [PAGE]
        self.requests.append(path.removeprefix(PROXY))
        if self.failing:
            start_response(self.failing[0], [("Content-Type", "application/json")])
            return [self.failing[1]]
        _, _, rest = path.removeprefix(f"{PROXY}/").partition("/")
        return self.backend({**environ, "PATH_INFO": f"/api/v1/{rest}"}, start_response)


@contextmanager
def served() -> Iterator[tuple[str, Proxy]]:
    """The address of the page, and what stands for Grafana's proxy."""
    with fixed_plane() as app:
        proxy = Proxy(app)
        files = {"/build": str(BUILD), "/plugin": str(PLUGIN / "dist")}
        server = make_server(
            "127.0.0.1", 0, SharedDataMiddleware(proxy, files), threaded=True, request_handler=QuietHandler
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}/", proxy
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Walk:
    """One browser over the page; a message of the console at error level ends the walk."""

    def __init__(self, browser: Browser, address: str, proxy: Proxy) -> None:
        self.browser, self.address, self.proxy = browser, address, proxy

    @contextmanager
    def page(self, width: int = WIDTHS[0]) -> Iterator[Page]:
        """A page of that width; what the browser calls an error while it is shown is one."""
        page = self.browser.new_page(viewport={"width": width, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.clock.set_fixed_time(NOW)
        page.goto(self.address)
        self.proxy.requests.clear()
        try:
            yield page
        finally:
            page.close()
            assert errors == [], errors

    def picture(self, page: Page, name: str) -> None:
        """Save what is seen."""
        page.screenshot(path=BUILD / f"{name}.png", full_page=True)
        _LOG.info("%s: %d requests", name, len(self.proxy.requests))


def show_page(page: Page, path: str, mode: str = "dark", role: str = "Editor") -> None:
    page.evaluate("([path, mode, role]) => showPage(path, mode, role)", [path, mode, role])


def show_editor(page: Page, query: dict[str, Any], mode: str = "dark") -> None:
    page.evaluate("([query, from, to, mode]) => showEditor(query, from, to, mode)", [query, FROM, TO, mode])


def walk_editor(walk: Walk) -> None:
    """The editor shows a metric's own parameters, runs a table, and shows the backend's sentence."""
    for mode in MODES:
        with walk.page() as page:
            show_editor(page, {"params": {"model-name": ["resnet50"], "tenant-id": ["user-A"]}}, mode)
            expect(page.get_by_text("quantile", exact=True)).to_be_visible()
            expect(page.locator(".drawn li").first).to_contain_text("resnet50 (v1.0.0)")
            walk.picture(page, f"editor-{mode}")
    with walk.page() as page:
        show_editor(page, {"params": {"quantile": ["95"]}})
        expect(
            page.get_by_text("quantile has the value '95'; allowed: a number between 0 and 1")
        ).to_be_visible()
        walk.picture(page, "editor-refused")
    with walk.page() as page:
        show_editor(page, {})
        page.locator("#source").fill("SLO states")
        page.keyboard.press("Enter")
        expect(page.get_by_role("table")).to_contain_text("availability")
        page.locator("#parameter-slo").click()
        expect(page.get_by_role("option", name="fast")).to_be_visible()
        page.get_by_role("option", name="fast").click()
        expect(page.get_by_role("table")).not_to_contain_text("availability")
        assert page.evaluate("editedQuery") == {
            "refId": "A", "kind": "table", "name": "slo_states", "format": "time_series",
            "params": {"slo": ["fast"]},
        }  # fmt: skip
        walk.picture(page, "editor-table")


def walk_configuration(walk: Walk) -> None:
    """The check says who asks, or one sentence about why there is no answer."""
    for mode in MODES:
        for width in WIDTHS:
            with walk.page(width) as page:
                show_page(page, "configuration", mode)
                expect(page.get_by_text("anyone (admin)")).to_be_visible()
                walk.picture(page, f"configuration-{mode}-{width}")
    failures = {
        "401 Unauthorized": "does not accept the data source's token",
        "403 Forbidden": "You may not do or see this",
        "502 Bad Gateway": "The backend cannot be reached",
        "200 OK": "is not modelplane's backend",
    }
    for status, sentence in failures.items():
        with walk.page() as page:
            walk.proxy.failing = (status, b"<html>nothing of ours</html>")
            show_page(page, "configuration")
            expect(page.get_by_text(sentence).first).to_be_visible()
            walk.picture(page, f"configuration-{status[:3]}")
    walk.proxy.failing = None


def walk_pages(walk: Walk) -> None:
    """Each page of the menu shows itself, asks for little, and says so when the backend is away."""
    for path, title in PAGES.items():
        for mode, width in (("dark", WIDTHS[0]), ("light", WIDTHS[1])):
            with walk.page(width) as page:
                show_page(page, path, mode)
                expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
                expect(page.get_by_text("Loading", exact=True)).to_have_count(0)
                page.wait_for_load_state("networkidle")
                walk.picture(page, f"{path}-{mode}-{width}")
                assert len(walk.proxy.requests) <= MOST_REQUESTS, walk.proxy.requests
        with walk.page() as page:
            walk.proxy.failing = ("503 Unavailable", b'{"message":"Ask again.","error":"busy","details":{}}')
            show_page(page, path)
            expect(page.get_by_text("Ask again.").first).to_be_visible()
            walk.picture(page, f"{path}-503")
            walk.proxy.failing = None


def main() -> None:
    """Every walk; an AssertionError for what is not as it should be."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    expect.set_options(timeout=30_000)
    with served() as (address, proxy), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            for part in (walk_editor, walk_configuration, walk_pages):
                part(Walk(browser, address, proxy))
        finally:
            browser.close()


if __name__ == "__main__":
    main()
