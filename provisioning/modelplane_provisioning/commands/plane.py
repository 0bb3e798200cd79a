"""Commands that run a plane or a part of it: up, serve."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import click

from modelplane_provisioning.commands.options import console, data_option, registry_option
from modelplane_provisioning.commands.port_options import chosen_ports, port_options
from modelplane_provisioning.commands.show import (
    explain_grafana,
    part_health,
    progress,
    status_table,
    until_interrupted,
)
from modelplane_provisioning.data_folder import prepare_for_plane
from modelplane_schema.registry import load_registry


@click.command("up")
@registry_option
@data_option
@port_options
def up_command(registry: Path, data: Path, **listening: Any) -> None:
    """Run the plane on this machine until Ctrl-C: Prometheus, Alertmanager, backend, Grafana if installed.

    Parts are found on PATH, listen on loopback unless --listen says otherwise, and are started again when
    they end.

    Example: modelplane up --registry examples/modelplane.yaml
    """
    from modelplane_provisioning.bundle.files import registry_targets
    from modelplane_provisioning.bundle.site import PRODUCTION_TIMES
    from modelplane_provisioning.local.stack import Stack, Supervisor, refuse_second

    content = load_registry(registry)
    refuse_second(data.resolve())
    targets, ports = registry_targets(content), chosen_ports(listening)
    stack = Stack(content, registry.parent, data, PRODUCTION_TIMES, targets, ports)
    with until_interrupted(), contextlib.ExitStack() as cleanup:
        prepare_for_plane(data)
        cleanup.callback(stack.stop)
        stack.start(progress)
        console.print(status_table(part_health(stack.plane)))
        explain_grafana(stack.plane, stack.compose_path)
        console.print("Stop with Ctrl-C.")
        Supervisor(stack.processes, progress).run(until=lambda: False)


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


COMMANDS = (up_command, serve_command)
