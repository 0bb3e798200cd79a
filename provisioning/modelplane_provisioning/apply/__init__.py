"""Bring a running plane to a registry: write its bundle, have each part read it, and wait until it has."""
