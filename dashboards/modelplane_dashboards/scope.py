"""Which series a board is about, as PromQL selectors."""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_schema.metrics import IDENTITY, MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector


class FixedMatcher(Matcher):
    """A matcher whose value Grafana must not take for a variable.

    Grafana replaces ``$name``, ``${name}`` and ``[[name]]`` anywhere in a query. PromQL reads the hex
    escapes as the same characters, and Grafana leaves them alone.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return super().__str__().replace("$", r"\x24").replace("[", r"\x5b")


@dataclass(frozen=True, slots=True)
class BoardScope:
    """The series of a board: a fixed tenant or model, or None where the board has the variable.

    ``by`` are the labels that tell the lines of a graph apart. ``models`` are the models of a fixed
    tenant: they limit series that carry no tenant.
    """

    by: tuple[str, ...]
    tenant: str | None = None
    model: str | None = None
    models: tuple[str, ...] = ()

    @property
    def legend(self) -> str:
        return legend(*self.by)

    def calls(self, name: str, *matchers: Matcher) -> str:
        """A selector of series that carry the whole identity."""
        return selector(
            name, (self._tenant(), self._model(), variable_matcher(MODEL_VERSION, "version"), *matchers)
        )

    def versions(self, name: str) -> str:
        """A selector of series that describe a version and carry no tenant."""
        return selector(name, (*self._models(), variable_matcher(MODEL_VERSION, "version")))

    def firing(self) -> str:
        """Firing alerts, one series each; alerts without a tenant, model or version are part of it."""
        state, version = Matcher("alertstate", "firing"), _or_absent(MODEL_VERSION, "version")
        tenant = self._tenant() if self.tenant is not None else _or_absent(TENANT_ID, "tenant")
        model = self._model() if self.model is not None else _or_absent(MODEL_NAME, "model")
        series = selector("ALERTS", (state, tenant, model, version))
        if self.tenant is not None:
            shared = (state, Matcher(TENANT_ID, ""), *self._models(), version)
            series = f"{series} or {selector('ALERTS', shared)}"
        labels = ", ".join(("alertname", "severity", *IDENTITY[:3]))
        return f"max by ({labels}) ({series})"

    def _tenant(self) -> Matcher:
        return (
            variable_matcher(TENANT_ID, "tenant")
            if self.tenant is None
            else FixedMatcher(TENANT_ID, self.tenant)
        )

    def _model(self) -> Matcher:
        return (
            variable_matcher(MODEL_NAME, "model")
            if self.model is None
            else FixedMatcher(MODEL_NAME, self.model)
        )

    def _models(self) -> tuple[Matcher, ...]:
        if self.tenant is None:
            return (self._model(),)
        models = one_of(MODEL_NAME, self.models)
        return (self._model(), FixedMatcher(models.label, models.value, models.op))


def legend(*labels: str) -> str:
    """A legend that shows the values of ``labels``."""
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def variable_matcher(label: str, variable: str) -> Matcher:
    """A matcher for the selected values of a variable."""
    return Matcher(label, f"${variable}", "=~")


def _or_absent(label: str, variable: str) -> Matcher:
    return Matcher(label, f"${variable}|", "=~")
