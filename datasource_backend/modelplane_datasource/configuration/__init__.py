"""Files that the backend reads again when they change."""
