"""The rendered rules: current, declared, linted by promtool, and firing when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generations import Servers
from modelplane_alerts import render
from modelplane_alerts.render import (
    DEMO_CONFIG,
    SCHEMA_FILE,
    MixinError,
    registry_config,
    rule_files,
    schema_json,
)
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.alerts import ALERTS
from modelplane_schema.recorded import RECORDED
from modelplane_schema.recorded_slo import CALLS_FAILING_BURST
from modelplane_schema.registry import Registry, load_registry, parse_registry
from modelplane_schema.uids import FLEET_UID
from promtool import complaints
from rule_groups import groups_behind, groups_of, series_in

ROOT = Path(__file__).parents[3]
PROMTOOL_TESTS = ROOT / "tests" / "promtool"

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
urls: {grafana: "http://grafana.example.org", runbooks: "http://docs.example.org/runbooks"}
tenants: [{id: user-A, budget: {amount: 100, currency: USD}}, {id: user-B}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    replicas: 2
    max_in_flight: 64
    versions: [{version: v1.2.0, stage: production}, {version: v1.3.0, stage: canary}]
    slos:
      - {name: latency, objective: 0.99, window: 30d, indicator: {type: latency, threshold_seconds: 0.25}}
    token_prices: [{kind: input, amount: 2, currency: USD, effective_from: 2026-01-01}]
  - {name: other, framework: jax, owner: x, tenants: [user-A], versions: [{version: v1, stage: shadow}]}
devices:
  prices: [{device_type: h200, amount: 3.60, currency: USD, effective_from: 2026-01-01}]
""")
EXAMPLE = load_registry(ROOT / "examples" / "modelplane.yaml")


def rules(registry: Registry, key: str, config: Any = None) -> list[dict[str, Any]]:
    groups = groups_of(rule_files(registry, config))
    return [rule for group in groups for rule in group["rules"] if key in rule]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


@pytest.fixture(scope="module")
def rule_texts() -> dict[str, str]:
    return rule_files(REGISTRY)


