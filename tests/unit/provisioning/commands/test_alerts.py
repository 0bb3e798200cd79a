"""`modelplane alerts list`: short lines for people, one line each for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.store import AlertStore
from modelplane_provisioning.cli import cli

LONG = "a-tenant-with-a-name-that-alone-fills-most-of-the-eighty-columns-of-a-terminal"
FIRED, ENDED = "2023-10-27T09:00:00Z", "2023-10-27T10:00:00Z"


def body(name: str, tenant: str, end: str | None = None) -> bytes:
    labels = {"alertname": name, "tenant_id": tenant, "severity": "critical", "model_name": "resnet50",
              "model_version": "v1"}  # fmt: skip
    alert = {"status": "resolved" if end else "firing", "labels": labels, "startsAt": FIRED, "endsAt": end,
             "fingerprint": name}  # fmt: skip
    return orjson.dumps({"version": "4", "alerts": [alert]})


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/m.db"
    store = AlertStore(url, 10)
    for delivery in (body("ModelDown", LONG), body("NoTraffic", "b\n\x1b[31m", ENDED)):
        store.record(delivery, parse_payload(delivery), 1_577_836_800_000)
    store.close()
    return url


def run(*arguments: str, url: str) -> Result:
    return CliRunner().invoke(cli, ["alerts", "list", *arguments, "--database-url", url])


def test_a_pipe_gets_one_line_for_each_with_nothing_cut_and_no_colours(url: str) -> None:
    result = run(url=url)
    assert result.exit_code == 0
    rows = result.stdout.splitlines()
    assert len(rows) == 2
    assert any(LONG in row and "ModelDown" in row for row in rows)
    assert "\x1b" not in result.output
    head, *below = run("--wide", url=url).stdout.splitlines()
    assert head.split() == ["STARTED", "ENDED", "STATUS", "SEVERITY", "ALERT", "TENANT", "MODEL", "VERSION"]
    assert [row.split() for row in below] == [row.split() for row in rows]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_lines_that_fit(url: str) -> None:
    lines = run(url=url).output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "2023-10-27 09:00Z  firing  critical  ModelDown" in lines
    assert "  resnet50 v1 of b  [31m, ended 2023-10-27 10:00Z (resolved)" in lines


def test_programs_get_json(url: str) -> None:
    answer = json.loads(run("--json", "--status", "resolved", url=url).output)
    (alert,) = answer["alerts"]
    assert (alert["alertname"], alert["ends_at"]) == ("NoTraffic", 1_698_400_800_000)
    assert answer["total"] == 1


def test_more_alerts_than_asked_for_are_mentioned(url: str) -> None:
    result = run("--limit", "1", url=url)
    assert (result.stdout.count("\n"), result.stderr) == (1, "1 more: raise --limit\n")


def test_no_alerts_are_said(url: str) -> None:
    result = run("--tenant", "nobody", url=url)
    assert (result.stdout, result.stderr) == ("", "There are no alerts that match.\n")
    assert json.loads(run("--tenant", "nobody", "--json", url=url).output) == {"alerts": [], "total": 0}


def test_a_database_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    result = run(url=f"sqlite:///{tmp_path}/typo.db")
    assert (result.exit_code, "typo.db does not exist" in result.output) == (1, True)
    assert not (tmp_path / "typo.db").exists()
