"""What fills the menu of a variable: data, which Grafana's own texts are made from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelValues:
    """The values of ``label`` of the series that the selector ``expr`` selects, over the time range."""

    label: str
    expr: str

    @property
    def query(self) -> str:
        """What Grafana's Prometheus data source is asked."""
        return f"label_values({self.expr}, {self.label})"

    @property
    def regex(self) -> str:
        """What takes the values out of the answer; empty where the answer is the values."""
        return ""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The values of ``label`` in what the instant query ``expr`` returns, whose only label it is."""

    label: str
    expr: str

    @property
    def query(self) -> str:
        """What Grafana's Prometheus data source is asked."""
        return f"query_result({self.expr})"

    @property
    def regex(self) -> str:
        """What takes the values out of the answer, which are texts such as ``{label="value"} 1 0``."""
        return f'/{self.label}="(.*)"}} /'


Menu = LabelValues | QueryResult
