"""The command line: help with an example everywhere, and one clear sentence for each kind of bad input."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from generations import Servers
from modelplane_alerts.render import MixinError
from modelplane_alerts.routing import RoutingError
from modelplane_datasource import ConfigurationError, ServerError
from modelplane_exporter.baseline import BaselineError
from modelplane_provisioning.bundle.registry_files import RegistryFileError
from modelplane_provisioning.bundle.writer import BundleError
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.grafana import GrafanaError
from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.processes import ProcessError
from modelplane_schema.errors import UserError
from modelplane_schema.registry import RegistryError

ROOT = Path(__file__).parents[3]
EXAMPLE = str(ROOT / "examples" / "modelplane.yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def leaves(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from leaves(inner, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in leaves(cli)], ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert f"Example: modelplane {' '.join(path)}".strip() in result.output


def test_the_commands_of_the_design_that_exist_so_far() -> None:
    assert {
        ("demo",), ("up",), ("status",), ("doctor",), ("bundle",), ("serve",), ("registry", "check"),
        ("registry", "init"), ("registry", "discover"), ("registry", "schema"),
        ("dashboards", "generate"), ("dashboards", "check"), ("dashboards", "diff"), ("dashboards", "adopt"),
        ("rules", "render"), ("rules", "check"),
        ("baseline", "fit"), ("baseline", "show"),
    } <= {path for path, _ in leaves(cli)}  # fmt: skip


def test_registry_check() -> None:
    result = run("registry", "check", "--registry", EXAMPLE)
    assert (result.exit_code, "6 models, 7 versions" in result.output) == (0, True)


@pytest.mark.slow
def test_what_nobody_hears_of_is_said_where_routes_and_rules_are_made(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out"))
    for command in (("registry", "check"), ("rules", "render", *out), ("bundle", *out)):
        result = run(*command, "--registry", EXAMPLE)
        assert result.exit_code == 0
        assert "warning: owners[0] 'vision', owners[1] 'retail'" in result.output
        assert "platform: no receivers for " in result.output


@pytest.mark.parametrize(
    "command",
    [
        ["registry", "check"],
        ["dashboards", "generate"],
        ["rules", "render"],
        ["rules", "check"],
        ["bundle"],
        ["up"],
    ],
    ids=" ".join,
)
def test_a_registry_that_is_absent_or_wrong_is_one_clear_error(command: list[str], tmp_path: Path) -> None:
    absent = run(*command, "--registry", str(tmp_path / "none.yaml"))
    assert absent.exit_code == 1
    assert "none.yaml: cannot be read: No such file or directory; pass --registry FILE" in absent.output
    wrong = tmp_path / "wrong.yaml"
    text = Path(EXAMPLE).read_text(encoding="utf-8").replace("framework: jax", "framework: JAX!")
    wrong.write_text(text, encoding="utf-8")
    refused = run(*command, "--registry", str(wrong))
    assert refused.exit_code == 1
    assert "wrong.yaml: models[2].framework: must match [a-z][a-z0-9_]*" in refused.output
    assert "Traceback" not in absent.output + refused.output


def test_names_that_cannot_all_have_a_board_are_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "modelplane.yaml"
    path.write_text(
        "apiVersion: modelplane/v1\n"
        "tenants: [{id: a, name: b (c)}, {id: b (c) (a)}]\n"
        "models: [{name: m, framework: jax, owner: o, tenants: [a], versions: [{version: v1}]}]\n",
        encoding="ascii",
    )
    for command in (["registry", "check"], ["dashboards", "generate"], ["bundle"]):
        refused = run(*command, "--registry", str(path))
        assert refused.exit_code == 1
        assert "tenants[1].name: 'b (c) (a)' occurs more than once, first at [0]" in refused.output


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (BaselineError, ValueError),
        (BundleError, RuntimeError),
        (ConfigurationError, ValueError),
        (GrafanaError, RuntimeError),
        (MixinError, ValueError),
        (PlaneError, RuntimeError),
        (ProcessError, RuntimeError),
        (RegistryFileError, ValueError),
        (RegistryError, ValueError),
        (RoutingError, ValueError),
        (ServerError, RuntimeError),
    ],
)
def test_errors_for_people_are_one_clear_sentence(
    error: type[UserError], base: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise error("it is broken; mend it")

    monkeypatch.setattr("modelplane_provisioning.commands.registry.load_registry", fail)
    result = run("registry", "check")
    assert (result.exit_code, result.output) == (1, "Error: it is broken; mend it\n")
    assert issubclass(error, base)


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr("modelplane_provisioning.commands.registry.load_registry", fail)
    assert isinstance(run("registry", "check").exception, ValueError)


@pytest.mark.slow
def test_rules_render_and_check(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("rules", "render", "--registry", EXAMPLE, "--out", str(tmp_path)).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "modelplane-alerts.yml", "modelplane-config.yml", "modelplane-rules.yml",
    }  # fmt: skip
    monkeypatch.setenv("PATH", servers.search_path)
    checked = run("rules", "check", "--registry", EXAMPLE)
    assert checked.exit_code == 0
    assert checked.output.splitlines() == [
        "conventions: of 3 rule files", "promtool: 3 rule files", "vmalert: 3 rule files",
        "amtool: the configuration and 21 routes", f"{EXAMPLE}: nothing is wrong with its rules",
    ]  # fmt: skip


def test_rules_check_names_settings_that_cannot_be_all_at_once(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("{errorRatioTreshold: 0.1, selector: job=models}", encoding="ascii")
    refused = run("rules", "check", "--registry", EXAMPLE, "--config", str(settings))
    assert refused.exit_code == 1
    assert "alerts.errorRatioTreshold: the mixin has no such setting; the nearest is" in refused.output
    assert "alerts.selector: must be matchers of PromQL without braces" in refused.output
    registry = tmp_path / "modelplane.yaml"
    text = Path(EXAMPLE).read_text(encoding="utf-8")
    registry.write_text(text + "alerts: {models: [], sloInterval: 10m}\n", encoding="utf-8")
    for command in (["registry", "check"], ["rules", "check"]):
        refused = run(*command, "--registry", str(registry))
        assert f"{registry}: alerts.models: is not set here but by models of the registry" in refused.output
        assert f"{registry}: alerts.sloInterval: must be shorter than 5m" in refused.output


@pytest.mark.slow
def test_rules_check_tells_of_rules_and_routes_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"modelplane-alerts.yml": "groups: []", "modelplane-config.yml": "groups: []"}
    rules = yaml.safe_dump({"groups": [{"name": "g", "rules": [{"record": "a:b", "expr": "rate(x[5m]"}]}]})
    broken["modelplane-rules.yml"] = rules
    for module in ("modelplane_alerts.checks.conventions", "modelplane_provisioning.rule_checks"):
        monkeypatch.setattr(f"{module}.rule_files", lambda *_: broken)
    nobody = yaml.safe_dump({"route": {"receiver": "x"}, "receivers": [{"name": "x"}]})
    monkeypatch.setattr("modelplane_provisioning.rule_checks.alertmanager_config", lambda *_: nobody)
    refused = run("rules", "check", "--registry", EXAMPLE)
    assert refused.exit_code == 1
    assert "conventions: modelplane-rules.yml, group g, rule 1 (a:b): is no PromQL" in refused.output
    assert "promtool: " in refused.output
    route = (
        "amtool: alerts of severity critical for owner 'vision' go to x instead of modelplane-backend,nobody"
    )
    assert route in refused.output


@pytest.mark.slow
def test_rules_check_without_amtool_says_what_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None
    (tmp_path / "promtool").symlink_to(promtool)
    monkeypatch.setenv("PATH", str(tmp_path))
    checked = run("rules", "check", "--registry", EXAMPLE)
    assert (checked.exit_code, "amtool: not on PATH, routes are not checked" in checked.output) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["bundle"], ["dashboards", "generate"], ["rules", "render"]], ids=" ".join
)
def test_an_unwritable_folder_is_named(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    result = run(*command, "--registry", EXAMPLE, "--out", str(tmp_path / "file" / "out"))
    assert result.exit_code == 1
    assert "file/out" in result.output
    assert "Not a directory" in result.output


@pytest.mark.slow
def test_bundle_prints_how_to_run_it(tmp_path: Path) -> None:
    result = run(
        "bundle", "--registry", EXAMPLE, "--examples", str(ROOT / "examples"), "--out", str(tmp_path)
    )
    assert result.exit_code == 0, result.output
    assert f"docker compose -f {tmp_path}/compose.yaml up --build" in result.output
    assert (tmp_path / "data" / "grafana").is_dir()


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_no_plane_is_a_clear_error(command: str, tmp_path: Path) -> None:
    result = run(command, "--data", str(tmp_path))
    assert result.exit_code == 1
    assert f"no plane runs from {tmp_path}: start one with `modelplane up`" in result.output


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_broken_description_is_a_clear_error(command: str, tmp_path: Path) -> None:
    (tmp_path / "plane.json").write_text('{"prometheus_url": 1}', encoding="ascii")
    result = run(command, "--data", str(tmp_path))
    assert result.exit_code == 1
    assert "is not a plane's description" in result.output


def test_missing_binaries_say_how_to_install_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("up", "--registry", EXAMPLE, "--data", str(tmp_path / "data"))
    assert result.exit_code == 1
    assert "Prometheus is missing: none of prometheus is on PATH" in result.output
    assert "apt-get install --no-install-recommends prometheus" in result.output


def test_demo_without_examples_is_a_clear_error(tmp_path: Path) -> None:
    result = run("demo", "--examples", str(tmp_path), "--data", str(tmp_path / "data"))
    assert result.exit_code == 1
    assert "holds no example services; name their folder with --examples" in result.output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prometheus-url", "localhost:9090"], "PROMETHEUS_URL must be a URL that starts with http://"),
        (["--port", "70000"], "'--port'"),
        (["--host", "0.0.0.0"], "loopback"),
    ],
)
def test_serve_refuses_bad_settings(flags: list[str], message: str, tmp_path: Path) -> None:
    result = run("serve", "--database-url", f"sqlite:///{tmp_path}/x.db", *flags)
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['click'] = None; sys.argv = ['modelplane', 'up']\n"
        "from modelplane_provisioning.entry import main\nmain()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "Error: this command needs click, which is not installed; "
        "add it with: pip install 'modelplane[plane]'"
    ]


@pytest.mark.slow
def test_a_missing_extra_of_one_command_is_named() -> None:
    code = (
        "import sys; sys.modules['grafanalib'] = None\n"
        f"sys.argv = ['modelplane', 'dashboards', 'check', '--registry', {EXAMPLE!r}]\n"
        "from modelplane_provisioning.entry import main\nmain()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "pip install 'modelplane[dashboards]'" in result.stderr
