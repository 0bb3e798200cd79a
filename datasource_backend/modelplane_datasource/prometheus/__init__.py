"""Client of Prometheus' HTTP API, and the data that its answers hold."""
