"""What tests of the boards share."""
