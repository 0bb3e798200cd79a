"""Devices: which are busy, which are idle, and who shares them?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import Board, Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.scope import BoardScope
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import cost
from modelplane_dashboards.measures import devices as measures
from modelplane_schema.metrics import MODEL_NAME, TENANT_ID
from modelplane_schema.uids import template_uid

_BY_DEVICE = measures.DEVICE
_MOST = 20


def devices(context: BoardContext) -> Board:
    """The board of all devices; it has no tenant, for a device belongs to none."""
    scope = context.scope()
    now = (measures.DEVICES, measures.BUSY, measures.UTILISATION, measures.POWER)
    return Board(
        kind="devices",
        uid=template_uid("devices"),
        title="Devices",
        question="Which devices are busy, which are idle, and who shares them?",
        advice="A GPU that is idle for hours can be given back or shared; see its cost on the board Cost.",
        variables=variables(scope),
        annotations=(),
        sections=(
            Section("now", "Now", (Row(tuple(measure.stat(scope) for measure in now), height=5),)),
            Section("devices", "Devices", _devices(scope)),
            Section("sharing", "Who shares them", _sharing(scope)),
            Section("gpus", "GPUs", (_gpus(scope),)),
        ),
    )


def _devices(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((measures.devices(scope),), height=9),
        Row(
            (
                measures.BUSY.graph(scope, _BY_DEVICE, "Busy with calls, the busiest", most=_MOST),
                measures.least_busy(scope),
                measures.inventory(scope),
            )
        ),
    )


def _sharing(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((measures.models_on_devices(scope),)),
        Row(
            (
                cost.DEVICES_BUSY.graph(scope, (MODEL_NAME,), "Devices busy by model", most=_MOST),
                cost.DEVICES_BUSY.graph(scope, (TENANT_ID,), "Devices busy by tenant", most=_MOST),
                cost.devices_busy_by_type(scope),
            )
        ),
    )


def _gpus(scope: BoardScope) -> Row:
    titles = (
        (measures.UTILISATION, "Utilisation by GPU"),
        (measures.MEMORY, "Memory used by GPU"),
        (measures.POWER, "Power by GPU"),
    )
    return Row(tuple(measure.graph(scope, _BY_DEVICE, title, most=_MOST) for measure, title in titles))
