"""What the backend reports about its own work: logs, metrics, and warnings of the request being answered."""
