"""Which models need attention, and what is declared against what is seen."""
