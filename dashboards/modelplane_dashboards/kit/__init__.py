"""What boards are made of: frozen data, their layout, and Grafana's JSON for both."""
