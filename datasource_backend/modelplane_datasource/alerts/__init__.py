"""Alerts: what is received about them, their episodes and incidents, and the store that holds them."""
