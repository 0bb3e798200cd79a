"""Ports of a plane on this machine: wanted, customary or free ones, and who may listen everywhere."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from modelplane_alerts.integrations import OLDEST_VERSION
from modelplane_provisioning.bundle.site import local_site
from modelplane_provisioning.cli import cli
from modelplane_provisioning.local.ports import EVERYWHERE, LOOPBACK, Ports, choose_ports
from modelplane_provisioning.local.stack import alertmanager_process, backend_process, prometheus_process
from modelplane_provisioning.processes import ProcessError, free_port, port_is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_taken_port_is_avoided(taken: int) -> None:
    assert not port_is_free(taken)
    ports = choose_ports()
    assert len({ports.prometheus, ports.alertmanager, ports.backend}) == 3
    assert ports.address == LOOPBACK


def test_wanted_ports_are_taken() -> None:
    prometheus, backend = free_port(), free_port()
    ports = choose_ports({"prometheus": prometheus, "backend": backend, "grafana": None}, EVERYWHERE)
    assert (ports.prometheus, ports.backend, ports.address) == (prometheus, backend, EVERYWHERE)
    assert ports.alertmanager not in (prometheus, backend)


def test_another_part_does_not_take_a_wanted_customary_port() -> None:
    if port_is_free(9090):
        ports = choose_ports({"backend": 9090})
        assert (ports.backend, ports.prometheus == 9090) == (9090, False)


def test_ports_that_cannot_be_had_are_said_at_once(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    twice = free_port()
    wanted = {"prometheus": taken, "alertmanager": twice, "backend": twice, "grafana": free_port()}
    with pytest.raises(ProcessError) as refused:
        choose_ports(wanted)
    assert str(refused.value).splitlines() == [
        f"--prometheus-port {taken}: something listens there; choose another",
        f"port {twice} is wanted by 2 parts; choose another for all but one",
        "--grafana-port: Grafana is not on PATH",
    ]


@pytest.mark.parametrize("command", ["up", "demo"])
def test_parts_that_want_no_login_cannot_be_opened(command: str) -> None:
    refused = CliRunner().invoke(cli, [command, "--listen", "10.0.0.5"])
    assert refused.exit_code == 2
    assert "'10.0.0.5' is not one of '127.0.0.1', '0.0.0.0'" in refused.output
    shown = " ".join(CliRunner().invoke(cli, [command, "--help"]).output.split())
    assert "Prometheus and Alertmanager want none and stay on loopback." in shown


def test_only_parts_that_want_a_login_listen_everywhere(tmp_path: Path) -> None:
    ports = Ports(1, 2, 3, 4, EVERYWHERE)
    site = local_site("/b", "/d", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", OLDEST_VERSION)
    backend = backend_process(tmp_path, site, ports, 15, tmp_path)
    assert backend.env["MODELPLANE_DATASOURCE_HOST"] == EVERYWHERE
    assert backend.env["MODELPLANE_DATASOURCE_TOKEN_FILE"]
    for process in (
        prometheus_process(tmp_path, tmp_path, ports, 31, tmp_path),
        alertmanager_process(tmp_path, tmp_path, ports, tmp_path),
    ):
        (listens,) = (word for word in process.argv if word.startswith("--web.listen-address="))
        assert listens.startswith(f"--web.listen-address={LOOPBACK}:")
