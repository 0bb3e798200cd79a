"""Signals of calls, counted into the bins of a training baseline."""
