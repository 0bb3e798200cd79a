"""How requests reach the application: connections, and bulkheads between kinds of requests."""
