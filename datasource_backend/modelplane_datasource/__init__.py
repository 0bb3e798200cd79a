"""Flask backend: {x, y} series, Grafana JSON datasource, alert store."""
