"""Options of the metrics of cost that protocols must answer alike: each option and choice at least once."""

from __future__ import annotations

from datasource_support.fixed_prometheus import NEW, STRANGE

_OF_A_VERSION = {"model-name": ["resnet50"], "model-version": [NEW], "tenant-id": ["user-A"]}
COST_CASES: dict[str, list[dict[str, list[str]]]] = {
    "cost": [
        {},
        *({"group-by": [by]} for by in ("tenant", "model", "version", "framework", "device_type")),
        {"group-by": ["version", "device_type", "model"], "idle": ["proportional"], "shared": ["scale"]},
        {"group-by": ["model"], "idle": ["even"], "shared": ["keep"], "tenant-id": ["user-A", STRANGE]},
        {**_OF_A_VERSION, "idle": ["keep"]},
    ],
    "token_cost": [
        {},
        {"group-by": ["tenant"], "basis": ["allocation"], "value": ["cost"]},
        {"group-by": ["model", "version"], "basis": ["usage"], "tenant-id": ["user-A", STRANGE]},
        {**_OF_A_VERSION, "value": ["savings"]},
    ],
}
