"""Instants, durations, grids of times and columns of values on them."""
