"""What a request selects: models, tenants, versions, and the options of its metric."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelplane_datasource.web import identity_parameters
from modelplane_datasource.web.parameters import Parameter, choice
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

GROUP_LABELS = (MODEL_NAME, MODEL_VERSION, TENANT_ID)

MODEL = replace(identity_parameters.MODEL, summary="Model; every one when it is left out.")
TENANT = replace(
    identity_parameters.TENANT, summary="Tenant; every one that the caller may see when it is left out."
)
VERSION = replace(identity_parameters.VERSION, summary="Version; every version when it is left out.")
SELECTION_PARAMETERS = (MODEL, TENANT, VERSION)

_ALL_TOGETHER = "none"
_GROUPS = dict(zip(("model", "version", "tenant"), GROUP_LABELS, strict=True))
GROUP_BY = Parameter(
    "group-by",
    "What series differ by; what is left out of it is added up: a quantile is of all buckets together, and a "
    "ratio of all calls.",
    f"{', '.join(_GROUPS)}, or {_ALL_TOGETHER} for one series of all; repeatable",
    choice(*_GROUPS, _ALL_TOGETHER),
    repeated=True,
    default=f"{{{','.join(_GROUPS)}}}",
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query selects; ``options`` holds the metric's own parameters.

    No ``models`` or ``versions`` means all; no ``tenants`` means all as well, and is nobody's who may not see
    all of them.
    """

    models: tuple[str, ...]
    tenants: tuple[str, ...]
    versions: tuple[str, ...]
    options: Mapping[str, Any]

    @property
    def key(self) -> Hashable:
        """Equal for selections of the same."""
        return self.models, self.tenants, self.versions, tuple(sorted(self.options.items()))

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Matchers of this selection and of nothing else."""
        labels = ((MODEL_NAME, self.models), (TENANT_ID, self.tenants), (MODEL_VERSION, self.versions))
        return tuple(one_of(label, values) for label, values in labels if values)

    @property
    def group_labels(self) -> tuple[str, ...]:
        """The labels by which series differ: those of ``GROUP_BY``, where it is an option and given."""
        groups = self.options.get(GROUP_BY.name)
        if not groups:
            return GROUP_LABELS
        return tuple(label for group, label in _GROUPS.items() if group in groups)

    def select(self, name: str, /, *matchers: Matcher) -> str:
        """A selector of the series ``name`` that are selected and fit ``matchers``."""
        return selector(name, (*self.matchers, *matchers))
