"""Prometheus' own API, restricted to the caller's tenants."""
