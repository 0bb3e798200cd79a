"""Headless Chromium on the pages of a Grafana: it waits for every panel, and takes the picture."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright
from playwright.async_api import Error as PlaywrightError

from modelplane_provisioning.pictures import selectors
from modelplane_provisioning.pictures.authorization import authorize
from modelplane_provisioning.pictures.look import LOOK
from modelplane_provisioning.pictures.page_log import PageLog
from modelplane_provisioning.pictures.shots import MOST_PIXELS, Board, Choice, Shot, board_url, origin_of
from modelplane_provisioning.pictures.sights import BoardSight, PageSight, page_sight, single_line
from modelplane_schema.errors import UserError
from modelplane_schema.files import replace_file

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--no-proxy-server")  # fmt: skip
_LOOK_SECONDS = 0.2  # between two looks
_QUIET_LOOKS = 3  # in a row, until the page is taken for complete
_PICTURE_MILLISECONDS = 20_000
_HOVER_MILLISECONDS = 2_000
_MOST_HOVERED = 20
_MOST_GROWTHS = 5  # a page that is always higher than its window would never be complete
_BELOW = 8  # pixels under the last panel
_LOGIN = "Grafana shows its login page: does it let a service account's token open boards?"


class BrowserError(UserError, RuntimeError):
    """There is no browser, or it does not start; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Photographer:
    """Takes pictures of a Grafana into ``out``; ``seconds`` are for one picture at most."""

    grafana: str
    token: str
    out: Path
    choice: Choice
    seconds: float

    async def take(self, context: BrowserContext, board: Board, shot: Shot) -> BoardSight:
        """Open a board, wait, and write its picture; what goes wrong is in the sight. OSError of the file."""
        page = await context.new_page()
        sight = BoardSight(board, shot)
        log = PageLog(page, self.grafana)
        try:
            await page.set_viewport_size({"width": shot.width, "height": board.pixels})
            await authorize(page, origin_of(self.grafana), self.token)
            sight = await self._seen(page, sight, log)
        except PlaywrightError as error:
            sight = replace(sight, failure=f"Chromium: {_first_line(error)}")
        finally:
            with suppress(PlaywrightError, TimeoutError):
                async with asyncio.timeout(_PICTURE_MILLISECONDS / 1000):
                    await page.close()
        return replace(sight, failed_requests=log.failed_requests, console_errors=log.console_errors)

    async def _seen(self, page: Page, sight: BoardSight, log: PageLog) -> BoardSight:
        failure = await self._open(page, sight.shot)
        if failure:
            return replace(sight, failure=failure)
        seen, is_complete = await self._wait(page, sight.board, log)
        if seen is None:
            return replace(sight, failure=f"the page did not answer within {self.seconds:g} s")
        failure = self._elsewhere(page.url) or (_LOGIN if seen.is_login else "")
        if failure:
            return replace(sight, failure=failure)
        await self._write(page, sight.shot, seen)
        return replace(sight, page=await _with_status_texts(page, seen), is_complete=is_complete)

    async def _open(self, page: Page, shot: Shot) -> str:
        """Why the board's page was not reached; nothing when it was."""
        url = board_url(self.grafana, shot, self.choice)
        try:
            response = await page.goto(url, wait_until="commit", timeout=self.seconds * 1000)
        except PlaywrightError as error:
            return f"the page did not load: {_first_line(error)}"
        elsewhere = self._elsewhere(page.url)
        if response and not response.ok and not elsewhere:
            return f"Grafana answered {response.status}"
        return elsewhere

    def _elsewhere(self, url: str) -> str:
        origin = origin_of(url)
        if origin == origin_of(self.grafana):
            return ""
        return f"it leads to {origin or 'nowhere'}: name Grafana's own address with --grafana"

    async def _wait(self, page: Page, board: Board, log: PageLog) -> tuple[PageSight | None, bool]:
        """The last look at the page, and whether all panels have answered by then."""
        seen: PageSight | None = None
        quiet = growths = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                while quiet < _QUIET_LOOKS:
                    await asyncio.sleep(_LOOK_SECONDS)
                    seen = await _look(page) or seen
                    if seen is None:
                        continue
                    if seen.is_login:
                        break
                    has_grown = growths < _MOST_GROWTHS and await _has_grown(page, seen)
                    growths += has_grown
                    is_quiet = seen.is_complete(board.panels) and not log.pending_queries and not has_grown
                    quiet = quiet + 1 if is_quiet else 0
        return seen, quiet >= _QUIET_LOOKS

    async def _write(self, page: Page, shot: Shot, seen: PageSight) -> None:
        size = page.viewport_size or {"width": shot.width, "height": seen.height}
        height = min(seen.bottom + _BELOW, size["height"]) if seen.bottom else size["height"]
        picture = await page.screenshot(
            clip={"x": 0, "y": 0, "width": shot.width, "height": height},
            animations="disabled",
            timeout=_PICTURE_MILLISECONDS,
        )
        await asyncio.to_thread(replace_file, self.out / shot.file, picture)


@asynccontextmanager
async def started(chromium: Path | None) -> AsyncIterator[BrowserContext]:
    """A Chromium with an empty profile, which speaks English; BrowserError."""
    program = str(chromium) if chromium else next(filter(None, map(shutil.which, _PROGRAMS)), None)
    async with async_playwright() as playwright:
        # As root, in a container, Chromium cannot start with its sandbox.
        flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        try:
            browser: Browser = await playwright.chromium.launch(executable_path=program, args=flags)
        except PlaywrightError as error:
            raise BrowserError(
                f"{program or 'Chromium'} does not start: {_first_line(error)}. Install chromium with your "
                "system's packages or with: playwright install chromium; or name one with --chromium"
            ) from error
        try:
            yield await browser.new_context(locale="en-US", service_workers="block")
        finally:
            await browser.close()


async def _look(page: Page) -> PageSight | None:
    """None while the page goes elsewhere."""
    try:
        return page_sight(await page.evaluate(LOOK))
    except PlaywrightError:
        return None


async def _has_grown(page: Page, seen: PageSight) -> bool:
    """Make the window as high as the page, so that the panels below load as well; whether it was not."""
    size = page.viewport_size
    height = min(seen.height, MOST_PIXELS)
    if size is None or height <= size["height"]:
        return False
    await page.set_viewport_size({"width": size["width"], "height": height})
    return True


async def _with_status_texts(page: Page, seen: PageSight) -> PageSight:
    """With the texts that are shown when the mouse is over a panel's corner."""
    panels = list(seen.panels)
    for index in [index for index, panel in enumerate(panels) if panel.status][:_MOST_HOVERED]:
        status = page.locator(selectors.PANEL).nth(index).locator(selectors.STATUS).first
        panels[index] = replace(panels[index], status_text=await _tooltip(page, status))
    return replace(seen, panels=tuple(panels))


async def _tooltip(page: Page, element: Locator) -> str:
    try:
        await element.hover(timeout=_HOVER_MILLISECONDS)
        text = await page.locator(selectors.TOOLTIP).last.inner_text(timeout=_HOVER_MILLISECONDS)
        await page.mouse.move(0, 0)
        await page.locator(selectors.TOOLTIP).wait_for(state="detached", timeout=_HOVER_MILLISECONDS)
    except PlaywrightError:
        return ""
    return single_line(text)


def _first_line(error: PlaywrightError) -> str:
    return single_line(error.message.partition("\n")[0])
