"""Values that a YAML file declares: where confidence, items, tokens, signals and events are in a call."""

from modelplane_exporter.declared.declared import Declared
from modelplane_exporter.declared.file import DeclaredError

__all__ = ["Declared", "DeclaredError"]
