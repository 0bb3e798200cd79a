"""What boards need to know of the registry."""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_dashboards.kit.scope import BoardScope, Labels
from modelplane_schema.alert_limits import DEFAULT_LIMITS, AlertLimits, alert_limits
from modelplane_schema.promql import Matcher
from modelplane_schema.registry import PsiThresholds, Registry

DEFAULT_CLUSTER_LABELS: Labels = ("cluster",)
DEFAULT_PSI = PsiThresholds()


@dataclass(frozen=True, slots=True)
class BoardContext:
    """Labels that tell clusters apart, the limits of alerts, and a tenant and model that exist.

    The examples stand for variables that have no All, for those who ask queries outside Grafana.
    """

    clusters: Labels = DEFAULT_CLUSTER_LABELS
    limits: AlertLimits = DEFAULT_LIMITS
    psi: PsiThresholds = DEFAULT_PSI
    example_tenant: str = ""
    example_model: str = ""
    example_version: str = ""

    def scope(self, *matchers: Matcher) -> BoardScope:
        return BoardScope(matchers, self.clusters)


def board_context(registry: Registry) -> BoardContext:
    """The context of a registry's boards."""
    labels = registry.alerts.get("clusterLabels")
    model = next((model for model in registry.models if model.tenants), None)
    return BoardContext(
        clusters=tuple(map(str, labels)) if isinstance(labels, list) else DEFAULT_CLUSTER_LABELS,
        limits=alert_limits(registry.alerts),
        psi=_psi(registry),
        example_tenant=model.tenants[0] if model else "",
        example_model=model.name if model else "",
        example_version=model.versions[0].version if model and model.versions else "",
    )


def _psi(registry: Registry) -> PsiThresholds:
    """The thresholds of models that declare none."""
    settings = {"warning": "psiWarning", "critical": "psiCritical"}
    given = {name: registry.alerts[key] for name, key in settings.items() if key in registry.alerts}
    return DEFAULT_PSI.model_copy(update=given)
