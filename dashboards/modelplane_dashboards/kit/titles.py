"""How long a title may be before Grafana cuts it."""

from __future__ import annotations

from bisect import bisect_right

# Letters of a title that fit a panel with a description, by its width in columns: measured in Grafana 12.4
# at 1280 px with the menu open. Widths between are those of the next smaller one.
_LETTERS = ((3, 1), (4, 6), (5, 13), (6, 18), (8, 30), (12, 53))


def title_letters(width: int) -> int:
    """How many letters of a title fit a panel that is ``width`` columns wide."""
    index = bisect_right(_LETTERS, (width, 1000)) - 1
    return _LETTERS[index][1] if index >= 0 else 0
