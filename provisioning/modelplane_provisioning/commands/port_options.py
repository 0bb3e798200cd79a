"""Options that say where the parts of a plane listen on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from modelplane_provisioning.bundle.customary_ports import CUSTOMARY_PORTS
from modelplane_provisioning.local.ports import EVERYWHERE, LOOPBACK, Ports, choose_ports

Command = TypeVar("Command", bound=Callable[..., Any])


def port_options(command: Command) -> Command:
    """``--prometheus-port`` and so on, and ``--listen``; ``chosen_ports`` takes them."""
    for part, customary in reversed(CUSTOMARY_PORTS.items()):
        option = click.option(
            f"--{part}-port",
            type=click.IntRange(1, 65535),
            help=f"Port of {part.capitalize()}.  [default: {customary} if it is free]",
        )
        command = option(command)
    listen = click.option(
        "--listen",
        type=click.Choice([LOOPBACK, EVERYWHERE]),
        default=LOOPBACK,
        show_default=True,
        help="Address of Grafana and the backend, which want a login, though they speak no TLS. "
        "Prometheus and Alertmanager want none and stay on loopback.",
    )
    return listen(command)


def chosen_ports(options: dict[str, Any]) -> Ports:
    """What the options say; ProcessError for ports that cannot be had."""
    return choose_ports({part: options[f"{part}_port"] for part in CUSTOMARY_PORTS}, options["listen"])
