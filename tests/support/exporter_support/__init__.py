"""What tests of the exporter share: doubles, worker processes, models and what they expose."""
