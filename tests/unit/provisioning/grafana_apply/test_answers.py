"""What counts as another tenant's data in an answer, and what is only an echo of the question."""

from __future__ import annotations

from typing import Any

import pytest

from modelplane_provisioning.clients.grafana import Answer
from modelplane_provisioning.grafana_apply.answers import has_rows, is_read, tenants_in
from modelplane_provisioning.grafana_apply.attempts import Attempt, Forbidden, Place, attempts, controls

OTHERS = ["vision-lab", 'a"} or up{x="']


def frames(*labels: dict[str, str], values: tuple[float, ...] = (1.0,), **more: Any) -> dict[str, Any]:
    listed = [
        {
            "schema": {"fields": [{"name": "Value", "labels": each}], "meta": {"custom": {"data": OTHERS}}},
            "data": {"values": [list(values)]},
        }
        for each in labels
    ]
    return {"results": {"A": {"status": 200, "frames": listed, **more}}}


@pytest.mark.parametrize(
    ("forbidden", "content", "is_leak"),
    [
        ("rows", frames({}), True),
        ("rows", frames({}, values=(0.0,)), True),
        ("rows", frames({}, values=()), False),
        ("rows", frames(), False),
        ("rows", {"status": "success", "data": {"resultType": "vector", "result": []}}, False),
        ("rows", {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}, True),
        ("rows", {"status": "success", "data": {"result": [{"metric": {}, "value": [1, "2"]}]}}, True),
        ("rows", {"status": "success", "data": ["resnet50"]}, True),
        ("rows", {"rows": []}, False),
        ("rows", {"rows": [{"value": 1}]}, True),
        ("others", frames({"tenant_id": "north-clinic"}), False),
        ("others", frames({"tenant_id": "vision-lab"}), True),
        ("others", frames({"tenant_id": "vision-lab"}, values=()), False),
        ("others", {"rows": [{"tenant_id": OTHERS[1]}]}, True),
        ("others", {"rows": [{"series": "resnet50 (v1)"}]}, False),
        ("others", {"by": {"vision-lab": 1}}, True),
        ("others", {"message": "a selector on tenant_id selects no tenant of yours: vision-lab"}, False),
        ("others", {"results": {"A": {"error": 'bad: {tenant_id="vision-lab"}'}}}, False),
        ("others", frames({"x": '[{"tenant_id": "vision-lab"}]'}), True),
        ("others", 'model_info{tenant_id="vision-lab"} 1\n', True),
        ("others", "<html>", False),
        ("answer", "go_goroutines 7\n", True),
        ("answer", "", False),
        ("answer", None, False),
        ("answer", {"message": "not found"}, False),
        ("answer", {"status": "success", "data": {"yaml": "global: {}"}}, True),
    ],
)
def test_data_of_others_are_told_from_echoes(forbidden: Forbidden, content: Any, is_leak: bool) -> None:
    attempt = Attempt("x", "/", forbidden)
    assert is_read(attempt, Answer(200, content), OTHERS) is is_leak
    for status in (302, 401, 403, 404, 500):
        assert not is_read(attempt, Answer(status, content), OTHERS)


def test_tenants_are_read_from_labels() -> None:
    assert tenants_in(Answer(200, frames({"tenant_id": "a"}, {"tenant_id": "b"}, {}))) == {"a", "b"}
    assert tenants_in(Answer(200, "text")) == tenants_in(Answer(403, frames({"tenant_id": "a"}))) == set()
    assert not has_rows(Answer(500, frames({})))


@pytest.mark.parametrize("api", ["", "yesoreyeram-infinity-datasource", "modelplane-monitoring-datasource"])
def test_each_other_tenant_organisation_and_way_out_is_tried(api: str) -> None:
    place = Place("2", ("north-clinic",), api, "http://backend:8090", (5, 6))
    foreign = [Place("1", (), api, "", (1, 2)), Place("3", ("vision-lab",), api, "", (7,))]
    tried = list(attempts(place, OTHERS, foreign, "10.0.0.5:9999"))
    about = {attempt.about for attempt in tried}
    assert about == {"everybody", *OTHERS, "organisation 1", "organisation 3"}
    text = str([(attempt.path, attempt.body) for attempt in tried])
    for sent in ("%2e%2e", "/../", "/proxy/1/", "/proxy/7/", "'datasourceId': 2", "@10.0.0.5:9999"):
        assert sent in text
    assert "/proxy/5/" not in text
    assert ("http://backend:8090@10.0.0.5:9999/x" in text) == (api == "yesoreyeram-infinity-datasource")
    assert len(list(controls(place))) == (2 if api else 1)
    assert len({(attempt.name, attempt.about) for attempt in tried}) == len(tried)
