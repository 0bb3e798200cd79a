"""The command that writes a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from modelplane_provisioning.commands.options import api_option, console, out_option, registry_option
from modelplane_provisioning.commands.text import print_json
from modelplane_provisioning.commands.warning_lines import print_warnings
from modelplane_schema.alert_coverage import coverage_warnings
from modelplane_schema.registry import Registry, load_registry

if TYPE_CHECKING:
    from modelplane_dashboards import ApiAccess
    from modelplane_schema.owned_files import Changes

COMPOSE, KUBERNETES, EXISTING = TARGETS = ("compose", "kubernetes", "existing")
# Options that belong to some targets only.
_TARGETS_OF = {
    "examples": (COMPOSE,),
    "no_grafana": (COMPOSE, KUBERNETES),
    "namespace": (KUBERNETES,),
    "image": (KUBERNETES,),
    "seen_at": (EXISTING,),
    "prometheus": (EXISTING,),
    "alertmanager": (EXISTING,),
    "backend": (EXISTING,),
}


@dataclass(frozen=True, slots=True)
class _Bundle:
    """A bundle that was written; ``follow_up`` says what to do with it."""

    registry: Registry
    changes: Changes
    follow_up: str


@click.command("bundle")
@registry_option
@out_option("build", "Folder for the bundle.")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default=COMPOSE,
    show_default=True,
    help="Containers of Compose, Kubernetes with the Prometheus operator, or servers that are there.",
)
@click.option(
    "--examples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="compose: also run the example services in this folder as containers.",
)
@click.option(
    "--no-grafana",
    is_flag=True,
    help="You have a Grafana: compose.yaml starts none, the provisioning files for yours do not make "
    "our data source its default, and the backend believes no identity but those that the registry names.",
)
@api_option
@click.option(
    "--namespace", default="modelplane", show_default=True, help="kubernetes: namespace of all objects."
)
@click.option(
    "--image",
    help="kubernetes: image of the backend with its tag or digest.  [default: modelplane-backend:VERSION]",
)
@click.option(
    "--seen-at",
    metavar="FOLDER",
    help="existing: where the servers see the bundle, if not where it is written.",
)
@click.option(
    "--prometheus",
    metavar="URL",
    default="http://localhost:9090",
    show_default=True,
    help="existing: where Prometheus, Thanos, Mimir or VictoriaMetrics answers queries.",
)
@click.option(
    "--alertmanager",
    metavar="URL",
    default="http://localhost:9093",
    show_default=True,
    help="existing: where Alertmanager answers.",
)
@click.option(
    "--backend",
    metavar="HOST:PORT",
    default="127.0.0.1:8090",
    show_default=True,
    help="existing: where the servers reach the backend.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the files and the warnings as JSON.")
@click.pass_context
def bundle_command(
    context: click.Context,
    /,
    registry: Path,
    out: Path,
    target: str,
    api: ApiAccess,
    as_json: bool,
    **choices: Any,
) -> None:
    """Write everything that Grafana, Prometheus and Alertmanager take in to show and watch the models.

    Existing secrets are kept. Run one for Compose with: docker compose -f build/compose.yaml up --build

    Example: modelplane bundle --registry examples/modelplane.yaml --examples examples --out build
    """
    from modelplane_provisioning.bundle.layout import BUNDLE
    from modelplane_provisioning.bundle.writer import left_lines
    from modelplane_schema.owned_files import our_files

    _refuse_options_of_other_targets(context, target)
    write = {COMPOSE: _compose, KUBERNETES: _kubernetes, EXISTING: _existing}[target]
    bundle = write(registry, out, api, choices)
    files = our_files(BUNDLE, out)
    in_containers = target != EXISTING and choices["examples"] is None  # which have other addresses there
    warnings = [
        *_warnings(bundle.registry, registry.parent, in_containers),
        *left_lines(out, bundle.changes),
    ]
    if as_json:
        print_json({"out": str(out), "target": target, **_files(bundle.changes, files), "warnings": warnings})
        return
    console.print(f"{out}: {len(files)} files; {bundle.follow_up}", markup=False)
    print_warnings(warnings)


def _files(changes: Changes, files: frozenset[str]) -> dict[str, list[str]]:
    """What happened to each of ``files``, which are those of the bundle, and to those that it has no more."""
    return {
        "written": list(changes.written),
        "unchanged": sorted(files.difference(changes.written)),
        "removed": list(changes.removed),
        "left": list(changes.left),
    }


def _warnings(registry: Registry, folder: Path, in_containers: bool) -> Iterator[str]:
    """Alerts that nobody hears of, files of ``folder`` that others read, and models that are not found."""
    from modelplane_provisioning.bundle.registry_files import files_that_others_read
    from modelplane_provisioning.bundle.scrape_config import loopback_hosts

    yield from coverage_warnings(registry)
    yield from files_that_others_read(registry, folder)
    if in_containers:
        yield from loopback_hosts(registry)


def _refuse_options_of_other_targets(context: click.Context, target: str) -> None:
    for name, targets in _TARGETS_OF.items():
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and target not in targets:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} is for --target {' and '.join(targets)}, not for {target}")


def _compose(place: Path, out: Path, api: ApiAccess, choices: dict[str, Any]) -> _Bundle:
    from modelplane_provisioning.apply.rendered import ContainerChoices, for_containers

    rendered = for_containers(
        place, out, ContainerChoices(choices["examples"], not choices["no_grafana"], api)
    )
    follow_up = f"run them with: docker compose -f {out}/compose.yaml up --build"
    return _Bundle(rendered.registry, rendered.write(), follow_up)


def _kubernetes(place: Path, out: Path, api: ApiAccess, choices: dict[str, Any]) -> _Bundle:
    from modelplane_provisioning.bundle.registry_files import registry_files
    from modelplane_provisioning.bundle.writer import write_bundle
    from modelplane_provisioning.kubernetes.files import Installation, grafana_trust, kubernetes_files

    registry, folder = load_registry(place), place.parent
    installation = Installation(choices["namespace"], choices["image"] or _image(), api)
    files = kubernetes_files(registry, registry_files(registry, folder), installation)
    trust = grafana_trust(registry, api, choices["no_grafana"])
    changes = write_bundle(out, files, registry, folder, trust)
    return _Bundle(registry, changes, f"{out}/README.md has the commands that install them")


def _image() -> str:
    from importlib.metadata import version

    return f"modelplane-backend:{version('modelplane')}"


def _existing(place: Path, out: Path, api: ApiAccess, choices: dict[str, Any]) -> _Bundle:
    from modelplane_provisioning.bundle.grafana import trust
    from modelplane_provisioning.bundle.writer import write_bundle
    from modelplane_provisioning.existing.files import Servers, existing_files, existing_site

    registry = load_registry(place)
    servers = Servers(
        folder=choices["seen_at"] or str(out.absolute()),
        prometheus=choices["prometheus"],
        alertmanager=choices["alertmanager"],
        backend=choices["backend"],
    )
    files = existing_files(registry, servers, api)
    changes = write_bundle(out, files, registry, place.parent, trust(registry, existing_site(servers), api))
    return _Bundle(registry, changes, f"{out}/README.md says who takes them in")


COMMANDS = (bundle_command,)
