"""``modelplane rules``: render, check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modelplane_provisioning.commands.options import console, out_option, registry_option
from modelplane_provisioning.commands.warning_lines import print_warnings
from modelplane_schema.alert_coverage import coverage_warnings
from modelplane_schema.documents import load_yaml
from modelplane_schema.files import replace_files
from modelplane_schema.registry import load_registry

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
    print_warnings(coverage_warnings(content))


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


COMMANDS = (rules_group,)
