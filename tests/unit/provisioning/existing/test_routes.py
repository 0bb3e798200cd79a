"""Our routes in somebody else's Alertmanager: ours hear of our alerts, theirs of all others, as before."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from generations import newest_available
from modelplane_alerts.embedding import guest_configuration, parse_matcher
from modelplane_alerts.integrations import parse_version
from modelplane_alerts.routing import Routing, alertmanager_config, expected_receivers
from modelplane_provisioning.cli import cli
from modelplane_provisioning.existing.routes import MergeError, inhibition_warnings, merge_routes
from modelplane_schema.promql import Matcher
from modelplane_schema.receivers import SEVERITIES
from modelplane_schema.registry import parse_registry

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
platform:
  smtp: {smarthost: "mail.example.org:587", from: plane@example.org}
  receivers: [{type: slack, channel: "#ml", api_url_file: receivers/slack-url}]
owners:
  - id: vision
    receivers: [{type: email, to: vision@example.org, severities: [warning, info]}]
    mute: [{weekdays: [sunday]}]
tenants:
  - id: 'a "b" \\\\ c'
    receivers: [{type: webhook, url: "https://hooks.example.org/a"}]
models: [{name: m, framework: jax, owner: vision, tenants: ['a "b" \\\\ c'], versions: [{version: v1}]}]
""")
ROUTING = Routing("http://localhost:8090", "/s/token", "/s", parse_version("0.25"))
GUEST = guest_configuration(alertmanager_config(REGISTRY, ROUTING))
THEIRS = """\
# our Alertmanager
global:
  resolve_timeout: 5m
route:
  receiver: 'team'   # who hears of the rest
  group_by: ["alertname"]
  # pages first
  routes:
    # nights
    - receiver: pager
      matchers: [severity="critical"]
      continue: true

    - receiver: "team" # all
      mute_time_intervals: [nights]
time_intervals:
  - name: nights
    time_intervals: [{times: [{start_time: "22:00", end_time: "24:00"}]}]
receivers:
  - name: team
    webhook_configs:
      - url: http://localhost:1/
  - name: pager
    # the phone
    webhook_configs: [{url: "http://localhost:2/"}]
# the end
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [alertname]
"""
PLAIN = "route: {receiver: a}\nreceivers: [{name: a}]\n"
# Lists of a style of their own, and a comment between sections.
FLAT = "# top\nroute:\n  receiver: a\n  # of the route\n\n# between\nreceivers:\n- name: a\n# tail\n"
ALERTS = [
    {"alertname": "Watchdog", "severity": "critical"},
    {"alertname": "ModelDown", "severity": "warning", "tenant_id": 'a "b" \\\\ c', "owner": "vision"},
    {"alertname": "Disk"},
]


def routed(text: str, folder: Path, labels: dict[str, str]) -> str:
    """The receivers of an alert, as amtool names them."""
    (folder / "alertmanager.yml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [newest_available().amtool, "config", "routes", "test", f"--config.file={folder}/alertmanager.yml",
         *(str(Matcher(name, value)) for name, value in labels.items())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("text", [THEIRS, PLAIN, FLAT])
def test_their_lines_stay_and_so_does_who_hears_of_their_alerts(text: str, tmp_path: Path) -> None:
    merged = merge_routes(text, GUEST, "alertmanager.yml")
    for labels in ALERTS[1:]:
        assert routed(merged, tmp_path, labels) == routed(text, tmp_path, labels)
    before, after = yaml.safe_load(text), yaml.safe_load(merged)
    assert after["route"].pop("routes")[1:] == before["route"].pop("routes", [])
    assert after["route"] == before["route"]
    for name in ("receivers", "time_intervals"):
        theirs = [each for each in after.get(name, ()) if not each["name"].startswith("modelplane/")]
        assert theirs == before.get(name, [])
    if text != PLAIN:
        assert [line for line in text.splitlines() if line not in merged.splitlines()] == []


def test_ours_hear_of_our_alerts_as_in_an_alertmanager_of_ours(tmp_path: Path) -> None:
    merged = merge_routes(THEIRS, GUEST, "alertmanager.yml")
    owner = REGISTRY.owners[0] if REGISTRY.owners else None
    assert owner is not None
    for severity in SEVERITIES:
        labels = {"alertname": "A", "severity": severity, "owner": "vision", "plane": "modelplane"}
        expected = ",".join(f"modelplane/{name}" for name in expected_receivers(REGISTRY, owner, severity))
        assert routed(merged, tmp_path, labels) == expected
    assert routed(merged, tmp_path, {**ALERTS[0], "plane": "modelplane"}) == "modelplane/modelplane-backend"


@pytest.mark.slow
@pytest.mark.parametrize("text", [THEIRS, PLAIN, FLAT])
def test_a_second_merge_replaces_the_first(text: str) -> None:
    merged = merge_routes(text, GUEST, "alertmanager.yml")
    assert merge_routes(merged, GUEST, "alertmanager.yml") == merged
    smaller = {"route": GUEST["route"], "receivers": GUEST["receivers"][:1]}
    assert merge_routes(merged, smaller, "a") == merge_routes(text, smaller, "a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no route"),
        ("- a", "has no route"),
        ("route: {routes: []}", "has no route with a receiver"),
        ("route: {receiver: a, routes: {}}\nreceivers: [{name: a}]", "routes must be a list"),
        ("route: {receiver: a}\nreceivers: a", "receivers must be a list"),
        ("a: [", "is not valid YAML"),
        ("a: 1\na: 2\nroute: {receiver: a}", "the key 'a' is given twice"),
        ("route: {receiver: a}\nx: " + "[" * 5000, "is not valid YAML"),
        ("route: {receiver: a}\nx: 2020-99-99", "is not valid YAML"),
    ],
)
def test_what_is_no_configuration(text: str, says: str) -> None:
    with pytest.raises(MergeError, match=f"^alertmanager.yml: .*{says}"):
        merge_routes(text, GUEST, "alertmanager.yml")


