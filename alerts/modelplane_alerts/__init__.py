"""The monitoring mixin, its renderer, and the Alertmanager configuration."""
