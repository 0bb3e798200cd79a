"""A measure: one thing that boards show, declared once and drawn as a stat, a graph or a column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.colours import GOOD, NEUTRAL
from modelplane_dashboards.kit.scope import BoardScope, Labels, largest, legend
from modelplane_dashboards.kit.views import PLAIN, Column, Link, Stat, Steps, TimeSeries, limit_steps
from modelplane_schema.grafana_units import RATIO

Expression = Callable[[BoardScope, Labels], str]


@dataclass(frozen=True, slots=True)
class Measure:
    """``expression`` gives PromQL for a board's scope, one series for each combination of labels.

    ``title`` fits a stat of six columns. From ``warning`` and ``bad`` on a value is orange and red.
    ``most`` is the end of a gauge's scale. ``empty`` as in a panel.
    """

    key: str
    title: str
    description: str
    unit: str
    expression: Expression
    warning: float | None = None
    bad: float | None = None
    most: float | None = None
    decimals: int | None = None
    empty: str = ""

    @property
    def has_limit(self) -> bool:
        return self.warning is not None or self.bad is not None

    @property
    def steps(self) -> Steps:
        """The colours of a stat."""
        return limit_steps(warning=self.warning, bad=self.bad) if self.has_limit else PLAIN

    def query(self, scope: BoardScope, by: Labels = (), *, instant: bool = False) -> PromQuery:
        return PromQuery(
            self.expression(scope, by), legend(*by) or self.title, instant, may_be_empty=bool(self.empty)
        )

    def stat(self, scope: BoardScope, *, trend: bool = True) -> Panel:
        """The value now, with its course in the time range unless ``trend`` is off."""
        return Panel(
            key=f"{self.key}-now",
            title=self.title,
            description=self.description,
            unit=self.unit,
            queries=(self.query(scope, instant=not trend),),
            view=Stat(self.steps, trend=trend),
            decimals=self.decimals,
            empty=self.empty,
        )

    def graph(
        self,
        scope: BoardScope,
        by: Labels,
        title: str,
        *limits: PromQuery,
        most: int | None = None,
        ranked_by: Measure | None = None,
        stacked: bool = False,
    ) -> Panel:
        """A line for each combination of the labels ``by``, and dashed lines for ``limits``.

        With ``most``, only the lines that are highest at the end of the range, by this or another measure.
        """
        maximum = 1.0 if self.unit == RATIO else None
        return Panel(
            key=f"{self.key}-by-{'-'.join(by) or 'all'}".replace("_", "-"),
            title=title,
            description=f"{self.description} No line means no data.",
            unit=self.unit,
            queries=(self._lines(scope, by, most, ranked_by or self), *limits),
            view=TimeSeries(stacked=stacked, maximum=maximum),
            decimals=self.decimals,
            empty=self.empty,
        )

    def _lines(self, scope: BoardScope, by: Labels, most: int | None, ranked_by: Measure) -> PromQuery:
        query = self.query(scope, by)
        if most is None:
            return query
        ranking = ranked_by.expression(scope.ending, by)
        return replace(query, expr=largest(query.expr, ranking, by, most))

    def column(self, ref_id: str, title: str = "", link: Link | None = None) -> Column:
        """A column of a table whose query has the reference id ``ref_id``."""
        is_gauge = self.most is not None
        return Column(
            f"Value #{ref_id}",
            title or self.title,
            unit=self.unit,
            link=link,
            cell="gauge" if is_gauge else "colour" if self.has_limit else "text",
            steps=limit_steps(warning=self.warning, bad=self.bad, base=GOOD if is_gauge else NEUTRAL),
            maximum=self.most,
            decimals=self.decimals,
        )
