"""``modelplane registry``: init, check, discover, schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from modelplane_provisioning.commands.options import address, console, registry_option
from modelplane_provisioning.commands.text import print_json, say
from modelplane_provisioning.commands.warning_lines import print_warnings
from modelplane_provisioning.discovery.proposal import (
    ReportedModel,
    missing,
    proposal,
    reported_models,
    unreported,
)
from modelplane_provisioning.discovery.starter import starter
from modelplane_provisioning.secret_files import read_token
from modelplane_schema.alert_coverage import coverage_warnings
from modelplane_schema.registry import Registry, load_registry


@click.group("registry")
def registry_group() -> None:
    """Work with the registry file.

    Example: modelplane registry check --registry modelplane.yaml
    """


@registry_group.command("init")
@registry_option
@click.option("--tenant", "tenants", multiple=True, help="Id of a tenant; repeatable.")
@click.option("--model", "models", multiple=True, help="Name of a model; repeatable.")
def registry_init(registry: Path, tenants: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Write a first registry with comments. A file that is there stays as it is.

    Example: modelplane registry init --tenant team-a --tenant team-b --model resnet50
    """
    text = starter(tenants, models)
    _write_new(registry, text)
    say(f"{registry} is written. Put your models' addresses and versions into it, then:")
    say(f"  modelplane registry check --registry {registry}")
    say(f"  modelplane up --registry {registry}        # on this machine")
    say(f"  modelplane bundle --registry {registry}    # for containers")


def _write_new(path: Path, text: str) -> None:
    """ClickException where the file exists, or cannot be written whole: then there is none."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise click.ClickException(f"{path} exists; name another file with --registry") from None
    except OSError as error:
        raise click.ClickException(
            f"{path}: cannot be written: {error.strerror}; name another file with --registry"
        ) from error
    try:
        with file:
            file.write(text)
    except OSError as error:
        path.unlink()
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from error


@registry_group.command("check")
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print counts and warnings as JSON.")
def registry_check(registry: Path, as_json: bool) -> None:
    """Say whether the registry is valid, everything that is wrong with it, and which alerts nobody hears of.

    Example: modelplane registry check --registry examples/modelplane.yaml
    """
    content = load_registry(registry)
    counts = {
        "tenants": len(content.tenants),
        "models": len(content.models),
        "versions": sum(len(model.versions) for model in content.models),
    }
    warnings = list(coverage_warnings(content))
    if as_json:
        print_json({"registry": str(registry), **counts, "warnings": warnings})
        return
    console.print(f"{registry} is valid: {', '.join(f'{count} {what}' for what, count in counts.items())}")
    print_warnings(warnings)


@registry_group.command("discover")
@click.option(
    "--prometheus",
    "prometheus_url",
    callback=address("http://prometheus:9090"),
    help="URL of a Prometheus that scrapes models.",
)
@click.option(
    "--metrics", "metrics_urls", multiple=True, help="URL of an exporter's metrics in its place; repeatable."
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds a token for --prometheus.",
)
@click.option(
    "--registry",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An existing registry: say what it lacks, and what nobody reports, in place of a proposal.",
)
def registry_discover(
    prometheus_url: str | None, metrics_urls: tuple[str, ...], token_file: Path | None, registry: Path | None
) -> None:
    """Propose a registry from what models report. With --registry, exit status 1 when it lacks something.

    Example: modelplane registry discover --prometheus http://localhost:9090 > modelplane.yaml
    """
    from modelplane_provisioning.discovery.reported_series import from_exporters, from_prometheus

    if (prometheus_url is None) == (not metrics_urls):
        raise click.UsageError("name either --prometheus URL or --metrics URL")
    known = load_registry(registry) if registry else None
    if prometheus_url:
        token = read_token(token_file) if token_file else None
        infos, calls = from_prometheus(prometheus_url, token)
    else:
        infos, calls = from_exporters(metrics_urls)
    models = reported_models(infos, calls)
    if known is not None:
        _compare(known, models)
    elif models:
        say(proposal(models).rstrip())
    else:
        where = prometheus_url or " ".join(metrics_urls)
        raise click.ClickException(f"no model reports at {where}; does it scrape, or serve, model_info?")


def _compare(registry: Registry, models: Mapping[str, ReportedModel]) -> None:
    lacks = list(missing(registry, models))
    for line in [*lacks, *unreported(registry, models)]:
        say(line)
    if lacks:
        raise click.exceptions.Exit(1)
    say(f"{len(models)} models report, and the registry has them all")


@registry_group.command("schema")
def registry_schema_command() -> None:
    """Print the JSON Schema of the registry, with which editors complete and check it.

    Example: modelplane registry schema > modelplane.schema.json
    """
    click.echo(json.dumps(Registry.model_json_schema(), indent=2))


COMMANDS = (registry_group,)
