"""What a request about cost may say."""

from __future__ import annotations

from typing import Any

from modelplane_datasource.costs.ledger.allocation import IDLE_POLICIES, SHARED_POLICIES
from modelplane_datasource.costs.ledger.report import GroupBy
from modelplane_datasource.web.parameters import Parameter, TenantParameter, choice, label_text

GROUPS: tuple[GroupBy, ...] = ("tenant", "model", "version", "framework", "device_type")
MODEL = Parameter(
    "model-name", "Model; every one when it is left out.", "the name of a model, repeatable", label_text,
    repeated=True,
)  # fmt: skip
TENANT = TenantParameter(
    "tenant-id", "Tenant; every one when it is left out.", "the id of a tenant, repeatable", label_text,
    repeated=True,
)  # fmt: skip
VERSION = Parameter(
    "model-version", "Version; every one when it is left out.", "a version of the model, repeatable",
    label_text, repeated=True,
)  # fmt: skip
GROUP_BY = Parameter(
    "group-by", "What costs are told apart by.", f"{', '.join(GROUPS)}; repeatable", choice(*GROUPS),
    repeated=True, default="tenant",
)  # fmt: skip
IDLE_POLICY = Parameter(
    "idle", "Who is charged for idle time.", "keep (nobody), proportional, even",
    choice(*IDLE_POLICIES), default="keep",
)  # fmt: skip
SHARED = Parameter(
    "shared", "Whether charges of several processes beyond a device's time are scaled to it.", "keep, scale",
    choice(*SHARED_POLICIES), default="keep",
)  # fmt: skip
COST_SELECTION: tuple[Parameter[str], ...] = (MODEL, TENANT, VERSION)
COST_OPTIONS: tuple[Parameter[Any], ...] = (GROUP_BY, IDLE_POLICY, SHARED)
