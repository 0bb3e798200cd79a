"""What the backend tells of its own work: logs, metrics, and warnings of the request being answered."""
