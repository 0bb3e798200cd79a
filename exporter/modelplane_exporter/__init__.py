"""What model teams import: measure inference calls and expose them to Prometheus.

>>> from modelplane_exporter import ModelMetricsExporter
>>> exporter = ModelMetricsExporter("resnet50", "v1.2.0", tenant_id="user-A", framework="pytorch")
>>> @exporter
... def predict(image): ...
"""

from modelplane_exporter.baseline import Baseline, BaselineError
from modelplane_exporter.calls.call import Call
from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.store.stores import flush
from modelplane_exporter.tenant_context import PER_CALL, bind_tenant, tenant
from modelplane_schema.identity import Identity

__all__ = [
    "PER_CALL",
    "Baseline",
    "BaselineError",
    "Call",
    "Identity",
    "ModelMetricsExporter",
    "bind_tenant",
    "flush",
    "tenant",
]
