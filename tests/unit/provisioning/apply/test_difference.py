"""What changes is said in the terms of people."""

from __future__ import annotations

from typing import Any

import yaml

from modelplane_provisioning.apply.difference import difference_lines, without_secrets
from modelplane_provisioning.bundle.files import REGISTRY_PATH


def registry(tenants: list[dict[str, Any]], models: list[dict[str, Any]], **settings: Any) -> bytes:
    declared = [
        {
            "framework": "jax",
            "owner": "o",
            "tenants": [tenants[0]["id"]],
            "versions": [{"version": "v"}],
            **model,
        }
        for model in models
    ]
    content = {"apiVersion": "modelplane/v1", "tenants": tenants, "models": declared, **settings}
    return yaml.safe_dump(content).encode()


def rules(*names: str, expr: str = "1", labels: dict[str, str] | None = None) -> bytes:
    content = [{"record": name, "expr": expr, **({"labels": labels} if labels else {})} for name in names]
    return yaml.safe_dump({"groups": [{"name": "g", "rules": content}]}).encode()


RULES, BOARDS = "prometheus/rules/modelplane-x.yml", "grafana/dashboards/models/mp-model-"
BEFORE = {
    REGISTRY_PATH: registry([{"id": "a"}, {"id": "gone"}], [{"name": "m"}, {"name": "old"}]),
    RULES: rules("kept", "changed", "gone"),
    f"{BOARDS}m.json": b"1",
    f"{BOARDS}old.json": b"1",
    "compose.yaml": b"1",
}


def test_nothing_is_said_of_what_is_the_same() -> None:
    assert difference_lines(BEFORE, BEFORE) == []


def test_each_kind_has_a_line() -> None:
    after = {
        REGISTRY_PATH: registry(
            [{"id": "a", "name": "A"}, {"id": "new"}], [{"name": "m", "framework": "sklearn"}, {"name": "n"}],
            urls={"grafana": "https://g.example"},
        ),
        RULES: rules("kept", "new") + rules("changed", expr="2")[len("groups:\n- name: g\n  rules:\n"):],
        f"{BOARDS}m.json": b"2",
        f"{BOARDS}n.json": b"1",
        "compose.yaml": b"2",
        "prometheus/targets/mp-model-n.json": b"1",
    }  # fmt: skip
    assert difference_lines(BEFORE, after) == [
        "tenants: 1 added (new); 1 changed (a (name)); 1 removed (gone)",
        "models: 1 added (n); 1 changed (m (framework)); 1 removed (old)",
        "settings of the registry: urls changed",
        "rules: 1 added (new); 1 changed (changed); 1 removed (gone)",
        "boards: 1 added (mp-model-n); 1 changed (mp-model-m); 1 removed (mp-model-old)",
        "other files: 1 added (prometheus/targets/mp-model-n.json); 1 changed (compose.yaml)",
    ]


def test_rules_of_one_name_are_told_apart_by_their_labels_and_listed_once() -> None:
    both = {**BEFORE, RULES: rules("a", labels={"m": "1"}) + rules("a", labels={"m": "2"})[26:]}
    assert difference_lines({**BEFORE, RULES: rules()}, both) == ["rules: 2 added (a)"]


def test_many_names_are_cut() -> None:
    many = {**BEFORE, **{f"{BOARDS}{number}.json": b"" for number in range(100)}}
    (line,) = difference_lines(BEFORE, many)
    assert line.startswith("boards: 100 added (mp-model-0, ")
    assert line.endswith(" and 92 more)")


def test_an_earlier_registry_that_is_not_valid_is_none() -> None:
    for earlier in (b"\xff", b"x", b"tenants: ["):
        lines = difference_lines({**BEFORE, REGISTRY_PATH: earlier}, BEFORE)
        assert lines == ["tenants: 2 added (a, gone)", "models: 2 added (m, old)"]


def test_secrets_are_left_out() -> None:
    assert without_secrets({"secrets/a/b": b"s3cret", "x": b"1"}) == {"x": b"1"}
