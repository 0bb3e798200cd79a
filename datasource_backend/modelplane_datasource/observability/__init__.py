"""What the backend reports about its own work: logs and metrics."""
