"""``modelplane demo``: the examples that run, their registry, and the proof that data flows all the way."""
