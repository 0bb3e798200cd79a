"""Parameters that name what a request is about; routes give them their own summary."""

from __future__ import annotations

from modelplane_datasource.tenancy.caller import TENANT_PARAMETER
from modelplane_datasource.web.parameters import Parameter, TenantParameter, label_text

MODEL = Parameter(
    "model-name",
    "Model, by its name in the registry.",
    "the name of a model, repeatable",
    label_text,
    repeated=True,
)
TENANT = TenantParameter(
    TENANT_PARAMETER,
    "Tenant, by its id in the registry.",
    "the id of a tenant, repeatable",
    label_text,
    repeated=True,
)
VERSION = Parameter(
    "model-version", "Version of the model.", "a version of the model, repeatable", label_text, repeated=True
)
