"""Who calls, whose data they may see, and how queries are restricted to it."""