@pytest.fixture
def rendered(rule_texts: dict[str, str], tmp_path: Path) -> Path:
    for name, text in rule_texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_mixins_copy_of_the_schema_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_json(), "run: make generate"


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(PROMTOOL_TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_promtool_unit_tests(
    servers: Servers, rule_texts: dict[str, str], tmp_path: Path, file: Path
) -> None:
    """Each with the rules that it asks for, for promtool evaluates at each instant all that it is given."""
    content, every = yaml.safe_load(file.read_text(encoding="utf-8")), groups_of(rule_texts)
    for test in content["tests"]:
        wanted = {case["alertname"] for case in test.get("alert_rule_test", ())}
        wanted |= set().union(*(series_in(case["expr"]) for case in test.get("promql_expr_test", ())))
        groups = groups_behind(every, wanted)
        assert complaints(servers.promtool, tmp_path, groups, {**content, "tests": [test]}) == ""


@pytest.mark.slow
@pytest.mark.parametrize("registry", [REGISTRY, EXAMPLE], ids=["small", "example"])
def test_promtool_lint(servers: Servers, tmp_path: Path, registry: Registry) -> None:
    for name, text in rule_files(registry, DEMO_CONFIG).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        checked = run(servers.promtool, "check", "rules", "--lint=all", "--lint-fatal", name, cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_vmalert_accepts_them(servers: Servers, rendered: Path) -> None:
    checked = run(servers.vmalert, "-dryRun", "-rule=*.yml", cwd=rendered)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_recorded_series_are_exactly_those_of_the_schema() -> None:
    assert {rule["record"] for rule in rules(REGISTRY, "record")} == {series.name for series in RECORDED}


def test_alerts_are_exactly_those_of_the_schema() -> None:
    rendered = rules(REGISTRY, "alert")
    declared = {alert.name: alert for alert in ALERTS}
    assert {rule["alert"] for rule in rendered} == set(declared)
    for rule in rendered:
        alert = declared[rule["alert"]]
        assert rule["labels"]["audience"] in alert.audiences
        if not alert.by_stage:
            assert rule["labels"]["severity"] == alert.severity
        assert rule["annotations"]["summary"] == alert.summary
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert used <= {*alert.labels, "tenant_id"}


def test_runbooks_have_a_section_for_each_alert() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    headings = {heading.lower() for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    assert headings == {alert.name.lower() for alert in ALERTS}
    for rule in rules(REGISTRY, "alert"):
        base, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert base == "http://docs.example.org/runbooks"
        assert anchor in headings


@pytest.mark.slow
def test_demo_differs_in_times_only() -> None:
    normal, demo = rules(EXAMPLE, "alert"), rules(EXAMPLE, "alert", DEMO_CONFIG)
    assert [{**rule, "for": ""} for rule in normal] == [{**rule, "for": ""} for rule in demo]
    assert {rule["for"] for rule in demo} == {"10s"}


@pytest.mark.slow
def test_one_alert_can_be_configured_without_touching_the_others() -> None:
    before = {rule["alert"]: rule["for"] for rule in rules(REGISTRY, "alert")}
    assert before["ModelDown"] == "5m"
    after = {rule["alert"]: rule["for"] for rule in rules(REGISTRY, "alert", {"for": {"ModelDown": "1m"}})}
    assert after == {**before, "ModelDown": "1m"}


def test_numbers_are_written_as_people_write_them() -> None:
    objectives = [r["expr"] for r in rules(REGISTRY, "record") if "slo_objective" in r["record"]]
    assert objectives == ["vector(0.99)"]
    factors = [r["expr"] for r in rules(REGISTRY, "record") if "slo_burn_factor" in r["record"]]
    assert factors == ["vector(14.4)", "vector(6)", "vector(3)", "vector(1)"]
    quantiles = {r["labels"]["quantile"] for r in rules(REGISTRY, "record") if ":quantile5m" in r["record"]}
    assert quantiles == {"0.5", "0.95", "0.99"}


def test_a_configuration_that_jsonnet_refuses_is_a_mixin_error() -> None:
    objective = REGISTRY.models[0].slos[0].model_copy(update={"window": "a month"})
    model = REGISTRY.models[0].model_copy(update={"slos": (objective,)})
    with pytest.raises(MixinError, match="the rules cannot be rendered"):
        rule_files(REGISTRY.model_copy(update={"models": (model,)}))


@pytest.mark.slow
def test_the_registry_and_a_caller_set_what_can_be_set() -> None:
    registry = REGISTRY.model_copy(
        update={"alerts": {"errorRatioThreshold": 0.2, "for": {"ModelDown": "3m"}}}
    )
    alerts = {rule["alert"]: rule for rule in rules(registry, "alert", {"for": {"NoTraffic": "7m"}})}
    failing = {rule["record"]: rule["expr"] for rule in rules(registry, "record")}[CALLS_FAILING_BURST.name]
    assert failing.endswith("> 0.2")
    assert (alerts["ModelDown"]["for"], alerts["NoTraffic"]["for"]) == ("3m", "7m")


def test_a_setting_that_the_mixin_does_not_have_is_named_with_the_nearest() -> None:
    registry = REGISTRY.model_copy(update={"alerts": {"errorRatioTreshold": 0.2}})
    with pytest.raises(
        MixinError, match=r"alerts.errorRatioTreshold: .* the nearest is 'errorRatioThreshold'"
    ):
        rule_files(registry)


@pytest.mark.slow
def test_selectors_limit_the_series_of_models_and_those_of_the_plane() -> None:
    settings = {
        "selector": 'job="models"',
        "planeSelector": 'job=~"prometheus|models"',
        "clusterLabels": ["zone"],
    }
    expressions = [rule["expr"] for key in ("record", "alert") for rule in rules(EXAMPLE, key, settings)]
    assert "".join(expressions).count('job="models"') > 50
    assert all("__" not in expression.replace("__missing__", "") for expression in expressions)
    alerts = {rule["alert"]: rule["expr"] for rule in rules(EXAMPLE, "alert", settings)}
    assert alerts["TargetDown"] == 'count by (zone, job) (up{job=~"prometheus|models"} == 0)'


def test_a_selector_that_is_missing_is_an_error() -> None:
    with pytest.raises(MixinError, match="selector"):
        rule_files(EXAMPLE, {"selector": None})


@pytest.mark.slow
def test_people_with_jsonnet_alone_get_the_same(tmp_path: Path) -> None:
    """The committed files of the mixin, and jsonnet's own command."""
    jsonnet = shutil.which("jsonnet")
    assert jsonnet is not None, "jsonnet is not on PATH; on Debian: apt-get install jsonnet"
    config = tmp_path / "config.json"
    config.write_text(json.dumps(registry_config(EXAMPLE)), encoding="utf-8")
    program = (
        "local mixin = (import 'mixin.libsonnet') + { _config+:: (import 'config.json') };"
        "{ rules: mixin.prometheusRules.groups, alerts: mixin.prometheusAlerts.groups,"
        " boards: [board.uid for board in std.objectValues(mixin.grafanaDashboards)] }"
    )
    done = run(jsonnet, "-J", str(SCHEMA_FILE.parent), "-J", str(tmp_path), "-e", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    groups = json.loads(done.stdout)
    assert [*groups["rules"], *groups["alerts"]] == groups_of(rule_files(EXAMPLE))
    assert FLEET_UID in groups["boards"]


def test_jsonnetfmt_has_nothing_to_change() -> None:
    jsonnetfmt = shutil.which("jsonnetfmt")
    assert jsonnetfmt is not None, "jsonnetfmt is not on PATH; on Debian: apt-get install jsonnet"
    files = sorted(str(path) for path in SCHEMA_FILE.parent.rglob("*.libsonnet"))
    done = run(jsonnetfmt, "--test", *files, cwd=ROOT)
    assert done.returncode == 0, "run jsonnetfmt -i on " + ", ".join(files) + done.stderr


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert rule_files(EXAMPLE) == rule_files(EXAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("program", ["_gojsonnet", "_jsonnet"])
def test_both_jsonnets_render_the_same(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rule_files(EXAMPLE, {})
    monkeypatch.setattr(render, "_jsonnet", pytest.importorskip(program))
    render._evaluated.cache_clear()
    assert rule_files(EXAMPLE, {}) == expected
