"""Commands that run or look at a plane: up, status, doctor, serve."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from modelplane_provisioning.commands.options import console, data_option, registry_option
from modelplane_provisioning.commands.show import (
    explain_grafana,
    part_health,
    print_findings,
    progress,
    status_table,
    until_interrupted,
)
from modelplane_provisioning.data_folder import prepare_for_plane
from modelplane_provisioning.plane import Plane
from modelplane_schema.registry import load_registry


@click.command("up")
@registry_option
@data_option
def up_command(registry: Path, data: Path) -> None:
    """Run the plane on this machine until Ctrl-C: Prometheus, Alertmanager, backend, Grafana if installed.

    Parts are found on PATH, listen on loopback, take their customary port or a free one, and are
    started again when they end.

    Example: modelplane up --registry examples/modelplane.yaml
    """
    from modelplane_provisioning.bundle import registry_targets
    from modelplane_provisioning.site import PRODUCTION_TIMES
    from modelplane_provisioning.stack import Stack, Supervisor, refuse_second

    content = load_registry(registry)
    stack = Stack(content, registry.parent, data, PRODUCTION_TIMES, registry_targets(content))
    with until_interrupted(), contextlib.ExitStack() as cleanup:
        refuse_second(data.resolve())
        prepare_for_plane(data)
        cleanup.callback(stack.stop)
        stack.start(progress)
        console.print(status_table(stack.plane))
        explain_grafana(stack.plane, stack.compose_path)
        console.print("Stop with Ctrl-C.")
        Supervisor(stack.processes, progress).run(until=lambda: False)


@click.command("status")
@data_option
def status_command(data: Path) -> None:
    """Print the parts of the local plane, their URLs and whether they answer.

    Example: modelplane status
    """
    plane = Plane.load(data)
    console.print(status_table(plane))
    if not all(part.healthy for part in part_health(plane)):
        raise click.ClickException("a part does not answer; its log says why")


@click.command("doctor")
@data_option
@click.option("--probe", is_flag=True, help="Also send a test alert and wait for it in the store.")
def doctor_command(data: Path, probe: bool) -> None:
    """Check a running plane and say in plain words what is wrong.

    Targets up, rules healthy, alerts reach the store, every panel's query returns data.

    Example: modelplane doctor --probe
    """
    from modelplane_provisioning.checks import Parts, diagnose

    plane = Plane.load(data)
    registry = load_registry(Path(plane.registry))
    if not print_findings(diagnose(Parts(plane), registry, probe)):
        raise click.ClickException("something is wrong with the plane; see above")


@click.command("serve")
@click.option("--prometheus-url", help="Where Prometheus is. [MODELPLANE_DATASOURCE_PROMETHEUS_URL]")
@click.option("--host", help="Address to listen on. [MODELPLANE_DATASOURCE_HOST]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port. [MODELPLANE_DATASOURCE_PORT]")
@click.option("--database-url", help="Alert store. [MODELPLANE_DATASOURCE_DATABASE_URL]")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Tokens; without it the server listens on loopback only. [MODELPLANE_DATASOURCE_TOKEN_FILE]",
)
def serve_command(**flags: object) -> None:
    """Run the backend in this process. Flags win over the environment.

    Example: modelplane serve --prometheus-url http://127.0.0.1:9090 --database-url sqlite:///modelplane.db
    """
    from modelplane_datasource.server import serve
    from modelplane_datasource.settings import PREFIX, Settings

    given = {PREFIX + name.upper(): str(value) for name, value in flags.items() if value is not None}
    serve(Settings.from_environment({**os.environ, **given}))


COMMANDS = (up_command, status_command, doctor_command, serve_command)
