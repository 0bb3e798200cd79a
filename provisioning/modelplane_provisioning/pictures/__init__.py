"""Pictures of the boards of a running Grafana, and what is wrong on them."""
