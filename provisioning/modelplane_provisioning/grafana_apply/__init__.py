"""Make in a running Grafana what files cannot, and prove that its tenants see nothing of each other."""
