"""What the registry declares of models, against what is seen of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelplane_datasource.context import AppContext
from modelplane_datasource.triage.findings import (
    Version,
    declared_models,
    seen_versions,
    visible_tenants,
    visible_versions,
)
from modelplane_schema.metrics import MODEL_NAME
from modelplane_schema.promql import Matcher
from modelplane_schema.registry import Model, Registry

AS_DECLARED, UNDECLARED, UNSEEN = STATES = ("as declared", "undeclared", "unseen")


def registry_rows(
    registry: Registry | None, seen: set[Version], tenants: tuple[str, ...]
) -> list[dict[str, Any]]:
    """A row for each version of each tenant, declared or seen: what differs comes first, then by name."""
    declared = dict(_declared(registry, seen, tenants))
    models = {model.name: model for model in declared_models(registry)}
    rows = [
        {
            **version._asdict(),
            "state": _state(version, declared, seen),
            "stage": declared.get(version, ""),
            "owner": models[version.model_name].owner if version.model_name in models else "",
            "framework": models[version.model_name].framework if version.model_name in models else "",
        }
        for version in {*declared, *seen}
    ]
    return sorted(
        rows, key=lambda row: (row["state"] == AS_DECLARED, *(row[name] for name in Version._fields))
    )


def compared_versions(model: Model, seen: set[Version], tenants: tuple[str, ...]) -> tuple[str, str]:
    """The version in production and the last one that is to follow it, each empty where there is none."""
    versions = visible_versions(model, seen, tenants)
    production = [version.version for version in versions if version.stage == "production"]
    others = [version.version for version in versions if version.stage in ("canary", "shadow")]
    return (production or [""])[-1], (others or [""])[-1]


def declared_pair(context: AppContext, model_name: str, tenants: tuple[str, ...]) -> tuple[str, str]:
    """The same of a model by its name, for ``tenants`` or, without any, for an operator; UpstreamError.

    A model that the caller may not see has none, as one that does not exist.
    """
    declared = declared_models(context.registry)
    model = next((model for model in declared if model.name == model_name), None)
    if model is None:
        return "", ""
    seen = seen_versions(context, Matcher(MODEL_NAME, model_name)) if tenants else set()
    return compared_versions(model, seen, tenants)


def _declared(
    registry: Registry | None, seen: set[Version], tenants: tuple[str, ...]
) -> Iterator[tuple[Version, str]]:
    for model in declared_models(registry):
        for version in visible_versions(model, seen, tenants):
            for tenant in visible_tenants(model):
                yield Version(model.name, version.version, tenant), version.stage


def _state(version: Version, declared: dict[Version, str], seen: set[Version]) -> str:
    if version not in declared:
        return UNDECLARED
    return AS_DECLARED if version in seen else UNSEEN
