"""The training baseline of a model: what its signals looked like in training, and how one is fitted."""

from modelplane_exporter.baseline.baseline import FORMAT, Baseline
from modelplane_exporter.baseline.model import BaselineError, CategoricalSignal, NumericSignal, Signal

__all__ = ["FORMAT", "Baseline", "BaselineError", "CategoricalSignal", "NumericSignal", "Signal"]
