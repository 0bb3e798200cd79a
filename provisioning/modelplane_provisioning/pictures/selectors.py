"""Where Grafana's pages have what the pictures need: the same in 11.6, 12.4 and 13.2.

Sources: npm packages ``@grafana/e2e-selectors`` and ``@grafana/ui`` (PanelChrome, PanelStatus, LoadingBar).
"""

from __future__ import annotations

from typing import Final

# An item in a panel's header begins alike, so the element counts.
PANEL: Final = 'section[data-testid^="data-testid Panel header"]'
TITLE: Final = "h2"
CONTENT: Final = '[data-testid="data-testid panel content"]'
LOADING_BAR: Final = '[aria-label="Panel loading bar"]'
SPINNER: Final = '[data-testid="Spinner"]'  # of panels that load by themselves, such as lists of alerts
STATUS_PREFIX: Final = "data-testid Panel status "  # then error, warning or info
STATUS: Final = f'[data-testid^="{STATUS_PREFIX}"]'
DATA_MESSAGE: Final = '[data-testid="data-testid Panel data error message"]'
CRASH: Final = '[data-testid="data-testid Alert error"]'
TOOLTIP: Final = '[data-testid="data-testid tooltip"]'
SCROLL_CONTAINER: Final = '[data-testid="data-testid Dashboard canvas scroll container"]'
LOGIN: Final = '[data-testid="data-testid Username input field"]'
# Grafana's own text for a panel without data, in English, which the browser asks for.
NO_DATA: Final = "No data"
THEME_CLASSES: Final = {"dark": "theme-dark", "light": "theme-light"}  # of the page's body
