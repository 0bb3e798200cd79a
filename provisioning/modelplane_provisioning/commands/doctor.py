"""Commands that look at a plane: status, doctor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelplane_dashboards import ApiAccess
from modelplane_provisioning.clients.plane import Plane
from modelplane_provisioning.commands.options import api_option, console, data_option
from modelplane_provisioning.commands.plane_options import PlaneOptions, plane_options
from modelplane_provisioning.commands.show import health_of, part_health, print_findings, status_table
from modelplane_provisioning.commands.text import print_json
from modelplane_schema.registry import Registry, load_registry

if TYPE_CHECKING:
    from modelplane_provisioning.doctor.finding import Finding, Severity
    from modelplane_provisioning.doctor.parts import Parts

# Below them are click's own: 1 when nothing could be checked, 2 for wrong options.
EXIT_STATUS: dict[Severity | None, int] = {None: 0, "note": 0, "warning": 3, "error": 4}

_registry_option = click.option(
    "--registry",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The registry of tenants and models; by default the local plane's.",
)


@click.command("status")
@data_option
@plane_options
@click.option("--json", "as_json", is_flag=True, help="Print the parts as JSON.")
def status_command(data: Path, as_json: bool, **options: Any) -> None:
    """Print the parts of a plane, their URLs and whether they answer.

    A local plane is found by its folder; any other by the URLs of its parts.

    Example: modelplane status
    """
    connections = PlaneOptions.of(options).connections
    parts = health_of(connections, {}) if connections else part_health(Plane.load(data))
    if as_json:
        print_json([{"part": part.name, "url": part.url, "problem": part.problem} for part in parts])
    else:
        console.print(status_table(parts))
    if not all(part.healthy for part in parts):
        raise click.ClickException("a part does not answer; its log says why")


@click.command("doctor")
@data_option
@plane_options
@_registry_option
@api_option
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the bundle that Grafana mounts; by default the local plane's.",
)
@click.option(
    "--grafana-org",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Organisation of Grafana's that the token belongs to.",
)
@click.option(
    "--scrape-interval",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="Seconds between scrapes of the plane that URLs name.",
)
@click.option("--probe", is_flag=True, help="Also send a test alert and wait for it in the store.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor_command(
    data: Path, registry: Path | None, api: ApiAccess, bundle: Path | None, grafana_org: int,
    scrape_interval: int, probe: bool, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Check a running plane and say in plain words what is wrong, and what to do.

    A local plane is found by its folder; any other by the URLs of its parts, of which those that are not
    given are not checked. The exit status is 0 when all is well, 3 for warnings, 4 for errors.

    Example: modelplane doctor --prometheus http://localhost:9090 --registry modelplane.yaml
    """
    from modelplane_provisioning.doctor.document import document

    given = PlaneOptions.of(options)
    content = load_registry(registry) if registry else None
    if given.connections or bundle:
        parts = _named_parts(given, grafana_org, scrape_interval)
        parts = replace(parts, given_registry=content, given_bundle=bundle)
    else:
        parts = _local_parts(data, content)
    parts = replace(parts, api=api)
    findings = _findings(parts, probe)
    if as_json:
        content_of_all = document(list(findings))
        print_json(content_of_all)
        raise SystemExit(EXIT_STATUS[content_of_all["severity"]])
    raise SystemExit(EXIT_STATUS[print_findings(findings)])


def _findings(parts: Parts, probe: bool) -> Iterator[Finding]:
    from modelplane_provisioning.doctor.running import NamedCheck, run_checks
    from modelplane_provisioning.doctor.table import CHECKS, PROBE

    checks: Iterable[NamedCheck] = (*CHECKS, PROBE) if probe else CHECKS
    return run_checks(tuple(checks), parts)


def _local_parts(data: Path, registry: Registry | None) -> Parts:
    from modelplane_provisioning.doctor.parts import Parts

    plane = Plane.load(data)
    return Parts.of_plane(plane, registry or load_registry(Path(plane.registry)))


def _named_parts(given: PlaneOptions, organisation: int, scrape_interval: int) -> Parts:
    from modelplane_provisioning.doctor.parts import Grafana, Parts

    connections = given.connections
    grafana = connections.get("grafana")
    return Parts(
        connections.get("prometheus"),
        connections.get("alertmanager"),
        connections.get("backend"),
        Grafana(grafana, organisation=organisation) if grafana else None,
        scrape_interval_seconds=scrape_interval,
    )


COMMANDS = (status_command, doctor_command)
