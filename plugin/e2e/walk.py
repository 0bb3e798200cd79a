"""Walks through the plugin's pages in a real Grafana: ``GRAFANA_URL=http://... python plugin/e2e/walk.py``.

See README.md beside it. AssertionError for a page that is not as it should be, or that the console calls an
error; pictures lie in ``plugin/e2e/build``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

APP = "/a/modelplane-monitoring-app"
PAGES = {
    "triage": "Triage",
    "incidents": "Incidents",
    "compare": "Compare",
    "drift": "Drift",
    "cost": "Cost",
    "registry": "Registry",
    "configuration": "Configuration",
}
BUILD = Path(__file__).parent / "build"
WIDTHS = (1280, 1920)


def sign_in(page: Page, url: str) -> None:
    """Sign in by the form of Grafana, where it does not let everybody in."""
    page.goto(f"{url}/login")
    page.get_by_label("Email or username").fill(os.environ.get("GRAFANA_USER", "admin"))
    page.get_by_label("Password", exact=False).first.fill(os.environ.get("GRAFANA_PASSWORD", "admin"))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda address: "/login" not in address)


def walk(browser: Browser, url: str) -> None:
    """Every page shows itself in both widths, with an answer of the backend."""
    page = browser.new_page()
    sign_in(page, url)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path, title in PAGES.items():
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"{url}{APP}/{path}")
            expect(page.get_by_role("heading", name=title, exact=True).first).to_be_visible()
            expect(page.get_by_text("Loading", exact=True)).to_have_count(0)
            expect(page.get_by_text("No answer", exact=True)).to_have_count(0)
            page.screenshot(path=BUILD / f"{path}-{width}.png", full_page=True)
    expect(page.get_by_text("The backend answers and accepts the token")).to_be_visible()
    assert errors == [], errors


def main() -> None:
    """The walk through the Grafana that ``GRAFANA_URL`` names."""
    url = os.environ.get("GRAFANA_URL", "").rstrip("/")
    if not url:
        sys.exit("GRAFANA_URL is not set; it is the address of a Grafana that has the plugin")
    BUILD.mkdir(exist_ok=True)
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
        walk(browser, url)
        browser.close()


if __name__ == "__main__":
    main()
