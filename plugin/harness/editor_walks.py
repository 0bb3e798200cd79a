"""Walks through the data source's editors: of queries, annotations, variables, and its configuration."""

from __future__ import annotations

from browser_walk import MODES, Walk, expect_text, settled, show_editor
from playwright.sync_api import Page, expect

Span = tuple[int, int]


def walk_editors(walk: Walk, span: Span) -> None:
    """Every editor over ``span``, which has data of the fixed plane."""
    _walk_query(walk, span)
    _walk_table(walk, span)
    _walk_annotations(walk, span)
    _walk_variables(walk, span)
    _walk_config(walk, span)


def _walk_query(walk: Walk, span: Span) -> None:
    """A metric's own parameters are fields, and a refusal is the backend's sentence."""
    params = {"model-name": ["resnet50"], "tenant-id": ["user-A"]}
    for mode in MODES:
        with walk.page() as page:
            show_editor(page, "query", {"params": params}, mode, span)
            expect(page.get_by_text("quantile", exact=True)).to_be_visible()
            expect(page.locator(".drawn li").first).to_contain_text("resnet50 (v1.0.0)")
            settled(page)
            walk.pictures(page, f"editor-query-{mode}")
    with walk.page(refused=True) as page:
        show_editor(page, "query", {"params": {"quantile": ["95"]}}, span=span)
        expect_text(page, "quantile has the value '95'; allowed: a number between 0 and 1")
        walk.picture(page, "editor-query-refused")


def _walk_table(walk: Walk, span: Span) -> None:
    """Another source is chosen by its title, and a parameter narrows it."""
    with walk.page() as page:
        show_editor(page, "query", {}, span=span)
        _choose_source(page, "SLO states")
        expect(page.get_by_role("table")).to_contain_text("availability")
        page.locator("#parameter-slo").click()
        page.get_by_role("option", name="fast").click()
        expect(page.get_by_role("table")).not_to_contain_text("availability")
        assert page.evaluate("edited") == {
            "refId": "A", "kind": "table", "name": "slo_states", "format": "time_series",
            "params": {"slo": ["fast"]},
        }  # fmt: skip
        settled(page)
        walk.pictures(page, "editor-table")


def _walk_annotations(walk: Walk, span: Span) -> None:
    """Every source of annotations has its own parameters; incidents come first."""
    with walk.page() as page:
        show_editor(page, "annotation", {}, span=span)
        expect(page.get_by_role("table")).to_contain_text("ModelDown")
        _choose_source(page, "Annotations: alerts")
        expect(page.get_by_text("alertname", exact=True)).to_be_visible()
        expect(page.get_by_role("table")).to_contain_text("SlowCalls")
        settled(page)
        walk.pictures(page, "editor-annotation")


def _walk_variables(walk: Walk, span: Span) -> None:
    """A menu, narrowed by what another variable would be."""
    with walk.page() as page:
        show_editor(page, "variable", {"menu": "models", "params": {}}, span=span)
        expect(page.locator(".values")).to_have_text("bert, resnet50")
        page.locator("#parameter-tenant-id").click()
        page.get_by_role("option", name="user-A").click()
        expect(page.locator(".values")).to_have_text("resnet50")
        settled(page)
        walk.pictures(page, "editor-variable")


def _walk_config(walk: Walk, span: Span) -> None:
    """An address that is none is said so; the check says who asks."""
    for mode in MODES:
        with walk.page() as page:
            show_editor(page, "config", {"jsonData": {}, "secureJsonFields": {}}, mode, span)
            page.locator("#backend").fill("backend:8090")
            expect(page.get_by_role("alert").first).to_be_visible()
            walk.picture(page, f"editor-config-wrong-{mode}")
            page.locator("#backend").fill("http://backend:8090")
            expect_text(page, "anyone")
            walk.pictures(page, f"editor-config-{mode}")


def _choose_source(page: Page, title: str) -> None:
    page.locator("#source").fill(title)
    page.get_by_role("option", name=title).first.click()
