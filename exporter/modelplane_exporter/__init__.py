"""What model teams import: measure inference calls and expose them to Prometheus."""