@pytest.mark.parametrize("value", ["", 'a "b"', "\\", "\\\\n", "a\nb", "=~", "ü"])
def test_matchers_are_read_as_they_are_written(value: str) -> None:
    matcher = Matcher("tenant_id", value, "!~")
    assert parse_matcher(str(matcher)) == matcher
    with pytest.raises(ValueError, match="not a matcher"):
        parse_matcher(f'{matcher} or a="b"')


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", newest_available().search_path)
    (tmp_path / "guest.yml").write_text(yaml.safe_dump(GUEST, sort_keys=False), encoding="utf-8")
    (tmp_path / "alertmanager.yml").write_text(THEIRS, encoding="utf-8")
    (tmp_path / "alertmanager.yml").chmod(0o640)
    return tmp_path


def merge(files: Path, *arguments: str) -> Result:
    options = ["--from", str(files / "guest.yml"), "--into", str(files / "alertmanager.yml"), *arguments]
    return CliRunner().invoke(cli, ["alertmanager", "merge", *options])


@pytest.mark.slow
def test_the_command_replaces_the_file_and_warns_of_inhibitions(files: Path) -> None:
    outcome = merge(files)
    assert outcome.exit_code == 0, outcome.output
    file = files / "alertmanager.yml"
    assert file.read_text() == merge_routes(THEIRS, GUEST, "a")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "inhibit_rules[0] holds for alerts of modelplane" in outcome.output
    file.write_text(
        file.read_text().replace('[severity="warning"]', '[severity="warning", plane!="modelplane"]')
    )
    again = merge(files)
    assert "as before" in again.output
    assert "warning" not in again.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_file_stays_its_owners(files: Path) -> None:
    os.chown(files / "alertmanager.yml", 12345, 54321)
    assert merge(files).exit_code == 0
    state = (files / "alertmanager.yml").stat()
    assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (12345, 54321, 0o640)


def test_a_link_stays_one(files: Path) -> None:
    (files / "link.yml").symlink_to("alertmanager.yml")
    options = ["--from", str(files / "guest.yml"), "--into", str(files / "link.yml")]
    assert CliRunner().invoke(cli, ["alertmanager", "merge", *options]).exit_code == 0
    assert (files / "link.yml").is_symlink()
    assert (files / "alertmanager.yml").read_text() == merge_routes(THEIRS, GUEST, "a")


def test_a_file_that_is_not_there(files: Path) -> None:
    (files / "alertmanager.yml").unlink()
    outcome = merge(files)
    assert outcome.exit_code == 1
    assert "alertmanager.yml: cannot be read: No such file" in outcome.output


def test_the_command_writes_elsewhere(files: Path) -> None:
    assert merge(files, "--out", str(files / "merged.yml")).exit_code == 0
    assert (files / "alertmanager.yml").read_text() == THEIRS
    assert (files / "merged.yml").read_text() == merge_routes(THEIRS, GUEST, "a")


def test_what_amtool_refuses_changes_nothing(files: Path) -> None:
    wrong = THEIRS.replace("receiver: pager", "receiver: nobody")
    (files / "alertmanager.yml").write_text(wrong)
    outcome = merge(files)
    assert outcome.exit_code == 1
    assert 'undefined receiver "nobody"' in outcome.output
    assert (files / "alertmanager.yml").read_text() == wrong


@pytest.mark.parametrize(
    "content", ["route: {receiver: x}\nreceivers: []\n", "a: 1\n", "- a\n", "route: a\n"]
)
def test_what_is_not_ours_to_merge(files: Path, content: str) -> None:
    (files / "guest.yml").write_text(content)
    outcome = merge(files)
    assert outcome.exit_code == 1
    assert "is not what modelplane bundle --target existing writes" in outcome.output
    assert (files / "alertmanager.yml").read_text() == THEIRS


def test_inhibitions_that_are_none_are_refused() -> None:
    with pytest.raises(MergeError, match=r"inhibit_rules\[0\] must be a mapping"):
        list(inhibition_warnings(f"{PLAIN}inhibit_rules: [5]\n", "alertmanager.yml"))


@pytest.mark.slow
def test_the_marks_of_another_editor_stay(tmp_path: Path) -> None:
    theirs, guest = tmp_path / "alertmanager.yml", tmp_path / "guest.yml"
    guest.write_text(yaml.safe_dump(GUEST), encoding="utf-8")
    before = "\ufeff" + THEIRS.replace("\n", "\r\n")
    theirs.write_bytes(before.encode())
    arguments = ["alertmanager", "merge", "--from", str(guest), "--into", str(theirs)]
    for said in ("with our routes and receivers", "as before"):
        merged = CliRunner().invoke(cli, arguments)
        assert said in merged.output
    after = theirs.read_bytes().decode()
    assert after.startswith("\ufeff# our Alertmanager\r\n")
    assert after.count("\n") == after.count("\r\n")
    assert [line for line in before.split("\r\n") if line not in after.split("\r\n")] == []
