"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

# A pipe or a log has no width of its own; 80 columns would cut tables.
console = Console(highlight=False, soft_wrap=True)
if not console.is_terminal:
    console.width = 140

registry_option = click.option(
    "--registry",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("modelplane.yaml"),
    show_default=True,
    help="The registry of tenants and models.",
)
data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".plane"),
    show_default=True,
    help="Folder of the local plane: bundle, logs and databases.",
)


api_option = click.option(
    "--api",
    type=click.Choice(["plugin", "infinity", "none"]),
    default="plugin",
    show_default=True,
    help="How boards read the backend: by modelplane's plugin, by Infinity (for a Grafana that cannot load "
    "the plugin, such as Grafana Cloud), or not at all.",
)


def out_option(default: str, what: str) -> Callable[[Command], Command]:
    """``--out`` with a default folder."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(default),
        show_default=True,
        help=what,
    )
