"""The command that brings a running plane to a registry."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelplane_provisioning.commands.grafana_options import admin_options
from modelplane_provisioning.commands.options import address, api_option, console, out_option
from modelplane_provisioning.commands.show import progress, until_interrupted

if TYPE_CHECKING:
    from modelplane_dashboards import ApiAccess
    from modelplane_provisioning.apply.connections import Addresses


@click.command("apply")
@click.option(
    "--registry",
    type=click.Path(path_type=Path),
    default=Path("modelplane.yaml"),
    show_default=True,
    help="The registry of tenants and models, or the folder with its modelplane.yaml.",
)
@out_option("build", "Folder of the bundle that the plane runs from.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the local plane, in place of --out: for one that `modelplane up` runs.",
)
@click.option(
    "--examples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="As for `modelplane bundle`: the folder of the example services that run as containers.",
)
@click.option(
    "--no-grafana", is_flag=True, help="As for `modelplane bundle`: compose.yaml starts no Grafana."
)
@api_option
@click.option(
    "--prometheus",
    callback=address("http://prometheus:9090"),
    help="Prometheus. [default: http://127.0.0.1:9090]",
)
@click.option(
    "--alertmanager",
    callback=address("http://alertmanager:9093"),
    help="Alertmanager. [default: http://127.0.0.1:9093]",
)
@click.option(
    "--backend", callback=address("http://backend:8090"), help="The backend. [default: http://127.0.0.1:8090]"
)
@click.option(
    "--grafana", callback=address("http://grafana:3000"), help="Grafana. [default: http://127.0.0.1:3000]"
)
@admin_options
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--watch", is_flag=True, help="Follow the registry: apply it whenever its file changes.")
@click.option(
    "--timeout",
    "patience",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    help="Seconds to wait until the parts have taken it.",
)
def apply_command(
    registry: Path,
    out: Path,
    data: Path | None,
    examples: Path | None,
    no_grafana: bool,
    api: ApiAccess,
    dry_run: bool,
    watch: bool,
    patience: float,
    **connections: str | Path | None,
) -> None:
    """Bring a running plane to a registry: write its bundle, reload each part, wait until all have taken it.

    Says what changes: tenants, models, rules, boards. No target, rule or board is lost meanwhile. Name the
    options that the bundle was written with. The status is 1 when a part has not taken it.

    Example: modelplane apply --registry modelplane.yaml --out build
    """
    from modelplane_provisioning.apply import rendered, run
    from modelplane_provisioning.apply.watch import Watch

    if dry_run and watch:
        raise click.UsageError(
            "--dry-run and --watch do not go together: one changes nothing, one follows changes"
        )
    if data is None:
        choices = rendered.ContainerChoices(examples, not no_grafana, api)
        render = functools.partial(rendered.for_containers, registry, out, choices)
    else:
        render = functools.partial(rendered.for_local_plane, registry, data)
    if dry_run:
        for line in run.plan(render()).lines or ("nothing changes",):
            console.print(line, markup=False)
        return
    addresses = _addresses(data, no_grafana, connections)

    def apply_once() -> None:
        # What is tried again and again until all parts have taken it is not said each time.
        say = functools.partial(console.print, markup=False)
        run.apply(render(), addresses.parts, say, patience, is_quiet=watch)

    if not watch:
        apply_once()
        return
    with until_interrupted():
        Watch(registry, apply_once, progress).run()


def _addresses(data: Path | None, no_grafana: bool, given: dict[str, str | Path | None]) -> Addresses:
    from modelplane_provisioning.apply.connections import Addresses
    from modelplane_provisioning.clients.plane import Plane

    known = Addresses.of_plane(Plane.load(data)) if data else Addresses()
    if no_grafana:
        known = replace(known, grafana=None)
    return replace(known, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


COMMANDS = (apply_command,)
