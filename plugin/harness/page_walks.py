"""Walks through the app's pages: what they show, how much they ask for, and each state."""

from __future__ import annotations

import json
from itertools import cycle
from typing import NamedTuple

from browser_walk import MODES, Walk, expect_text, settled, show_page
from playwright.sync_api import Page, expect

MOST_REQUESTS = 8
NOBODY = "nobody at all"


class AppPage(NamedTuple):
    """A page of the app; ``nothing`` are choices that fit nothing, and ``empty`` what it says of them."""

    path: str
    title: str
    choices: dict[str, str]
    nothing: dict[str, str]
    empty: str


def pages_of(compared: dict[str, str]) -> tuple[AppPage, ...]:
    """All pages but that of one incident; ``compared`` names a model and two versions."""
    searched = {"search": NOBODY}
    return (
        AppPage("triage", "Triage", {}, searched, "Nothing needs attention"),
        AppPage("incidents", "Incidents", {}, {"model-name": NOBODY}, "There are no incidents"),
        AppPage("compare", "Compare", compared, {}, "Choose a model"),
        AppPage("drift", "Drift", {}, {"kind": "business"}, "There are no signals"),
        AppPage("cost", "Cost", {"from": "now-1h", "to": "now"}, {}, ""),
        AppPage("registry", "Registry", {}, searched, "There are no versions"),
        AppPage("configuration", "Configuration", {}, {}, ""),
    )


# Status -> the backend's error, its sentence, and the title over it.
REFUSALS = {
    "503 Service Unavailable": ("busy", "Prometheus does not answer.", "No answer"),
    "403 Forbidden": ("forbidden", "This token may see no tenant.", "Not permitted"),
}


def error_body(error: str, message: str) -> bytes:
    """An error as the backend answers it."""
    return json.dumps({"error": error, "message": message, "details": {}}).encode()


_HTML = b"<html>nothing of ours</html>"
FAILURES = {
    "html-401": ("401 Unauthorized", _HTML, "does not accept the data source's token"),
    "html-403": ("403 Forbidden", _HTML, "You may not do or see this"),
    "html-502": ("502 Bad Gateway", _HTML, "The backend cannot be reached"),
    "html-503": ("503 Service Unavailable", _HTML, "The backend is not available at the moment"),
    "html-504": ("504 Gateway Timeout", _HTML, "The backend did not answer in time"),
    "html-200": ("200 OK", _HTML, "is not modelplane's backend"),
    "half": ("200 OK", b'{"rows": [{"model_na', "The backend's answer broke off"),
    "parts-missing": ("200 OK", b"{}", "is not as expected"),
    "old": (
        "404 Not Found",
        error_body("not_found", "The requested URL was not found on the server."),
        "it is older than this plugin",
    ),
    "422": (
        "422 Unprocessable Entity",
        error_body("too_large", "The range is too large."),
        "The range is too large.",
    ),
    "identity": (
        "403 Forbidden",
        error_body("identity", "Nothing is mapped to this organisation."),
        "Nothing is mapped to this organisation.",
    ),
}


def walk_pages(walk: Walk, pages: tuple[AppPage, ...]) -> None:
    """Each page shows itself in both themes and widths, and asks for little."""
    for path, title, choices, *_ in pages:
        for mode in MODES:
            with walk.page() as page:
                show_page(page, path, mode, **choices)
                expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
                settled(page)
                assert len(walk.proxy.requests) <= MOST_REQUESTS, walk.proxy.requests
                walk.pictures(page, f"{path}-{mode}")


def walk_states(walk: Walk, pages: tuple[AppPage, ...]) -> None:
    """Each page says that it waits, that there is nothing, that it failed, and that it is forbidden."""
    for path, _, choices, nothing, empty in pages:
        with walk.page() as page:
            walk.proxy.open.clear()
            show_page(page, path, **choices)
            expect_text(page, "Loading")
            walk.picture(page, f"{path}-loading")
            walk.proxy.open.set()
            settled(page)
        if empty:
            with walk.page() as page:
                show_page(page, path, **nothing)
                expect_text(page, empty)
                settled(page)
                walk.picture(page, f"{path}-empty")
        for status, (error, message, title) in REFUSALS.items():
            with walk.page(refused=True) as page:
                walk.proxy.failing = (status, error_body(error, message))
                show_page(page, path, **choices)
                expect_text(page, message)
                expect_text(page, title)
                settled(page)
                walk.picture(page, f"{path}-{status[:3]}")


def walk_failures(walk: Walk, pages: tuple[AppPage, ...]) -> None:
    """What is no answer is one sentence about what to do; each is shown by one of the pages, in turn."""
    for (name, (status, body, sentence)), page_of_app in zip(FAILURES.items(), cycle(pages)):
        with walk.page(refused=True) as page:
            walk.proxy.failing = (status, body)
            show_page(page, page_of_app.path, **page_of_app.choices)
            expect_text(page, sentence)
            if not status.startswith("403"):
                expect(page.get_by_role("button", name="again").first).to_be_visible()
            settled(page)
            walk.picture(page, f"{page_of_app.path}-{name}")


def open_incident(page: Page, alert: str) -> None:
    """Show the incidents, and open the one of ``alert``."""
    page.get_by_role("link", name=alert).first.click()
    expect(page.get_by_role("heading", name=alert)).to_be_visible()
    settled(page)


def walk_incident(walk: Walk, alert: str) -> None:
    """An editor acknowledges, comments and silences an incident; a viewer reads what they did."""
    with walk.page() as page:
        show_page(page, "incidents")
        open_incident(page, alert)
        walk.pictures(page, "incident-open")
        page.get_by_role("button", name="Acknowledge as ann").click()
        expect_text(page, "ann acknowledged")
        for action, label, text in (
            ("Comment", "Comment", "Rolled back to the last version."),
            ("Silence", "Reason", "The old version is coming up."),
        ):
            page.get_by_role("radio", name=action).check(force=True)
            if action == "Silence":
                walk.picture(page, "incident-silence")
            page.get_by_role("textbox", name=label).fill(text)
            page.get_by_role("button", name=f"{action} as ann").click()
            expect(page.get_by_role("textbox", name=label)).to_have_value("")
            expect_text(page, text if action == "Comment" else "Silenced until")
        settled(page)
        walk.pictures(page, "incident-handled")
    with walk.page() as page:
        show_page(page, "incidents", "light", role="Viewer")
        open_incident(page, alert)
        expect_text(page, "takes the role Editor")
        expect_text(page, "Rolled back to the last version.")
        walk.picture(page, "incident-viewer")


def walk_drift_signal(walk: Walk, signal: str) -> None:
    """One signal: its distribution, history and limits."""
    for mode in MODES:
        with walk.page() as page:
            show_page(page, "drift", mode)
            page.get_by_role("link", name=signal, exact=True).first.click()
            expect(page.get_by_role("figure").first).to_be_visible()
            settled(page)
            assert len(walk.proxy.requests) <= MOST_REQUESTS, walk.proxy.requests
            walk.pictures(page, f"drift-signal-{mode}")


def walk_search(walk: Walk) -> None:
    """A search asks the server once, a moment after the last key, and its text stays in the field."""
    with walk.page() as page:
        show_page(page, "triage")
        settled(page)
        walk.proxy.requests.clear()
        page.get_by_label("Search").press_sequentially("bert", delay=20)
        expect(page.get_by_role("cell", name="resnet50")).to_have_count(0)
        settled(page)
        assert walk.proxy.requests == ["/read/triage"]
        walk.picture(page, "triage-search")
