"""Leak hunt: whatever a tenant asks, the answer is as if other tenants did not exist.

Two stores hold the same series of the caller. One of them also holds another tenant, a sum over all
tenants and series without a tenant. Hostile requests go to an API over each: the answers must be equal and
must not hold a mark of the others. ``MODELPLANE_LEAK_TRIES`` is how many requests are tried.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from werkzeug.test import TestResponse

from datasource_support.clients import prometheus_client
from datasource_support.hostile_requests import (
    CALLER_TENANT,
    NOW,
    OTHER,
    Request,
    requests,
)
from generations import Servers
from modelplane_datasource.api.prometheus import ERROR_FORMATS, prometheus_blueprint, refuse_unknown_calls
from modelplane_datasource.context import AppContext
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.caller import Caller, set_caller
from modelplane_datasource.web.error_handlers import register_error_handlers
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

TRIES = int(os.environ.get("MODELPLANE_LEAK_TRIES", "1500"))
CHANCES = 30  # how often an answer that may depend on chance is asked for
API = "/prometheus/api/v1"
# What only the others' series hold. No request writes these texts, so none can come back as an echo.
MARKS = (b"7777.25", b"8888.5", b"9999.125", b"classified")

RULES = """
groups:
  - name: own
    rules:
      - {alert: OwnBusy, expr: 'calls{tenant_id="user-A"} > 0'}
  - name: mixed
    rules:
      - {alert: Busy, expr: 'sum by (tenant_id) (calls) > 0'}
      - {alert: ClassifiedBusy, expr: 'calls{tenant_id="user-B"} > 7777', labels: {note: classified}}
      - {record: 'classified:sum', expr: 'sum(calls)'}
"""


def series(with_others: bool) -> list[tuple[str, str, str]]:
    """Name, labels and value of each series; a counter's value is its growth in a minute."""
    tenant_series = [
        ("calls", f'tenant_id="{CALLER_TENANT}",model_name="resnet50",job="a"', "1"),
        ("calls", f'tenant_id="{CALLER_TENANT}",model_name="bert",job="a"', "2"),
        ("load", f'tenant_id="{CALLER_TENANT}",model_name="resnet50"', "3"),
        ("target_info", f'tenant_id="{CALLER_TENANT}",job="a",version="v1"', "1"),
    ]
    others = [
        ("calls", f'tenant_id="{OTHER}",model_name="classified-model",job="a"', "7777.25"),
        ("calls", f'tenant_id="{OTHER}",model_name="resnet50",job="a"', "7777.25"),
        ("load", f'tenant_id="{OTHER}",model_name="resnet50"', "7777.25"),
        ("classified_metric", f'tenant_id="{OTHER}",classified_label="x"', "7777.25"),
        ("calls", 'tenant_id="__all__",model_name="classified-sum"', "9999.125"),
        ("load", 'model_name="resnet50"', "8888.5"),
        ("load", 'tenant_id="",model_name="classified-empty"', "8888.5"),
        ("target_info", f'tenant_id="{OTHER}",job="a",version="classified-version"', "1"),
    ]
    return tenant_series + (others if with_others else [])


def exposition(with_others: bool) -> str:
    """An hour before NOW and, for rules that are evaluated while the test runs, one after it."""
    lines: list[str] = []
    for name, labels, value in sorted(series(with_others)):
        if not lines or f"# TYPE {name} gauge" not in lines:
            lines.append(f"# TYPE {name} gauge")
        lines.extend(f"{name}{{{labels}}} {value} {at}" for at in range(NOW - 3600, NOW + 3600, 60))
    return "\n".join([*lines, "# EOF\n"])


def prometheus(servers: Servers, folder: Path, with_others: bool) -> tuple[str, Process]:
    folder.mkdir()
    (folder / "samples.txt").write_text(exposition(with_others), encoding="utf-8")
    (folder / "rules.yml").write_text(RULES, encoding="ascii")
    (folder / "prometheus.yml").write_text(
        "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\n", encoding="ascii"
    )
    blocks = [servers.promtool, "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"]
    subprocess.run(blocks, cwd=folder, capture_output=True, check=True, timeout=PATIENCE_SECONDS)
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [
        servers.prometheus, f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}", "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    return url, Process("prometheus", arguments, folder / "prometheus.log", ready_url=f"{url}/-/ready")


