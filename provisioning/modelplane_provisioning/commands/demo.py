"""The demo command: the plane, real models, and the proof that data flows all the way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

import modelplane_dashboards
from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.site import DEMO_TIMES, GRAFANA_PORT
from modelplane_provisioning.clients.plane import Connection, Plane
from modelplane_provisioning.commands.options import console, data_option
from modelplane_provisioning.commands.port_options import chosen_ports, port_options
from modelplane_provisioning.commands.show import (
    explain_grafana,
    part_health,
    print_findings,
    progress,
    shown,
    status_table,
    until_interrupted,
)
from modelplane_provisioning.data_folder import prepare_for_demo
from modelplane_provisioning.demo import registry as demo_registry
from modelplane_provisioning.demo import running
from modelplane_provisioning.demo.checks import Told, verdict
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.examples import ExampleService, examples_folder, read_catalogue
from modelplane_provisioning.local.stack import Stack, Supervisor, refuse_second
from modelplane_provisioning.past.generate import Live
from modelplane_provisioning.past.stories import Story
from modelplane_provisioning.past.write import span_until, write_past
from modelplane_provisioning.processes import wait_until
from modelplane_schema.registry import Registry, load_registry

_TABLE_SECONDS = 120
_GRAFANA_OF_COMPOSE = f"http://localhost:{GRAFANA_PORT}"


@click.command("demo")
@click.option(
    "--examples",
    "examples_named",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the example services and their registry.  [default: examples, else the package's]",
)
@data_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    help="End by itself this long after the first full table, with a verdict as exit status.",
)
@port_options
def demo_command(examples_named: Path | None, data: Path, seconds: float | None, **listening: Any) -> None:
    """Run the plane with example models and their past, and show that data flows all the way.

    Each example has a story, and the six hours before the demo are written from it. Without --seconds it
    runs until Ctrl-C.

    Example: modelplane demo --seconds 120
    """
    started = time.monotonic()
    refuse_second(data.resolve())
    examples, ports = examples_folder(examples_named), chosen_ports(listening)
    services = read_catalogue(examples)
    _name_missing(services)
    registry_path = examples / "modelplane.yaml"
    registry = demo_registry.installed_part(load_registry(registry_path), services)
    examples_running = running.example_services(examples, services, data.resolve() / "logs")
    with until_interrupted(), contextlib.ExitStack() as cleanup:
        prepare_for_demo(data)
        lives = _start(examples_running, cleanup)
        stories = running.stories(examples_running)
        span = span_until(int(time.time()), max(story.hours for story in stories.values()))
        told = Told(stories, span.end)
        registry = demo_registry.with_devices(registry, lives, span)
        stack = Stack(
            registry, registry_path.parent, data, DEMO_TIMES, running.targets(examples_running), ports
        )
        progress("writing the hours before: samples, what the rules make of them, and incidents")
        incidents = write_past(stack.database, lives, stories, stack.rules, span)
        cleanup.callback(stack.stop)
        stack.start(progress)
        parts = Parts.of_plane(stack.plane, registry)
        count = running.tell_incidents(_webhook(stack.plane), incidents)
        progress(f"the store has heard of {count} incidents of the past")
        _wait_for_table(parts, registry, told)
        _print_table(parts, registry, told, f"first full table after {time.monotonic() - started:.0f} s")
        _explain(stack, registry, stories)
        end = math.inf if seconds is None else time.monotonic() + seconds
        supervisor = Supervisor(
            [*(example.process for example in examples_running), *stack.processes], progress
        )
        supervisor.run(until=lambda: time.monotonic() >= end)
        _print_table(parts, registry, told, f"after {time.monotonic() - started:.0f} s")
        if print_findings(verdict(parts, told)) is not None:
            raise click.ClickException(f"the demo did not show all it promises; logs are in {data / 'logs'}")


def _start(examples: Sequence[running.Example], cleanup: contextlib.ExitStack) -> list[Live]:
    """Start all at once, because most of their time is importing a framework; what each exposes."""
    for example in examples:
        cleanup.callback(example.process.stop)
        progress(f"starting {example.process.name}: {example.service.model_name}")
        example.process.start()
    lives = []
    for example in examples:
        example.process.wait_ready()
        lives.append(example.scrape())
        progress(f"{example.process.name} serves")
    return lives


def _webhook(plane: Plane) -> Connection:
    return Connection("the backend", plane.backend_url, plane.token(credentials.ALERTMANAGER.secret))


def _name_missing(services: Sequence[ExampleService]) -> None:
    for service in services:
        if not service.installed:
            console.print(f"{service.framework} is left out: not installed; add it with: {service.install}")
    if not any(service.installed for service in services):
        raise click.ClickException("no framework is installed; add all with: pip install 'modelplane[demo]'")


def _wait_for_table(parts: Parts, registry: Registry, told: Told) -> None:
    progress("waiting until every model was called and scraped")
    wait_until(
        lambda: all(model.complete for model in running.summary(parts.prometheus, registry, told.past_end)),
        _TABLE_SECONDS,
        1,
    )


def _print_table(parts: Parts, registry: Registry, told: Told, title: str) -> None:
    table = Table("framework", "model", "versions", "success", "failure", "confidence", "p95", title=title)
    for model in running.summary(parts.prometheus, registry, told.past_end):
        counts = (model.versions, model.success, model.failure, model.confidence)
        cells = (f"{count:.0f}" for count in counts)
        table.add_row(model.framework, model.model_name, *cells, f"{model.latency_p95:.3f} s")
    console.print(table)


def _explain(stack: Stack, registry: Registry, stories: Mapping[str, Story]) -> None:
    plane = stack.plane
    console.print(status_table(part_health(plane)))
    told = Table("model", "what it shows", title="what to look at")
    for model in registry.models:
        told.add_row(model.name, stories[model.name].shows)
    console.print(told)
    _print_boards(plane, registry)
    token = shown(Path(plane.credentials) / credentials.OPERATOR.secret.path)
    model = max(registry.models, key=lambda model: len(model.versions))
    query = f"model-name={model.name}&tenant-id={model.tenants[0]}"
    console.print(
        f"alerts as they fire    {plane.prometheus_url}/alerts\n"
        f"the generated boards   {shown(stack.dashboards_path)}\n"
        "latency by version     "
        f'curl -H "Authorization: Bearer $(cat {token})" '
        f"'{plane.backend_url}/api/v1/metrics/latency?{query}&from=now-6h'\n"
        "what went wrong        "
        f'curl -H "Authorization: Bearer $(cat {token})" {plane.backend_url}/api/v1/alerts',
        markup=False,
        soft_wrap=True,
    )
    explain_grafana(plane, stack.compose_path)
    console.print("Stop with Ctrl-C.")


def _print_boards(plane: Plane, registry: Registry) -> None:
    """Titles of the boards, with their URLs where there is a Grafana."""
    root = plane.grafana_url or _GRAFANA_OF_COMPOSE
    boards = Table("board", "URL" if plane.grafana_url else "URL once Grafana runs", title="boards")
    for board in modelplane_dashboards.build(registry):
        boards.add_row(escape(board.title), f"{root}/d/{board.uid}")
    console.print(boards)


COMMANDS = (demo_command,)
