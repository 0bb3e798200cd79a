"""Every example of docs/backend.md is what the backend gives, and its tables are complete."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.grafana.annotations import MAX_ANNOTATIONS
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.grid import MAX_POINTS
from modelplane_datasource.web.authentication import GRAFANA_PATH

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "backend.md").read_text(encoding="utf-8")
START = PAGE.partition("\n## Other stores\n")[0]
BLOCK = re.compile(r"(?:<!-- ([\w: .]+) -->\n)?```(\w+)\n((?:.*\n)*?)```\n")
BLOCKS = [(mark, language, code) for mark, language, code in BLOCK.findall(START)]
ROW = re.compile(r"^\|([^|]*)\|([^|]*)\|(.*)\|$", re.MULTILINE)
NOW = 1_698_400_800
VALUES = {"v1.2.0": ("0.0025", None, "0.0024"), "v1.3.0": (None, "0.004", "0.0041")}


def blocks(language: str, mark: str = "") -> list[str]:
    return [code for its_mark, its_language, code in BLOCKS if (its_mark, its_language) == (mark, language)]


@pytest.fixture
def two_versions(upstream: FakePrometheus, client: FlaskClient) -> FlaskClient:
    """Latencies of two versions in the last half minute, the later version loaded fifteen seconds ago."""

    def reply(path: str, form: dict[str, str]) -> Any:
        if path.endswith("/series"):
            series = [{"model_name": "digit-reader", "model_version": version} for version in VALUES]
            return 200, {}, json.dumps({"status": "success", "data": series}).encode()
        lines = []
        for version, texts in VALUES.items():
            labels = {"model_name": "digit-reader", "model_version": version, "tenant_id": "vision-lab"}
            points = [(NOW - 15 * (2 - index), text) for index, text in enumerate(texts) if text is not None]
            lines.append((labels, [point for point in points if point[0] >= float(form["start"])]))
        return matrix_reply(*lines)

    upstream.reply = reply
    return client


def test_every_block_is_known() -> None:
    assert {(mark.partition(":")[0], language) for mark, language, _ in BLOCKS} == {
        ("", "console"), ("from", "js"), ("infinity", "json"), ("datasource", "yaml"), ("target", "json"),
    }  # fmt: skip
    assert START.count("```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("example", blocks("console"))
def test_a_call_gives_what_the_page_shows(two_versions: FlaskClient, example: str) -> None:
    command, _, shown = example.partition("\n")
    curl, silent, url = shlex.split(command.removeprefix("$ "))
    assert (curl, silent) == ("curl", "-s")
    parts = urlsplit(url)
    assert two_versions.get(f"{parts.path}?{parts.query}").json == json.loads(shown)


@pytest.mark.parametrize("target", blocks("json", "infinity"))
def test_a_target_of_infinity_finds_its_columns(two_versions: FlaskClient, target: str) -> None:
    requested = json.loads(target)
    span = {"${__from}": str((NOW - 60) * 1000), "${__to}": str(NOW * 1000)}
    url = re.sub(r"\$\{\w+\}", lambda match: span[match[0]], requested["url"])
    response = two_versions.get(url)
    assert response.status_code == 200, response.text
    assert response.json is not None
    rows = response.json[requested["root_selector"]]
    assert rows
    kinds = {"timestamp_epoch": int | None, "string": str, "number": float | None}
    for column in requested["columns"]:
        assert all(isinstance(row[column["selector"]], kinds[column["type"]]) for row in rows)


@pytest.mark.parametrize("target", blocks("json", "target"))
def test_a_target_of_the_json_plugin_is_answered(
    upstream: FakePrometheus, two_versions: FlaskClient, target: str
) -> None:
    period = {"from": "2023-10-27T09:59:30Z", "to": "2023-10-27T10:00:00Z"}
    response = two_versions.post("/grafana/query", json={"range": period, "targets": [json.loads(target)]})
    assert response.status_code == 200, response.text
    assert "0.0025" in response.text
    assert "histogram_quantile(0.5, " in upstream.calls[0][1]["query"]


def test_the_datasource_of_the_json_plugin_is_healthy(client: FlaskClient) -> None:
    (block,) = blocks("yaml", "datasource")
    (datasource,) = yaml.safe_load(block)["datasources"]
    assert urlsplit(datasource["url"]).path == GRAFANA_PATH
    assert client.get(urlsplit(datasource["url"]).path).status_code == 200


@pytest.mark.parametrize(("mark", "code"), [(mark, code) for mark, _, code in BLOCKS if mark[:5] == "from:"])
def test_code_that_draws_stands_in_a_page_that_is_tested(mark: str, code: str) -> None:
    page = (ROOT / "examples" / "charts" / mark.removeprefix("from: ")).read_text(encoding="utf-8")
    assert any(textwrap.indent(code, " " * depth) in page for depth in (2, 4, 6))


def test_the_table_of_routes_is_complete(client: FlaskClient) -> None:
    reported = set(re.findall(r"`(GET|POST) (/[^`]*)`", START.partition("## Series")[0]))
    annotations = ("/api/v1/annotations/alerts", "/api/v1/annotations/version_changes")
    result = {
        (method, rule.rule)
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith((f"{GRAFANA_PATH}/", "/prometheus/"))
    }
    assert reported == {*result, ("POST", "/grafana/..."), ("GET", "/prometheus/api/v1/...")}
    assert {("GET", path) for path in annotations} < reported


def test_metrics_and_limits_are_those_of_the_code() -> None:
    listed = re.search(r"The metrics are ([^.]*)\.", START)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed[1]) == [metric.name for metric in SERIES_METRICS]
    section = START.partition("## Limits")[2].partition("## Caching")[0]
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    rows = [(name.strip(" `"), value.strip()) for name, value, _ in ROW.findall(section)[2:]]
    assert rows
    for name, value in rows:
        assert str(defaults[name]) == value
    assert f"at most {MAX_POINTS} points" in section
    assert f"the newest {MAX_ANNOTATIONS} " in section


def test_links_lead_to_headings_of_the_page() -> None:
    headings = {
        re.sub(r"[^a-z -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\(#([\w-]+)\)", PAGE)) <= headings
    for path in re.findall(r"\]\((\.\./[^)#]+)\)", PAGE):
        assert (ROOT / "docs" / path).exists()
