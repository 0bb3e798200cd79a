"""What a Grafana, a Prometheus and an Alertmanager read: rendered, checked and written into a folder."""
