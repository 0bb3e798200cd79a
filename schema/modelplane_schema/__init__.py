"""What every part of modelplane shares: metrics, PromQL, alerts, the registry, files and their errors.

Importing this package needs nothing beyond the standard library; only ``documents`` needs PyYAML, and
``validation`` and ``registry`` pydantic and PyYAML.
"""