class Sides(NamedTuple):
    """The API of the caller over the store with others and over the one without; and an admin's."""

    shared: FlaskClient
    alone: FlaskClient
    admin: FlaskClient


def api(url: str, tenants: tuple[str, ...] | None, stack: ExitStack) -> FlaskClient:
    chosen = Settings(prometheus_url=url, prometheus_timeout_seconds=PATIENCE_SECONDS)
    client = prometheus_client(chosen)
    stack.callback(client.close)
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    register_error_handlers(app, ERROR_FORMATS)
    plane = cast(AppContext, SimpleNamespace(prometheus=client, settings=chosen))
    app.before_request(
        lambda: set_caller(Caller("somebody", "admin" if tenants is None else "tenant", tenants))
    )
    app.before_request(refuse_unknown_calls)
    app.register_blueprint(prometheus_blueprint(plane))
    return app.test_client()


@pytest.fixture(scope="module")
def sides(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    folder = tmp_path_factory.mktemp("leaks")
    with ExitStack() as stack:
        urls = []
        for name, with_others in (("shared", True), ("alone", False)):
            url, process = prometheus(servers, folder / name, with_others)
            stack.enter_context(process)
            urls.append(url)
        shared, alone = urls
        yield Sides(
            api(shared, (CALLER_TENANT,), stack),
            api(alone, (CALLER_TENANT,), stack),
            api(shared, None, stack),
        )


def send(client: FlaskClient, request: Request) -> TestResponse:
    more: dict[str, Any] = {}
    if request.method == "POST":
        more["data"] = _multi(request.body)
    return client.open(
        f"{API}/{request.path}", method=request.method, query_string=_multi(request.url), **more
    )


def _multi(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for name, value in pairs:
        by_name.setdefault(name, []).append(value)
    return by_name


def content_of(response: TestResponse) -> object:
    """What an answer says, in an order of its own; of a failure, that it is one."""
    if response.status_code != 200:
        return response.status_code
    data = orjson.loads(response.data)["data"]
    if isinstance(data, dict) and isinstance(data.get("result"), list):
        return sorted(map(orjson.dumps, data["result"]))
    return sorted(map(orjson.dumps, data)) if isinstance(data, list) else None


def is_said_alone(sides: Sides, request: Request, content: object) -> bool:
    """Whether a store without the other tenant says the same: topk and bottomk break ties by chance."""
    has_chance = any("topk" in value or "bottomk" in value for _, value in (*request.url, *request.body))
    return any(content_of(send(sides.alone, request)) == content for _ in range(CHANCES if has_chance else 1))


def check(sides: Sides, request: Request) -> int:
    """The status of an answer that reveals nothing."""
    shared = send(sides.shared, request)
    for mark in MARKS:
        assert mark not in shared.data or shared.status_code == 400, (request, shared.data)
    if shared.status_code == 200:
        assert f'"tenant_id":"{OTHER}"'.encode() not in shared.data, (request, shared.data)
    assert is_said_alone(sides, request, content_of(shared)), (request, shared.data)
    assert shared.status_code not in (500, 502), (request, shared.data)
    return shared.status_code


def test_no_hostile_request_reveals_another_tenant(sides: Sides) -> None:
    statuses: dict[int, int] = {}

    @settings(
        max_examples=TRIES,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def hunt(request: Request) -> None:
        status = check(sides, request)
        statuses[status] = statuses.get(status, 0) + 1

    hunt()
    # A hunt in which everything is refused would prove nothing.
    assert statuses[200] > sum(statuses.values()) / 5, statuses
    assert {400, 403, 404} < statuses.keys(), statuses


CORPUS = [
    "calls", "{tenant_id=~'.+'}", '{__name__=~".+"}', "count({__name__=~'.+'})", "sum(calls)", "count(calls)",
    "topk(scalar(sum(calls)), calls)", 'topk(scalar(calls{tenant_id="user-B"}), calls)', "info(calls)",
    "quantile(scalar(load), load)", 'calls{tenant_id="user-A" or tenant_id="user-B"}', "calls @ start()",
    'calls{x="y\\"} or calls{tenant_id=\\"user-B"}', "absent(classified_metric)", "count_values('x', calls)",
    "max_over_time(sum(calls)[30m:1m])", "calls * on(job) group_left(version) target_info", "ALERTS",
    "label_replace(calls, 'x', '$1', 'model_name', '(.*)')", "calls offset -10m", "ALERTS_FOR_STATE",
    "sum(calls) # {tenant_id='user-A'}", "load unless load{tenant_id=''}", 'load{tenant_id=""}',
    'load{tenant_id!~".+"}', 'calls{tenant_id="__all__"}', "classified:sum", "scalar(classified_metric)",
    "vector(count(classified_metric))", "group(classified_metric)", "bottomk(1, calls > bool 1e9)",
]  # fmt: skip


@pytest.mark.parametrize("query", CORPUS)
def test_known_escapes_reveal_nothing(sides: Sides, query: str) -> None:
    moment = [("time", str(NOW)), ("query", query)]
    span = [("start", str(NOW - 600)), ("end", str(NOW)), ("step", "60"), ("query", query)]
    for path, parameters in (("query", moment), ("query_range", span), ("query_exemplars", span)):
        check(sides, Request("GET", path, parameters, []))
        check(sides, Request("POST", path, [], parameters))
    for path in (
        "series",
        "labels",
        *(f"label/{name}/values" for name in ("model_name", "__name__", "tenant_id")),
    ):
        check(sides, Request("GET", path, [("match[]", query)], []))


def test_the_marks_are_there_for_an_admin(sides: Sides) -> None:
    """Otherwise the hunt would find nothing because there is nothing to find."""
    seen = send(
        sides.admin,
        Request("GET", "query", [("query", '{__name__=~".+"}'), ("time", str(NOW))], []),
    )
    for mark in (b"7777.25", b"8888.5", b"9999.125", b"classified-model"):
        assert mark in seen.data


def test_alerts_and_rules_are_the_tenants(sides: Sides) -> None:
    assert wait_until(lambda: b"classified" in sides.admin.get(f"{API}/alerts").data)
    assert wait_until(lambda: b"OwnBusy" in sides.shared.get(f"{API}/alerts").data)
    alerts = sides.shared.get(f"{API}/alerts").json
    assert alerts is not None
    assert {alert["labels"]["tenant_id"] for alert in alerts["data"]["alerts"]} == {CALLER_TENANT}
    assert {alert["labels"]["alertname"] for alert in alerts["data"]["alerts"]} == {"OwnBusy", "Busy"}
    rules = sides.shared.get(f"{API}/rules").json
    assert rules is not None
    assert [group["name"] for group in rules["data"]["groups"]] == ["own"]
    for path in ("alerts", "rules"):
        body = sides.shared.get(f"{API}/{path}").data
        assert all(mark not in body for mark in (*MARKS, OTHER.encode(), b"Classified"))


def test_grafana_is_served(sides: Sides) -> None:
    """The calls of its Prometheus datasource: health, version, names, labels, a panel, metadata."""
    when = {"start": str(NOW - 600), "end": str(NOW)}

    def fetch(path: str, method: str = "GET", **parameters: str) -> Any:
        response = send(sides.shared, Request(method, path, [*when.items(), *parameters.items()], []))
        assert response.status_code == 200, response.data
        return orjson.loads(response.data)["data"]

    health = sides.shared.post(f"{API}/query", data={"query": "1+1", "time": "4"}).data
    assert orjson.loads(health)["data"] == {"resultType": "scalar", "result": [4, "2"]}
    assert list(fetch("status/buildinfo")) == ["version"]
    assert fetch("label/__name__/values") == ["calls", "load", "target_info"]
    assert fetch("labels", "POST", **{"match[]": "calls"}) == ["__name__", "job", "model_name", "tenant_id"]
    assert fetch("label/tenant_id/values") == [CALLER_TENANT]
    panel = fetch("query_range", "POST", step="60", query="sum by (model_name) (calls)")
    assert sorted(sample["metric"]["model_name"] for sample in panel["result"]) == ["bert", "resnet50"]
    assert fetch("series", **{"match[]": "load"}) == [
        {"__name__": "load", "model_name": "resnet50", "tenant_id": CALLER_TENANT}
    ]
    assert "model_info" in fetch("metadata")
    assert fetch("query_exemplars", "POST", query="calls") == []
    assert fetch("query_exemplars", "POST", query="1") == []
