"""Commands that render or check files: registry, rules, bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from modelplane_provisioning.commands.options import api_option, console, out_option, registry_option
from modelplane_schema.alert_coverage import coverage_warnings
from modelplane_schema.documents import load_yaml
from modelplane_schema.files import replace_files
from modelplane_schema.registry import Registry, load_registry

if TYPE_CHECKING:
    from modelplane_dashboards import ApiAccess


@click.group("registry")
def registry_group() -> None:
    """Work with the registry file.

    Example: modelplane registry check --registry modelplane.yaml
    """


@registry_group.command("check")
@registry_option
def registry_check(registry: Path) -> None:
    """Say whether the registry is valid, everything that is wrong with it, and which alerts nobody hears of.

    Example: modelplane registry check --registry examples/modelplane.yaml
    """
    content = load_registry(registry)
    versions = sum(len(model.versions) for model in content.models)
    console.print(
        f"{registry} is valid: {len(content.tenants)} tenants, {len(content.models)} models, "
        f"{versions} versions"
    )
    print_warnings(content)


config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with settings of the mixin, as under `alerts:` of the registry, which it overrides.",
)


@click.group("rules")
def rules_group() -> None:
    """Render recording and alerting rules from the registry.

    Example: modelplane rules render --registry modelplane.yaml --out rules
    """


@rules_group.command("render")
@registry_option
@out_option("rules", "Folder for the rule files.")
@config_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["files", "prometheusrule"]),
    default="files",
    show_default=True,
    help="Rule files of Prometheus, or PrometheusRule objects of its operator.",
)
@click.option("--namespace", help="Namespace of the PrometheusRule objects.")
def rules_render(
    registry: Path, out: Path, config_file: Path | None, format_: str, namespace: str | None
) -> None:
    """Write Prometheus rule files: constants of the registry, recording rules, alerts.

    Example: modelplane rules render --registry examples/modelplane.yaml --out rules
    """
    from modelplane_alerts.operator_objects import prometheus_rules, surplus_objects
    from modelplane_alerts.render import rule_files

    content = load_registry(registry)
    files = rule_files(content, _settings(config_file) if config_file else None)
    if format_ == "prometheusrule":
        files = prometheus_rules(files, namespace)
    replace_files(out, {name: text.encode() for name, text in files.items()})
    for path in surplus_objects(out, files):
        path.unlink()
    console.print(f"{out}: {', '.join(files)}")
    print_warnings(content)


def _settings(path: Path) -> dict[str, Any]:
    content = load_yaml(path)
    if not isinstance(content, dict):
        raise click.ClickException(f"{path}: must be a mapping of settings, such as errorRatioThreshold: 0.1")
    return content


@rules_group.command("check")
@registry_option
@config_option
def rules_check(registry: Path, config_file: Path | None) -> None:
    """Check rules and routes: our conventions, promtool, and vmalert and amtool where they are on PATH.

    Example: modelplane rules check --registry examples/modelplane.yaml
    """
    from modelplane_provisioning.rule_checks import check_rules

    problems: list[str] = []
    for outcome in check_rules(load_registry(registry), _settings(config_file) if config_file else None):
        console.print(f"{outcome.checker}: {outcome.summary}", markup=False)
        problems += [f"{outcome.checker}: {problem}" for problem in outcome.problems]
    if problems:
        raise click.ClickException("\n".join([f"{registry}: {len(problems)} problems", *problems]))
    console.print(f"{registry}: nothing is wrong with its rules")


@click.command("bundle")
@registry_option
@out_option("build", "Folder for the bundle.")
@click.option(
    "--examples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also run the example services in this folder as containers.",
)
@click.option(
    "--no-grafana",
    is_flag=True,
    help="You have a Grafana: compose.yaml starts none, and the provisioning files for yours do not make "
    "our data source its default.",
)
@api_option
def bundle_command(
    registry: Path, out: Path, examples: Path | None, no_grafana: bool, api: ApiAccess
) -> None:
    """Write everything that Grafana, Prometheus and Alertmanager containers mount, and compose.yaml.

    Existing secrets are kept. Run the bundle with: docker compose -f build/compose.yaml up --build

    Example: modelplane bundle --registry examples/modelplane.yaml --examples examples --out build
    """
    from modelplane_provisioning.bundle import write_bundle
    from modelplane_provisioning.container_bundle import DATA_FOLDERS, container_files, container_site
    from modelplane_provisioning.grafana import trust

    content, user = load_registry(registry), f"{os.getuid()}:{os.getgid()}"
    files = container_files(content, user, examples, starts_grafana=not no_grafana, api=api)
    believed = trust(content, container_site(starts_grafana=not no_grafana), api)
    write_bundle(out, files, content, registry.parent, believed)
    for folder in DATA_FOLDERS:
        (out / "data" / folder).mkdir(parents=True, exist_ok=True)
    console.print(
        f"{out}: {len(files)} files; run them with: docker compose -f {out}/compose.yaml up --build"
    )
    print_warnings(content)


def print_warnings(registry: Registry) -> None:
    """A line for each gap in who hears of alerts."""
    for warning in coverage_warnings(registry):
        console.print(f"[yellow]warning[/yellow]: {escape(warning)}")


COMMANDS = (registry_group, rules_group, bundle_command)
