"""Grafana dashboards generated from the metric schema and the registry."""
