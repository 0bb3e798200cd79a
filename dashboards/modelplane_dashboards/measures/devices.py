"""Measures of devices: how busy they are, by calls and by their own account, and who shares them.

A process without a GPU counts as a device of the type ``cpu-process``. What NVML tells of a GPU is exposed by
each process that watches it, so that one of the copies is taken.
"""

from __future__ import annotations

from modelplane_dashboards.kit.board import ApiQuery, Field, Panel, PromQuery
from modelplane_dashboards.kit.colours import COST_COLOURS
from modelplane_dashboards.kit.links import model_link
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, largest, legend
from modelplane_dashboards.kit.views import PLAIN, BarGauge, Column, Table, ValueText
from modelplane_dashboards.measures.cost import NO_DEVICE
from modelplane_schema import level_expressions as levels
from modelplane_schema.grafana_units import COUNT, RATIO, unit_of
from modelplane_schema.metrics import (
    DEVICE_MEMORY_TOTAL,
    DEVICE_MEMORY_USED,
    DEVICE_POWER,
    DEVICE_UTILIZATION,
    MODEL_NAME,
    Metric,
)
from modelplane_schema.promql import aggregate, ratio

NO_GPU = "Not reported here: no GPU is monitored"
DEVICE: Labels = ("device", "device_type")
_ROWS = 100


def _charged(scope: BoardScope, by: Labels = DEVICE) -> str:
    """Device seconds per second; more than 1 where processes that share a device each charge its time."""
    return levels.summed("device_seconds", scope.select, scope.labels, by)


def _of_gpu(metric: Metric, scope: BoardScope) -> str:
    return aggregate("max", scope.select(metric.name), DEVICE)


def _known(scope: BoardScope) -> str:
    """What is charged of each device, 0 for a GPU that no call used.

    Parts of a GPU (MIG) have memory, and no utilisation of their own.
    """
    return f"({_charged(scope)} or 0 * {_of_gpu(DEVICE_MEMORY_TOTAL, scope)})"


def _over(operation: str, expression: str, by: Labels) -> str:
    """An aggregation of what each device has; as it is where it is wanted by device."""
    if set(DEVICE) <= set(by):
        return expression
    return f"{operation} by ({', '.join(by)}) ({expression})" if by else f"{operation}({expression})"


def _memory(scope: BoardScope) -> str:
    return ratio(_of_gpu(DEVICE_MEMORY_USED, scope), _of_gpu(DEVICE_MEMORY_TOTAL, scope))


DEVICES = Measure(
    "devices",
    "Devices",
    "GPUs that are monitored, and devices that calls were charged to in the last 5 minutes.",
    COUNT,
    lambda scope, by: _over("count", _known(scope), by),
    empty=NO_DEVICE,
)
BUSY = Measure(
    "busy",
    "Busy with calls",
    "Share of their time in which devices worked on calls, over 5 minutes; the rest is idle.",
    RATIO,
    lambda scope, by: _over("avg", f"clamp_max({_known(scope)}, 1)", by),
    most=1.0,
    decimals=1,
    empty=NO_DEVICE,
)
UTILISATION = Measure(
    "utilisation",
    "GPU utilisation",
    "Share of time in which any kernel ran on a GPU, as its driver says.",
    RATIO,
    lambda scope, by: _over("avg", _of_gpu(DEVICE_UTILIZATION, scope), by),
    most=1.0,
    decimals=1,
    empty=NO_GPU,
)
MEMORY = Measure(
    "memory",
    "GPU memory",
    "Memory of a GPU in use, as a share of what is installed; of several GPUs the fullest.",
    RATIO,
    lambda scope, by: _over("max", _memory(scope), by),
    most=1.0,
    decimals=1,
    empty=NO_GPU,
)
POWER = Measure(
    "power",
    "GPU power",
    "Power that GPUs draw.",
    unit_of(DEVICE_POWER),
    lambda scope, by: _over("sum", _of_gpu(DEVICE_POWER, scope), by),
    decimals=0,
    empty=NO_GPU,
)


def devices(scope: BoardScope) -> Panel:
    """All that is known of each device, the busiest first."""
    measures = (BUSY, UTILISATION, MEMORY, POWER)
    models = f"count by ({', '.join(DEVICE)}) ({_charged(scope, (*DEVICE, MODEL_NAME))} > 0)"
    texts = (*(measure.expression(scope, DEVICE) for measure in measures), models)
    return Panel(
        key="devices",
        title="Devices now",
        description=f"The {_ROWS} busiest devices: time charged to calls, and what the driver says of GPUs.",
        unit=COUNT,
        queries=tuple(PromQuery(largest(text, _known(scope), DEVICE, _ROWS), instant=True) for text in texts),
        view=Table(
            (
                Column("device", "Device"),
                Column("device_type", "Type"),
                *(measure.column(ref_id) for measure, ref_id in zip(measures, "ABCD", strict=True)),
                Column("Value #E", "Models", COUNT),
            ),
            sort_by=BUSY.title,
        ),
        empty=NO_DEVICE,
    )


def least_busy(scope: BoardScope) -> Panel:
    return Panel(
        key="least-busy",
        title="Least busy with calls",
        description="The ten devices that calls use least now: candidates to give back or to share.",
        unit=RATIO,
        queries=(
            PromQuery(f"sort(bottomk(10, clamp_max({_known(scope)}, 1)))", legend(*DEVICE), instant=True),
        ),
        view=BarGauge(PLAIN, maximum=1.0),
        decimals=1,
        empty=NO_DEVICE,
    )


def models_on_devices(scope: BoardScope) -> Panel:
    """Who shares a device: the time that it gives to each model."""
    by = (*DEVICE, MODEL_NAME)
    charged = f"topk({_ROWS}, {_charged(scope, by)})"
    model = model_link(*scope.clusters)
    return Panel(
        key="models-on-devices",
        title="Models on devices",
        description=f"Share of a device's time charged to a model over 5 minutes; the {_ROWS} largest.",
        unit=RATIO,
        queries=(PromQuery(charged, instant=True),),
        view=Table(
            (
                Column("device", "Device"),
                Column("device_type", "Type"),
                Column(MODEL_NAME, "Model", link=model),
                Column("Value", "Of its time", RATIO, cell="gauge", steps=PLAIN, maximum=1.0, decimals=1),
            ),
            sort_by="Device",
            descending=False,
        ),
        empty=NO_DEVICE,
    )


def inventory(scope: BoardScope) -> Panel:
    """What the cost ledger says of devices that the registry lists, seen or not."""
    kinds = tuple(ValueText(kind, colour=colour) for kind, colour in COST_COLOURS.items())
    fields = (
        *(Field(name, name) for name in ("device_type", "kind", "unit")),
        *(Field(name, name, "number") for name in ("quantity", "estimated")),
    )
    return Panel(
        key="device-time",
        title="Time against the inventory",
        description="Direct: calls. Idle: no call. Unknown: not scraped. Over: charged twice. Capacity: all.",
        unit="s",
        queries=(ApiQuery("table", "costs", (("group-by", "device_type"),), "rows", fields),),
        view=Table(
            (
                Column("device_type", "Type"),
                Column("kind", "Kind", cell="colour", texts=kinds),
                Column("quantity", "Time", "s"),
                Column("estimated", "Estimated", "s"),
                Column("unit", "Unit", hidden=True),
            ),
            sort_by="Type",
            descending=False,
            only=("unit", "device_seconds"),
        ),
        empty="No device was used in whole periods of 5 minutes of this time range",
    )
