"""States as exposition text, and as families of prometheus_client."""
