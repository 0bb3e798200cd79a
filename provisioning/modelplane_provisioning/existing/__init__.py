"""The plane for a Prometheus, an Alertmanager and a Grafana that are there already."""
