"""Ports and addresses on which the parts of a plane listen on this machine."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from modelplane_provisioning.bundle.customary_ports import CUSTOMARY_PORTS
from modelplane_provisioning.processes import ProcessError, free_port, port_is_free

GRAFANA_BINARIES = ("grafana",)
LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - for parts that want a login, where somebody says so


@dataclass(frozen=True, slots=True)
class Ports:
    """Where parts listen; ``grafana`` is None when Grafana is not started.

    ``address`` is that of Grafana and of the backend, which want a login. Prometheus and Alertmanager want
    none and listen on loopback.
    """

    prometheus: int
    alertmanager: int
    backend: int
    grafana: int | None
    address: str = LOOPBACK


def choose_ports(wanted: Mapping[str, int | None] | None = None, address: str = LOOPBACK) -> Ports:
    """The wanted port of each part, else the customary one when it is free, else any free one.

    ProcessError when a wanted port is taken, wanted twice, or for a Grafana that is not installed.
    """
    given = {part: port for part, port in (wanted or {}).items() if port is not None}
    has_grafana = shutil.which(GRAFANA_BINARIES[0]) is not None
    problems = [
        f"--{part}-port {port}: something listens there; choose another"
        for part, port in given.items()
        if not port_is_free(port)
    ]
    problems += [
        f"port {port} is wanted by {count} parts; choose another for all but one"
        for port, count in Counter(given.values()).items()
        if count > 1
    ]
    if "grafana" in given and not has_grafana:
        problems.append("--grafana-port: Grafana is not on PATH")
    if problems:
        raise ProcessError("\n".join(problems))
    taken = set(given.values())
    chosen = {part: given.get(part) or _free(CUSTOMARY_PORTS[part], taken) for part in CUSTOMARY_PORTS}
    return Ports(
        chosen["prometheus"],
        chosen["alertmanager"],
        chosen["backend"],
        chosen["grafana"] if has_grafana else None,
        address,
    )


def _free(customary: int, taken: set[int]) -> int:
    return customary if customary not in taken and port_is_free(customary) else free_port()
