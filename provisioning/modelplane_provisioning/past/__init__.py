"""The hours before a demo: samples, records of the rules and incidents, written before Prometheus starts."""
