"""What each part says that it has, compared with what is written; one sentence where it cannot be asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from modelplane_provisioning.apply.parts import AlertmanagerPart, BackendPart, GrafanaPart, PrometheusPart
from modelplane_provisioning.bundle.credentials import TOKENS
from modelplane_provisioning.bundle.files import REGISTRY_PATH
from modelplane_provisioning.clients.grafana import GrafanaClient, Login
from modelplane_provisioning.clients.plane import Connection
from modelplane_schema.errors import UserError
from provisioning_support.canned_server import canned_server

RULES = b"""
groups:
  - name: one
    rules:
      - {record: a, expr: 'sum(rate(x{b="c"}[300s])) by (d)', labels: {k: 1}}
      - {alert: B, expr: up == 0}
"""
FILES = {
    "prometheus/rules/modelplane-rules.yml": RULES,
    "prometheus/targets/mp-model-m.json": b'[{"targets": ["m:1", "m:2"]}]',
    "prometheus/targets/jobs/mp-model-n.json": b'[{"targets": ["n:1"]}]',
    "alertmanager/alertmanager.yml": b"route: {}\n",
    REGISTRY_PATH: b"registry",
    "grafana/provisioning/dashboards/modelplane.yaml": b"providers: [{updateIntervalSeconds: 45}]",
    "grafana/dashboards/boards/mp-fleet.json": b'{"uid": "mp-fleet", "title": "Fleet", "version": 0}',
}
Entries = list[dict[str, Any]]

LOADED_RULES: Entries = [
    {"name": "a", "labels": {"k": "1"}, "query": 'sum by (d) (rate(x{b="c"}[5m]))'},
    {"name": "B", "query": "up == 0"},
]


def group(rules: list[dict[str, Any]], file: str = "modelplane-rules.yml") -> dict[str, Any]:
    return {"name": "one", "file": f"/etc/prometheus/rules/{file}", "rules": rules}


def target(address: str, file: str) -> dict[str, Any]:
    path = {"__meta_filepath": f"/etc/prometheus/targets/{file}"} if file else {}
    return {"discoveredLabels": {"__address__": address, **path}}


LOADED_TARGETS = [
    target("m:1", "mp-model-m.json"),
    target("m:2", "mp-model-m.json"),
    target("n:1", "jobs/mp-model-n.json"),
    target("theirs:1", "site.json"),
    target("backend:8090", ""),
]


def prometheus_answers(
    rules: Entries | None = None, targets: Entries = LOADED_TARGETS, success: bool = True
) -> dict[str, Any]:
    groups = [group(LOADED_RULES), group([], "site.yml")] if rules is None else rules
    return {
        "GET /api/v1/status/runtimeinfo": (200, {"data": {"reloadConfigSuccess": success}}),
        "GET /api/v1/rules": (200, {"data": {"groups": groups}}),
        "GET /api/v1/targets": (200, {"data": {"activeTargets": targets}}),
        "POST /-/reload": (200, ""),
    }


FIRST, SECOND = LOADED_RULES
OTHER_RULES = "1 groups of rules are not as they are written, the first is modelplane-"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "lag"),
    [
        (prometheus_answers(), ""),
        (prometheus_answers(success=False), "its last reload failed"),
        (prometheus_answers([]), OTHER_RULES),
        (prometheus_answers([group([FIRST])]), OTHER_RULES),
        (prometheus_answers([group([SECOND, FIRST])]), OTHER_RULES),
        (prometheus_answers([group([{**FIRST, "labels": {}}, SECOND])]), OTHER_RULES),
        (prometheus_answers([group([FIRST, {**SECOND, "query": "up == 1"}])]), OTHER_RULES),
        (prometheus_answers([group(LOADED_RULES), group([FIRST], "modelplane-gone.yml")]), OTHER_RULES),
        (prometheus_answers(targets=[]), "3 targets are not there yet, 0 are still there (m:1, m:2, n:1)"),
        (
            prometheus_answers(targets=[*LOADED_TARGETS, target("old:1", "mp-model-old.json")]),
            "0 targets are not there yet, 1 are still there (old:1); where it is not told of changed files "
            "it looks for them every 5 minutes, and "
            "it keeps what a job had until the job's discovery answers",
        ),
    ],
)
def test_prometheus_has_the_rules_and_targets_that_are_written(answers: dict[str, Any], lag: str) -> None:
    with canned_server(answers) as url:
        part = PrometheusPart(Connection("Prometheus", url), FILES, ("prometheus/rules/modelplane-gone.yml",))
        part.reload()
        assert part.lag().startswith(lag) if lag else part.lag() == ""


@pytest.mark.parametrize(
    ("status", "text", "sentence"),
    [
        (
            403,
            "Lifecycle API is not enabled.",
            r"takes no reloads, for it runs without --web\.enable-lifecycle",
        ),
        (500, "failed to reload config: parsing YAML", "status 500: failed to reload config: parsing YAML"),
        (404, "<html>", r"has no /-/reload"),
    ],
)
def test_a_reload_that_prometheus_refuses(status: int, text: str, sentence: str) -> None:
    with (
        canned_server({"POST /-/reload": (status, text)}) as url,
        pytest.raises(UserError, match=sentence),
    ):
        PrometheusPart(Connection("Prometheus", url), FILES, ()).reload()


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [("31d", "keeps samples for 31 days"), ("4w3d", "keeps samples for 31 days"), ("12w6d", "90 days")],
)
def test_samples_that_are_not_kept_for_long_enough(flag: str, sentence: str) -> None:
    answers = {
        "POST /-/reload": (200, ""),
        "GET /api/v1/status/flags": (200, {"data": {"storage.tsdb.retention.time": flag}}),
    }
    with canned_server(answers) as url:
        with pytest.raises(UserError, match=f"{sentence}, and an SLO of the registry needs 91"):
            PrometheusPart(Connection("Prometheus", url), FILES, (), 91).reload()
        PrometheusPart(Connection("Prometheus", url), FILES, (), 31).reload()


@pytest.mark.parametrize("flag", ["0s", "13w", "1y", ""])
def test_samples_that_are_kept_for_long_enough(flag: str) -> None:
    answers = {
        "POST /-/reload": (200, ""),
        "GET /api/v1/status/flags": (200, {"data": {"storage.tsdb.retention.time": flag} if flag else {}}),
    }
    with canned_server(answers) as url:
        PrometheusPart(Connection("Prometheus", url), FILES, (), 91).reload()


@pytest.mark.parametrize(
    ("metrics", "lag"),
    [
        ("alertmanager_config_hash %s\n", ""),
        ("alertmanager_config_hash 1e+14\n", "it has another configuration"),
        ("", "it does not say which configuration it has"),
    ],
)
def test_alertmanager_says_by_a_hash_which_configuration_it_has(metrics: str, lag: str) -> None:
    digest = hashlib.md5(FILES["alertmanager/alertmanager.yml"], usedforsecurity=False).digest()
    number = float(int.from_bytes(digest[:6], "little"))
    with canned_server({"GET /metrics": (200, metrics.replace("%s", repr(number)))}) as url:
        assert AlertmanagerPart(Connection("Alertmanager", url), FILES).lag().startswith(lag)


@pytest.mark.parametrize(
    ("registry", "tokens", "lag"),
    [
        (b"registry", b"tokens", ""),
        (b"other", b"tokens", "it has other registry; its log says why"),
        (b"other", b"other", "it has other registry and tokens"),
        (None, None, "it is of a version that reads its files at start only"),
    ],
)
def test_the_backend_says_by_digests_which_files_it_has(
    tmp_path: Path, registry: bytes | None, tokens: bytes | None, lag: str
) -> None:
    file = tmp_path / "secrets" / TOKENS.path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"tokens")
    contents = {"registry": registry, "tokens": tokens}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items() if content}
    info = "modelplane_datasource_config_info"
    metrics = "modelplane_datasource_other 1.0\n"  # as an earlier version has them
    metrics += "".join(f'{info}{{file="{name}",sha256="{digest}"}} 1.0\n' for name, digest in digests.items())
    with canned_server({"GET /metrics": (200, metrics)}) as url:
        assert BackendPart(Connection("the backend", url, "t"), FILES, tmp_path).lag().startswith(lag)


BOARD = "/apis/dashboard.grafana.app/v0alpha1/namespaces/default/dashboards/mp-fleet"
GONE = BOARD.replace("mp-fleet", "mp-gone")
RELOADS = {f"POST /api/admin/provisioning/{kind}/reload": (200, {"message": "reloaded"})
           for kind in ("datasources", "plugins", "dashboards")}  # fmt: skip
STORED = {"spec": {"title": "Fleet", "version": 7, "id": 3}}


def grafana_part(url: str) -> GrafanaPart:
    client = GrafanaClient(url, Login.of_user("admin", "s3cret"))
    boards = "grafana/dashboards/boards"
    return GrafanaPart(client, FILES, (f"{boards}/mp-gone.json",))


@pytest.mark.parametrize(
    ("answers", "lag"),
    [
        ({f"GET {BOARD}": (200, STORED)}, ""),
        ({}, "the board mp-fleet is not there"),
        (
            {f"GET {BOARD}": (200, {"spec": {"title": "Hacked"}})},
            "the board mp-fleet is not as it is written",
        ),
        ({f"GET {BOARD}": (200, STORED), f"GET {GONE}": (200, STORED)}, "the board mp-gone is still there"),
    ],
)
def test_grafana_has_the_boards_that_are_written(answers: dict[str, Any], lag: str) -> None:
    seen: list[str] = []
    absent = {f"GET {GONE}": (404, {"message": "not found"}), f"GET {BOARD}": (404, {"message": "not found"})}
    with canned_server({**RELOADS, **absent, **answers}, seen) as url:
        part = grafana_part(url)
        part.reload()
        assert part.lag().startswith(lag) if lag else part.lag() == ""
    assert seen[:3] == list(RELOADS)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, {"message": "Invalid username or password"}), "does not accept the user admin"),
        ((403, {"message": "no"}), "the user admin may not reload its datasources"),
        ((200, "<html>login</html>"), "something that is not Grafana's"),
        (
            (500, {"message": "data source not found"}),
            r"refuses to reload its datasources \(500: data source not",
        ),
    ],
)
def test_a_grafana_that_refuses(answer: Any, sentence: str) -> None:
    reload = {"POST /api/admin/provisioning/datasources/reload": answer}
    with canned_server(reload) as url, pytest.raises(UserError, match=sentence) as refused:
        grafana_part(url).reload()
    assert str(refused.value).endswith("; boards it finds by itself within 45 s")
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_grafana_that_is_not_there() -> None:
    with canned_server({}) as url:
        pass
    with pytest.raises(UserError, match="gives no answer"):
        grafana_part(url).reload()


def test_the_written_rules_are_those_of_the_files() -> None:
    part = PrometheusPart(Connection("Prometheus", "http://x"), {"prometheus/rules/x.yml": RULES}, ())
    assert json.dumps(list(part._groups)) == '["x.yml: one"]'


@pytest.mark.parametrize("answer", [[1], {"data": []}, {"data": None}, {"data": {"groups": None}}])
def test_json_of_something_else_is_told_from_prometheus(answer: Any) -> None:
    routes = ("status/runtimeinfo", "rules", "targets", "status/flags")
    answers = {f"GET /api/v1/{route}": (200, answer) for route in routes} | {"POST /-/reload": (200, "")}
    with canned_server(answers) as url:
        part = PrometheusPart(Connection("Prometheus", url), FILES, (), 1)
        with pytest.raises(UserError, match="did not answer as one does at"):
            part.lag()


def test_a_page_is_told_from_the_backend(tmp_path: Path) -> None:
    (tmp_path / "secrets" / "backend").mkdir(parents=True)
    (tmp_path / "secrets" / TOKENS.path).write_bytes(b"{}")
    with canned_server({"GET /metrics": (200, "<html>login</html>")}) as url:
        part = BackendPart(Connection("the backend", url), FILES, tmp_path)
        assert part.lag().startswith("it is not the backend")
