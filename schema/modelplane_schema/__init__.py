"""Names that every part of modelplane shares: metrics, recorded series, alerts, the registry.

Importing this package or ``metrics`` needs nothing beyond the standard library; only ``registry``
needs pydantic and PyYAML.
"""
