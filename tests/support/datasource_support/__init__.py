"""What tests of the backend share."""
