"""Measured calls: the context manager and the wrappers of functions."""
