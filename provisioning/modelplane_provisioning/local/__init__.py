"""A plane of processes on this machine."""
