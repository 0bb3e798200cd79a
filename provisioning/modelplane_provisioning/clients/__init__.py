"""The parts of a running plane over HTTP."""
