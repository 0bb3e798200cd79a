"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

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


def address(example: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback for an option that is an address as in ``example``: it has no slash at its end then."""

    def checked(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
        if url is None:
            return None
        if not _is_address(url):
            raise click.BadParameter(f"must be an address such as {example}")
        if "@" in urlsplit(url).netloc:
            raise click.BadParameter(
                "must not hold a login: other users of this machine see it; name the file that holds it"
            )
        return url.rstrip("/")

    return checked


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port above 65535, half an IPv6 address
        return False
    return is_complete and not (parts.query or parts.fragment) and url.isprintable() and " " not in url
