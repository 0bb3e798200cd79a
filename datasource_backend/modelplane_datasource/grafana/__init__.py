"""Grafana's JSON datasource: what its requests say and what it reads."""
