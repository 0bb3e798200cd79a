"""A browser over the harness's page: what the console calls an error ends a walk, and so does what is cut."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from harness_server import BUILD, Proxy
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

WIDTHS = (1280, 1920)
MODES = ("dark", "light")
DARK, LIGHT = MODES
HEIGHT = 900
_LOG = logging.getLogger("walk")
# Fonts and some icons are not in Grafana's npm packages.
_ABSENT = "/public/"
_REFUSED = "Failed to load resource"
# Grafana's own components with names that their React takes for outdated; nothing of the plugin's.
_OF_GRAFANA = ("findDOMNode is deprecated", "Support for defaultProps will be removed")


class Walk:
    """Pages of the harness over ``proxy``. ``now`` stops the browser's clock, in seconds since 1970."""

    def __init__(self, browser: Browser, address: str, proxy: Proxy, now: int | None) -> None:
        self.browser, self.address, self.proxy, self.now = browser, address, proxy, now

    @contextmanager
    def page(self, refused: bool = False) -> Iterator[Page]:
        """A page; AssertionError for what the browser called an error meanwhile.

        Requests may be ``refused`` where the walk is about that.
        """
        page = self.browser.new_page(viewport={"width": WIDTHS[0], "height": HEIGHT})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.extend(_error_of(message, refused)))
        if self.now is not None:
            page.clock.set_fixed_time(self.now)
        page.goto(self.address)
        self.proxy.requests.clear()
        try:
            yield page
        except AssertionError as failure:
            failure.add_note(f"The browser called these errors: {errors}")
            raise
        finally:
            self.proxy.open.set()
            self.proxy.failing = None
            page.close()
        assert errors == [], errors

    def picture(self, page: Page, name: str) -> None:
        """Save what is seen. AssertionError when something is wider than the page."""
        page.mouse.move(0, 0)
        page.screenshot(path=BUILD / f"{name}.png", full_page=True)
        width, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= seen, f"{name} is {width} wide in a window of {seen}"
        _LOG.info("%s: %d requests", name, len(self.proxy.requests))

    def pictures(self, page: Page, name: str) -> None:
        """A picture in each width."""
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            self.picture(page, f"{name}-{width}")


def _error_of(message: ConsoleMessage, refused: bool) -> list[str]:
    """What an error message says."""
    text = message.text
    if message.type != "error" or _ABSENT in message.location.get("url", ""):
        return []
    if refused and text.startswith(_REFUSED):
        return []
    return [] if any(known in text for known in _OF_GRAFANA) else [f"{text} ({message.location.get('url')})"]


def show_page(
    page: Page, path: str, mode: str = DARK, role: str = "Editor", **choices: str | list[str]
) -> None:
    """A page of the app with what is chosen in its address."""
    address = f"{path}?{urlencode(choices, doseq=True)}"
    page.evaluate("([path, mode, role]) => showPage(path, mode, role)", [address, mode, role])


def show_editor(
    page: Page, kind: str, start: dict[str, Any], mode: str = DARK, span: tuple[int, int] = (0, 0)
) -> None:
    """An editor of the data source over ``span``, in milliseconds."""
    page.evaluate(
        "([kind, start, span, mode]) => showEditor(kind, start, span, mode)", [kind, start, span, mode]
    )


def settled(page: Page) -> None:
    """Wait until nothing loads."""
    expect(page.get_by_text("Loading", exact=True)).to_have_count(0)
    page.wait_for_load_state("networkidle")


def expect_text(page: Page, text: str) -> None:
    """The text is seen."""
    expect(page.get_by_text(text).first).to_be_visible()
