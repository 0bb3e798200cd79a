"""A server of pages with Grafana's markup, as far as pictures of boards read it.

Its markup is that of PanelChrome and PanelStatus in ``@grafana/ui`` 12.4. Its panels load when they come into
view, as those of ``@grafana/scenes``, and each asks ``/api/ds/query`` for what it shows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from http_servers import serving_by

TOKEN = "glsa_of-the-test"
LOGIN_PAGE = '<!doctype html><input data-testid="data-testid Username input field">'


@dataclass(frozen=True)
class PagePanel:
    """``answer`` is what its query gives: text, canvas, empty, error, crash, blank, or never."""

    title: str
    answer: str = "canvas"
    width: int = 12
    text: str = ""
    no_value: str = ""


@dataclass(frozen=True)
class PageBoard:
    """``behaviour`` of its page: board, redirect, login, slow, missing, foreign, or silent."""

    uid: str
    panels: tuple[PagePanel, ...] = (PagePanel("Requests"),)
    behaviour: str = "board"
    tags: tuple[str, ...] = ("modelplane",)
    script: str = ""

    def dashboard(self) -> dict[str, Any]:
        """Its JSON, with each panel on a row of its own."""
        row = {"type": "row", "title": "Row", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}, "panels": []}
        panels = [
            {
                "type": "timeseries",
                "title": panel.title,
                "gridPos": {"x": 0, "y": 1 + 8 * index, "w": panel.width, "h": 8},
                "fieldConfig": {"defaults": {"noValue": panel.no_value}},
            }
            for index, panel in enumerate(self.panels)
        ]
        return {"uid": self.uid, "title": f"Board {self.uid}", "panels": [row, *panels]}


@dataclass
class GrafanaPages:
    """What is served, and the requests that came: path, and header Authorization or None.

    ``foreign_requests`` came to the server ``elsewhere``. ``failing`` answers the whole API instead: status,
    content type and body; ``redirect`` sends it to another address.
    """

    boards: tuple[PageBoard, ...]
    elsewhere: str = ""
    foreign_requests: list[tuple[str, str | None]] = field(default_factory=list)
    failing: tuple[int, str, str] | None = None
    redirect: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    queries: list[Mapping[str, list[str]]] = field(default_factory=list)
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def board(self, uid: str) -> PageBoard | None:
        return next((board for board in self.boards if board.uid == uid), None)


PAGE = """<!doctype html><html><head><meta charset=utf-8><link rel=icon href=data:,>
<style>
body { margin: 0; font: 14px sans-serif; background: #fff; color: #000; }
body.theme-dark { background: #111; color: #eee; }
.place { height: 296px; margin: 8px; }
section { display: flex; flex-direction: column; height: 100%; border: 1px solid #888; }
.header { display: flex; height: 32px; align-items: center; }
.title { display: flex; min-width: 0; }
h2 { margin: 0; font-size: 14px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
</style></head><body><script>
const board = BOARD;
document.body.className = "theme-" + (new URLSearchParams(location.search).get("theme") || "dark");
const make = (parent, name, attributes, text) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return parent.appendChild(element);
};
const show = {
  text: (content, panel) => make(content, "div", {}, panel.text),
  canvas: (content) => make(content, "canvas", { width: 100, height: 50 }),
  empty: (content, panel) =>
    make(content, "div", { "data-testid": "data-testid Panel data error message" }, panel.text),
  crash: (content, panel) => make(content, "div", { "data-testid": "data-testid Alert error" }, panel.text),
  blank: () => {},
};
const status = (header, text) => {
  const button = make(header, "button", { "aria-label": "Panel status",
    "data-testid": "data-testid Panel status error" }, "!");
  header.prepend(button);
  button.addEventListener("mouseenter", () => {
    make(document.body, "div", { "data-testid": "data-testid tooltip", role: "tooltip" }, text);
  });
  button.addEventListener("mouseleave", () => document.querySelector("[role=tooltip]").remove());
};
const draw = async (place, panel, index) => {
  const section = make(place, "section", { "data-testid": "data-testid Panel header " + panel.title });
  const bars = make(section, "div");
  make(bars, "div", { "aria-label": "Panel loading bar" });
  const header = make(section, "div", { class: "header", "data-testid": "data-testid header-container" });
  make(make(header, "div", { class: "title" }), "h2", { title: panel.title }, panel.title);
  const content = make(section, "div", { "data-testid": "data-testid panel content" });
  const answer = await fetch(`../api/ds/query?uid=${board.uid}&panel=${index}`, { method: "POST" });
  bars.replaceChildren();
  if (answer.ok) show[panel.answer](content, panel);
  else status(header, (await answer.json()).message);
};
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    observer.unobserve(entry.target);
    const index = Number(entry.target.dataset.index);
    draw(entry.target, board.panels[index], index);
  }
});
board.panels.forEach((panel, index) => {
  const style = `width: calc(${panel.width} / 24 * 100% - 16px)`;
  observer.observe(make(document.body, "div", { class: "place", style, "data-index": index }));
});
SCRIPT
</script></body></html>"""


def _page(board: PageBoard) -> str:
    panels = [vars(panel) for panel in board.panels]
    content = json.dumps({"uid": board.uid, "panels": panels})
    return PAGE.replace("BOARD", content).replace("SCRIPT", board.script)


class Handler(BaseHTTPRequestHandler):
    pages: GrafanaPages

    def log_message(self, *_: object) -> None:
        """Nothing: requests are listed."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self.pages.requests.append((self.path, self.headers.get("Authorization")))
        if address.path.startswith("/api/"):
            self._api(address.path, parse_qs(address.query))
        elif board := self.pages.board(address.path.removeprefix("/d/")):
            self._board(board, address.query)
        else:
            self._answer(404, "text/plain", "nothing")

    def do_POST(self) -> None:
        self.do_GET()

    def _api(self, path: str, query: Mapping[str, list[str]]) -> None:
        if self.pages.redirect:
            self._redirect(self.pages.redirect)
        elif self.pages.failing:
            self._answer(*self.pages.failing)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json(401, {"message": "Invalid API key", "messageId": "api-key.invalid"})
        elif path == "/api/search":
            self._search(query)
        elif board := self.pages.board(path.removeprefix("/api/dashboards/uid/")):
            if board.behaviour == "missing":
                self._json(404, {"message": "Dashboard not found"})
            else:
                self._json(200, {"dashboard": board.dashboard()})
        elif path == "/api/ds/query":
            self._query(query)
        else:
            self._json(404, {"message": "Not found"})

    def _search(self, query: Mapping[str, list[str]]) -> None:
        self.pages.queries.append(query)
        limit, page = int(query["limit"][0]), int(query["page"][0])
        rows = [
            {"uid": board.uid, "title": board.uid, "type": "dash-db", "tags": list(board.tags)}
            for board in self.pages.boards
            if query["tag"][0] in board.tags
        ]
        self._json(200, rows[(page - 1) * limit : page * limit])

    def _query(self, query: Mapping[str, list[str]]) -> None:
        board = self.pages.board(query["uid"][0])
        assert board
        panel = board.panels[int(query["panel"][0])]
        if panel.answer == "never":
            self.pages.closing.wait()
        if panel.answer == "error":
            self._json(400, {"message": panel.text})
        else:
            self._json(200, {})

    def _board(self, board: PageBoard, query: str) -> None:
        if board.behaviour == "silent":
            self.pages.closing.wait()
        if board.behaviour == "foreign":
            self._redirect(f"{self.pages.elsewhere}/login?back=1")
        elif board.behaviour == "redirect" and "moved" not in query:
            self._redirect(f"/d/{board.uid}?{query}&moved")
        else:
            self._answer(200, "text/html", LOGIN_PAGE if board.behaviour == "login" else _page(board))

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, status: int, content: Any) -> None:
        self._answer(status, "application/json", json.dumps(content))

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        with suppress(OSError):  # a browser that has seen enough is gone
            self.end_headers()
            self.wfile.write(body)


@contextmanager
def grafana_pages(*boards: PageBoard) -> Iterator[GrafanaPages]:
    """Pages of ``boards`` on a free port, and a server elsewhere, which none may give the token."""
    pages = GrafanaPages(boards)
    foreign = GrafanaPages(())
    with (
        serving_by(type("Handler", (Handler,), {"pages": pages})) as url,
        serving_by(type("Handler", (Handler,), {"pages": foreign})) as elsewhere,
    ):
        pages.url, pages.elsewhere, pages.foreign_requests = url, elsewhere, foreign.requests
        try:
            yield pages
        finally:
            pages.closing.set()
