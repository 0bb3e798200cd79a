"""Silences in Alertmanager: its API, and what is asked of it for a caller."""
