"""The proof run over a real backend and a Prometheus, through a double of Grafana that holds or leaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from generations import newest_available
from modelplane_dashboards import ApiAccess
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.bundle import grafana_sources
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.grafana import GrafanaClient, Login
from modelplane_provisioning.grafana_apply.proof import Proof, prove
from modelplane_provisioning.grafana_apply.wanted import WantedOrganisation
from modelplane_provisioning.processes import Process, free_port
from provisioning_support.grafana_double import serving
from provisioning_support.grafana_state import PASSWORD, GrafanaState
from provisioning_support.grafana_wanted import run

HOSTILE_TENANT = 'a"} or up{x="'  # the exporter of these tests has it
TENANTS = {"Team A": ("user-A",), "Team B": (HOSTILE_TENANT,)}
TOKENS = {"Team A": "token-of-team-a", "Team B": "token-of-team-b", "operators": "token-of-operators"}
EVERYBODY = ["user-A", HOSTILE_TENANT]
HERE = ("127.0.0.1", 0)


@pytest.fixture(scope="module")
def store(store_urls: dict[tuple[str, str], str]) -> str:
    return store_urls[newest_available().generation, "prometheus"]


@pytest.fixture(scope="module")
def backend(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("backend"), free_port()
    tokens: list[dict[str, Any]] = [
        {"name": name, "role": "tenant", "tenants": list(tenants), "sha256": hash_token(TOKENS[name])}
        for name, tenants in TENANTS.items()
    ]
    tokens.append({"name": "operators", "role": "admin", "sha256": hash_token(TOKENS["operators"])})
    (folder / "tokens.json").write_text(json.dumps({"tokens": tokens}), encoding="utf-8")
    prefix = "MODELPLANE_DATASOURCE_"
    environment = {
        f"{prefix}PROMETHEUS_URL": store, f"{prefix}PORT": str(port),
        f"{prefix}SCRAPE_INTERVAL_SECONDS": "1", f"{prefix}TOKEN_FILE": str(folder / "tokens.json"),
        f"{prefix}DATABASE_URL": f"sqlite:///{folder}/modelplane.db",
    }  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    arguments = [sys.executable, "-m", "modelplane_datasource"]
    with Process("backend", arguments, folder / "backend.log", environment, f"{url}/healthz"):
        yield url


Start = Callable[..., tuple[GrafanaState, str]]


@pytest.fixture
def start(store: str, backend: str) -> Iterator[Start]:
    """Start a Grafana to which organisations were applied: (api) -> state, URL."""
    with ExitStack() as running:

        def started(api: ApiAccess = "plugin") -> tuple[GrafanaState, str]:
            state = GrafanaState()
            url = running.enter_context(serving(state))
            sources = (
                grafana_sources.prometheus(store, 1),
                grafana_sources.backend(backend, api, TOKENS["operators"]),
            )
            organisations = [WantedOrganisation("operators", "1", (), sources, {}, {})]
            for name in TENANTS:
                scoped = (
                    grafana_sources.scoped_prometheus(backend, 1, TOKENS[name]),
                    grafana_sources.backend(backend, api, TOKENS[name]),
                )
                organisations.append(WantedOrganisation(name, None, (), scoped, {}, {}))
            run(url, organisations)
            return state, url

        yield started


def proof_of(url: str, *names: str) -> Proof:
    organisations = {
        name: (str(number), TENANTS[name]) for number, name in enumerate(TENANTS, 2) if name in names
    }
    admin = GrafanaClient(url, Login.of_user("admin", PASSWORD))
    return prove(admin, organisations, EVERYBODY, HERE, lambda _: None)


@pytest.mark.parametrize("api", ["plugin", "infinity"])
def test_nothing_is_read_where_organisations_are_kept_apart(api: ApiAccess, start: Start) -> None:
    state, url = start(api)
    proof = proof_of(url, *TENANTS)
    assert (proof.leaks, proof.unproven, proof.without_data) == ((), (), ())
    assert {result.organisation for result in proof.results} == set(TENANTS)
    assert {result.attempt.about for result in proof.results} >= {*EVERYBODY, "organisation 1", "everybody"}
    assert {result.verdict for result in proof.results} == {"refused", "nothing"}
    assert state.accounts == {}
    assert state.tokens == {}


def operators_token(state: GrafanaState) -> None:
    source = state.organisation("Team A").sources["modelplane-prometheus"]
    source["secureJsonData"] = {"httpHeaderValue1": f"Bearer {TOKENS['operators']}"}


def operators_token_of_the_api(state: GrafanaState) -> None:
    source = state.organisation("Team A").sources["modelplane"]
    source["secureJsonData"] = dict.fromkeys(source["secureJsonData"], TOKENS["operators"])


def raw_prometheus(state: GrafanaState) -> None:
    raw = state.organisations[1].sources["modelplane-prometheus"]
    state.organisation("Team A").sources["modelplane-prometheus"] = {**raw, "id": 99}


def numbers_of_others(state: GrafanaState) -> None:
    state.leaks = frozenset({"ids"})


def header(state: GrafanaState) -> None:
    state.leaks = frozenset({"header"})


def hosts_by_prefix(state: GrafanaState) -> None:
    source = state.organisation("Team A").sources["modelplane"]
    source["jsonData"]["allowedHosts"] = [source["url"]]


@pytest.mark.parametrize(
    ("leak", "api", "attempt", "verdict"),
    [
        (operators_token, "plugin", "Prometheus, query", "read"),
        (operators_token, "plugin", "Prometheus, proxy series", "read"),
        (operators_token_of_the_api, "plugin", "the API, proxy rows/throughput?group-by=tenant", "read"),
        (operators_token_of_the_api, "infinity", "the API, query rows/throughput?group-by=tenant", "read"),
        (raw_prometheus, "plugin", "Prometheus, proxy /api/v1/status/config", "read"),
        (raw_prometheus, "plugin", "Prometheus, proxy /metrics", "read"),
        (numbers_of_others, "plugin", "proxy to data source", "read"),
        (header, "plugin", "Prometheus, query with X-Grafana-Org-Id", "read"),
        (hosts_by_prefix, "infinity", "take the token off, query @", "taken"),
    ],
)
def test_each_leak_is_found(
    leak: Callable[[GrafanaState], None], api: ApiAccess, attempt: str, verdict: str, start: Start
) -> None:
    state, url = start(api)
    leak(state)
    proof = proof_of(url, "Team A")
    assert {result.organisation for result in proof.leaks} == {"Team A"}
    verdicts = {result.verdict for result in proof.leaks if result.attempt.name.startswith(attempt)}
    assert verdicts == {verdict}
    assert state.accounts == {}


def test_where_their_own_cannot_be_read_nothing_is_proven(start: Start) -> None:
    state, url = start()
    for source in state.organisation("Team A").sources.values():
        source["secureJsonData"] = dict.fromkeys(source["secureJsonData"], "Bearer wrong")
    proof = proof_of(url, "Team A")
    assert proof.leaks == ()
    assert [result.attempt.name for result in proof.unproven] == [
        "Prometheus, query",
        "the API, proxy metrics",
    ]


REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: user-A}, {id: user-B}]
models:
  - {name: resnet50, framework: pytorch, owner: vision, tenants: [user-A], targets: ["127.0.0.1:8000"],
     versions: [{version: v1.2.0, stage: production}]}
grafana:
  issuer: http://localhost:3000/
  tenant_organisations: [{name: Team A, tenants: [user-A]}]
"""


def test_the_command_says_it_and_ends_with_a_status(start: Start, tmp_path: Path) -> None:
    state, url = start()
    (tmp_path / "modelplane.yaml").write_text(REGISTRY, encoding="utf-8")
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    arguments = [
        "grafana", "prove", "--registry", str(tmp_path / "modelplane.yaml"), "--grafana", url,
        "--admin-password-file", str(tmp_path / "password"),
    ]  # fmt: skip
    held = CliRunner().invoke(cli, arguments)
    assert held.exit_code == 0, held.output
    assert "user-B: has no data now, so nothing of it could be read" in held.output
    assert "0 of them gave what is not theirs" in held.output
    operators_token(state)
    leaking = CliRunner().invoke(cli, [*arguments, "--json"])
    assert leaking.exit_code == 4
    document = json.loads(leaking.output)
    assert document["leaks"] == sum(each["result"] == "read" for each in document["attempts"]) > 0
    assert not any(secret in held.output + leaking.output for secret in (*TOKENS.values(), PASSWORD))
    state.organisations[2].name = "Somebody's"
    absent = CliRunner().invoke(cli, arguments)
    assert absent.exit_code == 1
    assert "there is no organisation 'Team A': `modelplane grafana apply` makes it" in absent.output
