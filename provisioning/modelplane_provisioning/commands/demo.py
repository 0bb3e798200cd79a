"""The demo command: the plane, real models, and the proof that data flows all the way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from modelplane_provisioning import credentials, demo
from modelplane_provisioning.checks import Parts
from modelplane_provisioning.commands.options import console, data_option
from modelplane_provisioning.commands.show import (
    explain_grafana,
    print_findings,
    progress,
    shown,
    status_table,
    until_interrupted,
)
from modelplane_provisioning.data_folder import prepare_for_demo
from modelplane_provisioning.examples import ExampleService, read_catalogue
from modelplane_provisioning.processes import wait_until
from modelplane_provisioning.site import DEMO_TIMES
from modelplane_provisioning.stack import Stack, Supervisor
from modelplane_schema.registry import Registry, load_registry

_TABLE_SECONDS = 120


@click.command("demo")
@click.option(
    "--examples",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("examples"),
    show_default=True,
    help="Folder of the example services and their registry.",
)
@data_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    help="End by itself this long after the first full table, with a verdict as exit status.",
)
def demo_command(examples: Path, data: Path, seconds: float | None) -> None:
    """Run the plane with example models of five frameworks, and show that data flows all the way.

    Without --seconds it runs until Ctrl-C.

    Example: modelplane demo --seconds 120
    """
    started = time.monotonic()
    services = read_catalogue(examples)
    _name_missing(services)
    registry_path = examples / "modelplane.yaml"
    registry = demo.installed_part(load_registry(registry_path), services)
    models, targets = demo.example_processes(examples, services, data.resolve() / "logs")
    stack = Stack(registry, registry_path.parent, data, DEMO_TIMES, targets)
    with until_interrupted(), contextlib.ExitStack() as cleanup:
        stack.refuse_second()
        prepare_for_demo(data)
        for process in models:
            cleanup.callback(process.stop)
            progress(f"starting {process.name}: it trains its model, then replays held-out rows")
            process.start()
        for process in models:
            process.wait_ready()
            progress(f"{process.name} serves")
        cleanup.callback(stack.stop)
        stack.start(progress)
        parts = Parts(stack.plane)
        _wait_for_table(parts, registry)
        _print_table(parts, registry, f"first full table after {time.monotonic() - started:.0f} s")
        _explain(stack)
        end = math.inf if seconds is None else time.monotonic() + seconds
        supervisor = Supervisor([*models, *stack.processes], progress)
        supervisor.run(until=lambda: time.monotonic() >= end)
        _print_table(parts, registry, f"after {time.monotonic() - started:.0f} s")
        if not print_findings(demo.verdict(parts, registry)):
            raise click.ClickException(f"the demo did not show all it promises; logs are in {data / 'logs'}")


def _name_missing(services: Sequence[ExampleService]) -> None:
    for service in services:
        if not service.installed:
            console.print(f"{service.framework} is left out: not installed; add it with: {service.install}")
    if not any(service.installed for service in services):
        raise click.ClickException("no framework is installed; add all with: pip install 'modelplane[demo]'")


def _wait_for_table(parts: Parts, registry: Registry) -> None:
    progress("waiting until every model has succeeded, failed and been scraped")
    wait_until(
        lambda: all(model.complete for model in demo.summary(parts.prometheus, registry)), _TABLE_SECONDS, 1
    )


def _print_table(parts: Parts, registry: Registry, title: str) -> None:
    table = Table("framework", "model", "versions", "success", "failure", "confidence", "p95", title=title)
    for model in demo.summary(parts.prometheus, registry):
        counts = (model.versions, model.success, model.failure, model.confidence)
        cells = (f"{count:.0f}" for count in counts)
        table.add_row(model.framework, model.model_name, *cells, f"{model.latency_p95:.3f} s")
    console.print(table)


def _explain(stack: Stack) -> None:
    plane = stack.plane
    console.print(status_table(plane))
    token = shown(Path(plane.credentials) / credentials.OPERATOR.file)
    console.print(
        "What to look at: every 25 s the replay goes through normal, normal, drifted, bad and slow input.\n"
        f"  alerts as they fire          {plane.prometheus_url}/alerts\n"
        f"  the models as targets        {plane.prometheus_url}/targets\n"
        f"  the generated boards         {shown(stack.dashboards_path)}\n"
        "  latency of two versions      "
        f'curl -H "Authorization: Bearer $(cat {token})" '
        f"'{plane.backend_url}/api/v1/metrics/latency?model-name=digit-reader&tenant-id=vision-lab'\n"
        f"  what went wrong, and when    "
        f'curl -H "Authorization: Bearer $(cat {token})" {plane.backend_url}/api/v1/alerts',
        markup=False,
    )
    explain_grafana(plane, stack.compose_path)
    console.print("Stop with Ctrl-C.")


COMMANDS = (demo_command,)
