"""What a request selects: models, tenants, versions, and the options of its metric."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelplane_datasource.web import identity_parameters
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

GROUP_LABELS = (MODEL_NAME, MODEL_VERSION, TENANT_ID)

MODEL = replace(identity_parameters.MODEL, required=True)
TENANT = replace(identity_parameters.TENANT, required=True)
VERSION = replace(identity_parameters.VERSION, summary="Version; every version when it is left out.")
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
