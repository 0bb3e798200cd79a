"""``modelplane silences`` and ``modelplane incidents`` against a real application."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from click.testing import CliRunner, Result

from datasource_support.fake_alertmanager import FakeAlertmanager, serving_silences
from datasource_support.fake_prometheus import NOW
from datasource_support.two_tenants import notification
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.plane import Plane

OPERATOR, TENANT = "operator-secret", "tenant-secret"
CREATE = (
    "silences", "create", "alertname=ModelDown", 'model_name=~"digit.*"', "--for", "2h", "--comment",
    "warms up", "--by", "Ada",
)  # fmt: skip


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def alertmanager() -> Iterator[FakeAlertmanager]:
    with serving_silences() as alertmanager:
        yield alertmanager


@pytest.fixture
def data(tmp_path: Path, alertmanager: FakeAlertmanager) -> Iterator[Path]:
    """The folder of a plane whose backend is an application in this process."""
    entries: list[dict[str, Any]] = [
        {"name": "operator", "role": "admin", "sha256": hash_token(OPERATOR)},
        {"name": "acme", "role": "tenant", "tenants": ["acme"], "sha256": hash_token(TENANT)},
    ]
    for name, text in (("tokens.json", json.dumps({"tokens": entries})), ("tenant-token", f"{TENANT}\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "operator-token").write_text(OPERATOR)
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/modelplane.db",
        token_file=tmp_path / "tokens.json",
        alertmanager_urls=(alertmanager.url,),
    )
    app = create_app(settings, clock=lambda: NOW)
    for tenant in ("acme", "globex"):
        body = notification(tenant, "digit-reader", "ModelDown")
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        # A writer's token is needed with tokens; the operator may do everything.
        assert app.test_client().post("/api/v1/alerts", json=body, headers=headers).status_code == 200
    server = make_server("127.0.0.1", 0, app, WSGIServer, Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    Plane(url, alertmanager.url, url, None, str(tmp_path), str(tmp_path), 15, {}).save(tmp_path)
    yield tmp_path
    server.shutdown()
    thread.join()
    server.server_close()
    close_app(app)


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Without flags, where the plane's folder is .plane below the current one."""
    (data / "here").mkdir()
    (data / "here" / ".plane").symlink_to(data)
    monkeypatch.chdir(data / "here")
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def succeed(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("terminal")
def test_a_silence_is_created_listed_and_ended(run: Callable[..., Result]) -> None:
    created = succeed(run(*CREATE, "--tenant", "acme"))
    number, _, rest = created.partition("  ")
    assert rest == (
        "active until 2023-10-27 12:00Z\n"
        '  alertname="ModelDown", model_name=~"digit.*", tenant_id="acme"\n'
        "  Ada: warms up\n"
        f"End it with: modelplane silences expire {number}\n"
    )
    assert succeed(run("silences", "list")) == created.partition("End it")[0]
    assert max(map(len, created.splitlines())) <= 80
    header, line = succeed(run("silences", "list", "--wide")).splitlines()
    assert re.split(r"  +", header) == [
        "ID", "STATUS", "TENANT", "STARTS", "ENDS", "BY", "MATCHERS", "COMMENT",
    ]  # fmt: skip
    assert re.split(r"  +", line) == [
        number, "active", "acme", "2023-10-27 10:00Z", "2023-10-27 12:00Z", "Ada",
        'alertname="ModelDown", model_name=~"digit.*", tenant_id="acme"', "warms up",
    ]  # fmt: skip
    (row,) = json.loads(succeed(run("silences", "list", "--json")))["silences"]
    assert (row["id"], row["tenant_id"]) == (number, "acme")
    ended = succeed(run("silences", "expire", number, "--by", "Grace", "--note", "it is warm"))
    assert ended.splitlines()[0] == f"{number}  expired 2023-10-27 10:00Z"
    assert ended.splitlines()[-1] == "  ended by Grace: it is warm"
    assert succeed(run("silences", "list")) == "There are no silences; --status expired shows old ones.\n"
    assert number in succeed(run("silences", "list", "--status", "expired"))


@pytest.mark.slow
def test_a_tenant_uses_its_own_token(run: Callable[..., Result], data: Path) -> None:
    url = Plane.load(data).backend_url
    tenant = ("--url", url, "--token-file", str(data / "tenant-token"))
    row = json.loads(succeed(run(*CREATE, "--json", *tenant)))
    assert row["tenant_id"] == "acme"
    refused = run(*CREATE, "--tenant", "globex", *tenant)
    assert refused.exit_code == 1
    assert "may not see; allowed: acme" in refused.output
    assert "name its file with --token-file" in refused.output
    foreign = json.loads(succeed(run(*CREATE, "--json", "--tenant", "globex")))["id"]
    absent = run("silences", "expire", foreign, *tenant)
    assert (absent.exit_code, absent.output) == (1, "Error: There is no such silence.\n")
    (incident,) = succeed(run("incidents", "list", *tenant)).splitlines()
    assert " acme " in incident


@pytest.mark.slow
def test_a_pipe_gets_one_line_for_each(run: Callable[..., Result]) -> None:
    succeed(run(*CREATE, "--tenant", "acme"))
    (silence,) = run("silences", "list").stdout.splitlines()
    assert ("active" in silence, silence.endswith("warms up")) == (True, True)
    incidents = run("incidents", "list").stdout.splitlines()
    assert len(incidents) == 2
    (of_acme,) = (line for line in incidents if " acme " in line)
    assert re.split(r"  +", of_acme)[1:4] == ["firing", "critical", "acme"]
    limited = run("incidents", "list", "--limit", "1")
    assert (limited.stdout.count("\n"), limited.stderr) == (1, "1 more: raise --limit\n")
    none = run("incidents", "list", "--status", "resolved")
    assert (none.stdout, none.stderr) == ("", "There are no incidents that match.\n")


@pytest.mark.slow
@pytest.mark.usefixtures("terminal")
def test_incidents_are_listed_acknowledged_and_commented(run: Callable[..., Result]) -> None:
    listed = succeed(run("incidents", "list", "--tenant", "acme"))
    number = listed.split()[0]
    assert listed == (
        f"{number}  firing  critical  digit-reader of acme\n  ModelDown since 2023-10-27 09:30Z\n"
    )
    header, line = succeed(run("incidents", "list", "--wide", "--tenant", "acme")).splitlines()
    assert len(re.split(r"  +", header)) == len(re.split(r"  +", line)) == 9
    acknowledged = succeed(run("incidents", "ack", number, "--by", "Ada", "--note", "rolling back"))
    assert "acknowledged by Ada" in acknowledged
    commented = succeed(run("incidents", "comment", number, "a driver\nis missing \x1b[31m", "--by", "Grace"))
    assert commented.splitlines()[-2:] == [
        "  2023-10-27 10:00Z Ada: acknowledged. rolling back",
        "  2023-10-27 10:00Z Grace: a driver is missing  [31m",
    ]
    detail = json.loads(succeed(run("incidents", "comment", number, "again", "--json")))
    assert [entry["comment"] for entry in detail["comments"]] == ["a driver\nis missing \x1b[31m", "again"]
    assert succeed(run("incidents", "list", "--status", "resolved")) == "There are no incidents that match.\n"
    assert "1 more: raise --limit" in succeed(run("incidents", "list", "--limit", "1"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("silences", "create", "ModelDown", "--for", "1h", "--comment", "x"), 2, "is no matcher; allowed"),
        (("silences", "create", "a=b", "--for", "soon", "--comment", "x"), 1, "duration cannot be read"),
        (("silences", "create", "a=b", "--for", "1h", "--comment", ""), 1, "comment does not fit"),
        (("silences", "expire", "../incidents"), 2, "no id; `modelplane silences list` shows them"),
        (("silences", "expire", "abc"), 1, "There is no such silence."),
        (("incidents", "ack", "abc"), 1, "There is no such incident."),
        (("incidents", "comment", "abc", ""), 1, "comment does not fit"),
        (("incidents", "list", "--from", "yesterday"), 1, "from has the value 'yesterday'"),
        (("silences", "list", "--data", "nowhere"), 1, "start one with `modelplane up` or `modelplane demo`"),
        (("silences", "list", "--url", "http://127.0.0.1:9"), 1, "is the backend running there?"),
        (("incidents", "list", "--url", "localhost:8090"), 2, "an address such as http://backend:8090"),
        (("silences", "list", "--token-file", "nowhere"), 1, "nowhere: cannot be read as a token"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(
    run: Callable[..., Result], arguments: tuple[str, ...], status: int, text: str
) -> None:
    result = run(*arguments)
    assert (result.exit_code, text in result.output) == (status, True), result.output
    assert "Traceback" not in result.output


def test_what_is_not_the_backend(run: Callable[..., Result], alertmanager: FakeAlertmanager) -> None:
    result = run("silences", "list", "--url", alertmanager.url)
    assert (result.exit_code, "not as the backend does: check --url" in result.output) == (1, True)
    alertmanager.reply = lambda method, path: (401, b'{"message": "A valid token is needed."}')
    result = run("silences", "list", "--url", alertmanager.url)
    assert "A valid token is needed. Name the file that holds it with --token-file." in result.output
