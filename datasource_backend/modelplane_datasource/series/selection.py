"""What a request selects: models, tenants, versions, and the options of its metric."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from modelplane_datasource.web.parameters import Parameter, TenantParameter, label_text
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

GROUP_LABELS = (MODEL_NAME, MODEL_VERSION, TENANT_ID)

MODEL = Parameter(
    "model-name", "Model, by its name in the registry.", "the name of a model, repeatable", label_text,
    required=True, repeated=True,
)  # fmt: skip
TENANT = TenantParameter(
    "tenant-id", "Tenant, by its id in the registry.", "the id of a tenant, repeatable", label_text,
    required=True, repeated=True,
)  # fmt: skip
VERSION = Parameter(
    "model-version", "Version; every version when it is left out.", "a version of the model, repeatable",
    label_text, repeated=True,
)  # fmt: skip
SELECTION_PARAMETERS = (MODEL, TENANT, VERSION)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query selects: no ``versions`` means all; ``options`` holds the metric's own parameters."""

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

    def select(self, name: str, /, *matchers: Matcher) -> str:
        """A selector of the series ``name`` that are selected and fit ``matchers``."""
        return selector(name, (*self.matchers, *matchers))
