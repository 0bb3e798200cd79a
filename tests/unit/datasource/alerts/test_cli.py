"""``modelplane alerts``: replay, prune, backup."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from modelplane_datasource.alerts.cli import alerts
from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.store import AlertFilter, AlertStore


def body(fingerprint: str, start: str = "2023-10-27T09:00:00Z", end: str | None = None) -> bytes:
    alert = {
        "status": "resolved" if end else "firing", "labels": {"alertname": "Down", "tenant_id": "user-A"},
        "startsAt": start, "endsAt": end, "fingerprint": fingerprint,
    }  # fmt: skip
    return orjson.dumps({"version": "4", "alerts": [alert]})


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/m.db"
    store = AlertStore(url, 10)
    for delivery in (body("f1"), body("f2", "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")):
        store.record(delivery, parse_payload(delivery), 1_577_836_800_000)
    store.close()
    return url


def run(*arguments: str, url: str) -> Result:
    environment = {"MODELPLANE_DATASOURCE_DATABASE_URL": url}
    return CliRunner().invoke(alerts, arguments, env=environment)


def fingerprints(url: str) -> list[str]:
    store = AlertStore(url, 10)
    result = [episode.fingerprint for episode in store.alerts(AlertFilter())]
    store.close()
    return result


def test_replay(url: str) -> None:
    result = run("replay", url=url)
    assert result.exit_code == 0
    assert "2 bodies were read, 0 of them without sense: 2 observations make 2 episodes." in result.output
    assert fingerprints(url) == ["f1", "f2"]


def test_replay_of_a_file_into_a_new_database(tmp_path: Path) -> None:
    lines = tmp_path / "bodies.jsonl"
    lines.write_bytes(body("f3") + b"\n\n" + body("f4") + b"\nno json\n" + body("f3"))
    url = f"sqlite:///{tmp_path}/new.db"
    result = run("replay", "--from-file", str(lines), "--source", "eu", url=url)
    assert "3 notifications were stored, 1 lines were stored raw." in result.output
    assert fingerprints(url) == ["f3", "f4"]


def test_prune(url: str) -> None:
    result = run("prune", "--days", "1", url=url)
    assert result.exit_code == 0
    assert "rows were deleted" in result.output
    assert fingerprints(url) == ["f1"]


def test_backup_and_restore(url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert run("backup", str(copy), url=url).exit_code == 0
    assert fingerprints(f"sqlite:///{copy}") == ["f1", "f2"]
    again = run("backup", str(copy), url=url)
    assert again.exit_code == 1
    assert "copy.db exists" in again.output


@pytest.mark.parametrize("command", [("replay",), ("prune", "--days", "1"), ("backup", "x")])
def test_a_database_that_does_not_exist_is_not_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(*command, url=f"sqlite:///{tmp_path}/typo.db")
    assert result.exit_code == 1
    assert "typo.db does not exist" in result.output
    assert not (tmp_path / "typo.db").exists()


def test_a_database_of_an_unknown_kind(tmp_path: Path) -> None:
    result = run("replay", url="mystery://x")
    assert result.exit_code == 1
    assert "cannot be opened" in result.output
    assert "Traceback" not in result.output
