"""Pictures of boards find in Grafana's own panels what they look for, whichever version it is."""

from __future__ import annotations

from browser_walk import Walk, expect_text

from modelplane_provisioning.pictures import selectors
from modelplane_provisioning.pictures.look import LOOK
from modelplane_provisioning.pictures.sights import PanelSight, page_sight

TOO_LONG = "A title that is much too long for it"
SIGHTS = (
    PanelSight("Fine", is_loading=False, is_drawn=True, is_cut=False),
    PanelSight("Broken", is_loading=False, is_drawn=False, is_cut=False, status="error"),
    PanelSight("Loading", is_loading=True, is_drawn=True, is_cut=False, texts=frozenset({"old"})),
    PanelSight("Spinning", is_loading=True, is_drawn=True, is_cut=False, texts=frozenset({"Loading..."})),
    PanelSight("Blank", is_loading=False, is_drawn=False, is_cut=False),
    PanelSight(TOO_LONG, is_loading=False, is_drawn=True, is_cut=True, texts=frozenset({"x"})),
    PanelSight(
        "Crashed", is_loading=False, is_drawn=True, is_cut=False, crash="Gone", texts=frozenset({"Gone"})
    ),
    PanelSight("", is_loading=False, is_drawn=True, is_cut=False, texts=frozenset({"A text panel"})),
)


def walk_panels(walk: Walk) -> None:
    """Each state of a panel is seen, and the text of an error is read."""
    with walk.page() as page:
        page.evaluate("showPanels()")
        expect_text(page, "A text panel")
        for seen, expected in zip(page_sight(page.evaluate(LOOK)).panels, SIGHTS, strict=True):
            assert seen == expected, seen
        page.locator(selectors.STATUS).hover()
        assert page.locator(selectors.TOOLTIP).inner_text().strip() == "bad_data: 1:2"
