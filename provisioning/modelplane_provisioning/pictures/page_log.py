"""What goes wrong on a page beside its panels: requests that fail, and errors of the console."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request, Response
from playwright.async_api import Error as PlaywrightError

from modelplane_provisioning.pictures.shots import origin_of
from modelplane_provisioning.pictures.sights import single_line

_MOST_LINES = 20
_QUERY_PATHS = ("/api/ds/query", "/api/datasources/")
# A failed request is listed by itself, and Grafana Live opens a socket, which cannot carry a token.
_KNOWN = ("Failed to load resource", "/api/live/ws")
_CANCELLED = "net::ERR_ABORTED"  # Grafana cancels a query when it asks it anew


class PageLog:
    """Listens to a page of ``grafana``."""

    def __init__(self, page: Page, grafana: str) -> None:
        self._origin = origin_of(grafana)
        self._failed: dict[str, None] = {}
        self._errors: dict[str, None] = {}
        self._pending: set[Request] = set()
        page.on("console", self._console)
        page.on("pageerror", self._page_error)
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("requestfinished", self._request_finished)
        page.on("requestfailed", self._request_failed)

    @property
    def failed_requests(self) -> tuple[str, ...]:
        """Status or reason, method and path of each, without what follows the path."""
        return tuple(self._failed)[:_MOST_LINES]

    @property
    def console_errors(self) -> tuple[str, ...]:
        """Errors on the console and of scripts, each once."""
        return tuple(self._errors)[:_MOST_LINES]

    @property
    def pending_queries(self) -> int:
        """Queries of panels that have no answer yet."""
        return len(self._pending)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(known in message.text for known in _KNOWN):
            self._errors[single_line(message.text)] = None

    def _page_error(self, error: PlaywrightError) -> None:
        self._errors[single_line(error.message)] = None

    def _request(self, request: Request) -> None:
        if any(path in urlsplit(request.url).path for path in _QUERY_PATHS):
            self._pending.add(request)

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._failed[f"{response.status} {self._named(response.request)}"] = None

    def _request_finished(self, request: Request) -> None:
        self._pending.discard(request)

    def _request_failed(self, request: Request) -> None:
        self._pending.discard(request)
        if request.failure != _CANCELLED:
            self._failed[f"{request.failure or 'no answer'}: {self._named(request)}"] = None

    def _named(self, request: Request) -> str:
        origin = origin_of(request.url)
        return f"{request.method} {'' if origin == self._origin else origin}{urlsplit(request.url).path}"
