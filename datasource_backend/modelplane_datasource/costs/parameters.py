"""What a request about cost may say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelplane_datasource.costs.ledger.allocation import IDLE_POLICIES, SHARED_POLICIES
from modelplane_datasource.costs.ledger.report import GroupBy
from modelplane_datasource.costs.ledger.token_costs import BASES
from modelplane_datasource.web import identity_parameters
from modelplane_datasource.web.parameters import Parameter, choice

GROUPS: tuple[GroupBy, ...] = ("tenant", "model", "version", "framework", "device_type")
MODEL = replace(identity_parameters.MODEL, summary="Model; every one when it is left out.")
TENANT = replace(identity_parameters.TENANT, summary="Tenant; every one when it is left out.")
VERSION = replace(identity_parameters.VERSION, summary="Version; every one when it is left out.")
GROUP_BY = Parameter(
    "group-by", "What costs are grouped by.", f"{', '.join(GROUPS)}; repeatable", choice(*GROUPS),
    repeated=True, default="tenant",
)  # fmt: skip
IDLE_POLICY = Parameter(
    "idle", "Who is charged for idle time; the server's setting idle_policy when it is left out. "
    "A token that is limited to tenants may name no other, because shares of idle time tell what others use.",
    "keep (nobody), proportional, even", choice(*IDLE_POLICIES),
)  # fmt: skip
SHARED = Parameter(
    "shared", "Whether charges of several processes beyond a device's time are scaled to it; the server's "
    "setting shared_policy when it is left out. A token that is limited to tenants may name no other.",
    "keep, scale", choice(*SHARED_POLICIES),
)  # fmt: skip
COST_SELECTION: tuple[Parameter[str], ...] = (MODEL, TENANT, VERSION)
COST_OPTIONS: tuple[Parameter[Any], ...] = (GROUP_BY, IDLE_POLICY, SHARED)

TOKEN_GROUPS: tuple[GroupBy, ...] = ("tenant", "model", "version")
TOKEN_GROUP_BY = Parameter(
    "group-by", "What tokens are grouped by; all of them when it is left out.",
    f"{', '.join(TOKEN_GROUPS)}; repeatable", choice(*TOKEN_GROUPS), repeated=True,
)  # fmt: skip
BASIS = Parameter(
    "basis", "Who pays for a device: by usage each pays for its own device seconds, by allocation all that "
    "it costs is shared by those who used it in the step. allocation when the server's setting idle_policy "
    "is proportional and it is left out, else usage. A token that is limited to tenants may name no other.",
    ", ".join(BASES), choice(*BASES),
)  # fmt: skip
COST_PER_MILLION, SAVINGS = "cost", "savings"
TOKEN_VALUE = Parameter(
    "value", "Cost per million tokens, or what cached input would have cost more as input.",
    f"{COST_PER_MILLION}, {SAVINGS}", choice(COST_PER_MILLION, SAVINGS), default=COST_PER_MILLION,
)  # fmt: skip
TOKEN_OPTIONS: tuple[Parameter[Any], ...] = (TOKEN_GROUP_BY, BASIS, TOKEN_VALUE)
