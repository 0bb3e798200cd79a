"""Propose a registry from what models report, and say what an existing one lacks; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelplane_provisioning.bundle.yaml_text import to_yaml
from modelplane_schema.metrics import FRAMEWORK_PATTERN, RESERVED_TENANTS
from modelplane_schema.registry import Registry, parse_registry

_STAGES = ("production", "canary", "shadow", "development")
_NOBODY, _OWNER, _FRAMEWORK = "everybody", "platform-team", "python"

Series = Mapping[str, str]


@dataclass(slots=True)
class ReportedModel:
    """What the processes of one model say: versions with their stages, tenants who called it, addresses."""

    framework: str = ""
    owner: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    tenants: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)


def reported_models(infos: Iterable[Series], calls: Iterable[Series]) -> dict[str, ReportedModel]:
    """Models by name, from the labels of ``model_info`` and of counted calls."""
    models: defaultdict[str, ReportedModel] = defaultdict(ReportedModel)
    for labels in infos:
        model = models[labels["model_name"]]
        model.framework = labels.get("framework") or model.framework
        model.owner = labels.get("owner") or model.owner
        model.versions[labels["model_version"]] = labels.get("stage", "")
        model.hosts |= {labels["instance"]} if labels.get("instance") else set()
    for labels in calls:
        model = models[labels["model_name"]]
        model.framework = model.framework or labels.get("framework", "")
        model.versions.setdefault(labels["model_version"], "")
        model.tenants |= {labels["tenant_id"]} - {*RESERVED_TENANTS, ""}
    return dict(sorted(models.items()))


def proposal(models: Mapping[str, ReportedModel]) -> str:
    """Registry text with these models, which must be one at least; what they do not say is made up.

    RegistryError where a name that they report cannot stand in a registry.
    """
    owners = sorted({model.owner or _OWNER for model in models.values()})
    tenants = sorted({tenant for model in models.values() for tenant in model.tenants or {_NOBODY}})
    content = {
        "apiVersion": "modelplane/v1",
        "owners": [{"id": owner} for owner in owners],
        "tenants": [{"id": tenant} for tenant in tenants],
        "models": [_declaration(name, model) for name, model in models.items()],
    }
    text = to_yaml(content)
    parse_registry(text, "the discovered registry")
    return _notes(models) + text


def missing(registry: Registry, models: Mapping[str, ReportedModel]) -> Iterator[str]:
    """A line for each model, framework, version, tenant or use that is reported and not declared."""
    declared = {model.name: model for model in registry.models}
    tenants = {tenant.id for tenant in registry.tenants}
    for tenant in sorted({tenant for model in models.values() for tenant in model.tenants} - tenants):
        yield f"tenant {tenant!r} calls models and is not declared"
    for name, model in models.items():
        if name not in declared:
            yield f"model {name!r} is reported and not declared"
            continue
        framework = declared[name].framework
        if model.framework not in ("", framework):
            yield f"model {name!r}: framework {model.framework!r}, not {framework!r}, is reported"
        versions = {version.version for version in declared[name].versions}
        for version in sorted(model.versions.keys() - versions):
            yield f"model {name!r}: version {version!r} is served and not declared"
        for tenant in sorted(model.tenants & tenants - {*declared[name].tenants}):
            yield f"model {name!r}: tenant {tenant!r} calls it and is not among its tenants"


def unreported(registry: Registry, models: Mapping[str, ReportedModel]) -> Iterator[str]:
    """A line for each model or version that is declared and not reported."""
    for declared in registry.models:
        if declared.name not in models:
            yield f"model {declared.name!r} is declared and not reported"
            continue
        for version in declared.versions:
            if version.version not in models[declared.name].versions:
                yield f"model {declared.name!r}: version {version.version!r} is declared and not reported"


def _declaration(name: str, model: ReportedModel) -> dict[str, Any]:
    versions = [
        {"version": version, "stage": stage} if stage in _STAGES else {"version": version}
        for version, stage in sorted(model.versions.items())
    ]
    known = FRAMEWORK_PATTERN.fullmatch(model.framework)
    return {
        "name": name,
        "framework": model.framework if known else _FRAMEWORK,
        "owner": model.owner or _OWNER,
        "tenants": sorted(model.tenants) or [_NOBODY],
        "targets": sorted(model.hosts),
        "versions": versions,
    }


def _notes(models: Mapping[str, ReportedModel]) -> str:
    """Comments that say what was made up."""
    notes = ["Proposed from what models report; read it before you use it."]
    nameless = [name for name, model in models.items() if not model.tenants]
    ownerless = [name for name, model in models.items() if not model.owner]
    if nameless:
        notes.append(f"No tenant has called {', '.join(nameless)} yet: {_NOBODY} stands for whoever will.")
    if ownerless:
        notes.append(f"Nobody is named as owner of {', '.join(ownerless)}: {_OWNER} is made up.")
    return "".join(f"# {note}\n" for note in notes)
