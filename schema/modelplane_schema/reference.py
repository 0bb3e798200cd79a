"""Render ``docs/metrics.md`` from the schema."""

from __future__ import annotations

from modelplane_schema.alerts import ALERTS
from modelplane_schema.metrics import IDENTITY, METRICS, Metric
from modelplane_schema.recorded import RECORDED

_INTRODUCTION = f"""\
# Metrics

Generated from `modelplane_schema` by `make generate`; do not edit.

Series about calls and signals carry the identity labels {", ".join(f"`{label}`" for label in IDENTITY)}.
"""


def metrics_page() -> str:
    """The whole page as Markdown."""
    sections = [
        _INTRODUCTION,
        "## Exposed series\n",
        _table(
            ("Name", "Type", "Unit", "Labels", "Meaning"),
            [(f"`{m.name}`", m.type, m.unit, _labels(m.labels), _meaning(m)) for m in METRICS],
        ),
        "## Recorded series\n",
        _table(
            ("Name", "Unit", "Labels", "Meaning"),
            [
                (f"`{r.name}`", f"{r.unit} per second" if r.per_second else r.unit, _labels(r.labels), r.help)
                for r in RECORDED
            ],
        ),
        "## Alerts\n",
        _table(
            ("Name", "Severity", "Labels", "Summary"),
            [(f"`{a.name}`", a.severity, _labels(a.labels), a.summary) for a in ALERTS],
        ),
    ]
    return "\n".join(sections)


def _labels(labels: tuple[str, ...]) -> str:
    return " ".join(f"`{label}`" for label in labels) or "none"


def _meaning(metric: Metric) -> str:
    parts = [metric.help]
    parts += [f"`{label}`: {', '.join(f'`{value}`' for value in values)}." for label, values in metric.closed]
    if metric.buckets:
        parts.append(f"Bounds: {' '.join(f'{bound:g}' for bound in metric.buckets)}.")
    return " ".join(parts)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
