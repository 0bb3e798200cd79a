"""The registry: what is accepted, and that every error says where and what is allowed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelplane_schema.registry import RegistryError, dump_registry, load_registry, parse_registry

EXAMPLE = Path(__file__).parents[3] / "examples" / "modelplane.yaml"

GOOD: dict[str, Any] = yaml.safe_load("""
apiVersion: modelplane/v1
urls: {grafana: "http://grafana.example.org", runbooks: "http://docs.example.org/runbooks"}
platform: {receivers: [{type: slack, channel: "#ml-platform", api_url_file: receivers/slack-url}]}
owners:
  - id: vision
    receivers: [{type: pagerduty, routing_key_file: receivers/vision-key, severities: [critical]}]
tenants:
  - id: user-A
    name: "Vision team"
    receivers:
      - {type: webhook, url: "https://hooks.example.org/vision", credentials_file: receivers/vision-token}
    budget: {amount: 2500, currency: USD, period: month}
  - id: user-B
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    targets: ["10.0.0.5:8000", "10.0.0.6:8000"]
    max_in_flight: 64
    versions: [{version: v1.2.0, stage: production}, {version: v1.3.0, stage: canary}]
    slos:
      - {name: availability, objective: 0.999, window: 30d, indicator: {type: errors}}
      - {name: latency, objective: 0.99, window: 30d, indicator: {type: latency, threshold_seconds: 0.25}}
    drift: {psi: {warning: 0.1, critical: 0.25}, min_observations: 300}
devices:
  inventory: [{device: "GPU-6f1c", device_type: h200, from: 2026-01-01}]
  prices: [{device_type: h200, amount: 3.10, currency: USD, per: hour, effective_from: 2026-01-01}]
""")


def parse(content: Any) -> Any:
    return parse_registry(yaml.safe_dump(content), "plane.yaml")


def test_the_design_example_is_read_whole() -> None:
    registry = parse(GOOD)
    model = registry.models[0]
    assert model.production_versions == ("v1.2.0",)
    assert model.expected_replicas == 2
    assert registry.tenants[0].title == "Vision team"
    assert registry.tenants[1].title == "user-B"
    assert str(registry.devices.prices[0].amount) == "3.1"


def test_the_shipped_example_is_valid_and_survives_being_written() -> None:
    registry = load_registry(EXAMPLE)
    assert len(registry.models) == 6
    assert parse_registry(dump_registry(registry)) == registry


def test_the_design_example_survives_being_written() -> None:
    assert parse_registry(dump_registry(parse(GOOD))) == parse(GOOD)


BROKEN = [
    (("tenants", 0, "colour"), "red", "tenants[0].colour: is not a known key; allowed: id, name, receivers"),
    (("models", 0, "framework"), "PyTorch", "models[0].framework: must match [a-z][a-z0-9_]*"),
    (("models", 0, "tenants"), ["user-A", "user-X"], "models[0].tenants: 'user-X' is not the id of a tenant"),
    (("models", 0, "owner"), "audio", "models[0].owner: 'audio' is not the id of an owner; allowed: vision"),
    (("models", 0, "tenants"), [], "models[0].tenants: must have at least 1 item"),
    (("models", 0, "targets"), ["10.0.0.5"], "models[0].targets[0]: must be HOST:PORT"),
    (("models", 0, "targets"), ["http://a:1"], "models[0].targets[0]: must be HOST:PORT"),
    (("models", 0, "slos", 1, "indicator", "threshold_seconds"), 0.3,
     "models[0].slos[1].indicator.threshold_seconds: must be a bound of the latency histogram: 0.01, 0.05"),
    (("models", 0, "slos", 0, "objective"), 1.2, "models[0].slos[0].objective: must be less than 1"),
    (("models", 0, "slos", 0, "objective"), 0.9, "models[0].slos[0].objective: must be above 0.9306"),
    (("models", 0, "slos", 0, "indicator"), {"type": "colour"}, "models[0].slos[0].indicator: "),
    (("models", 0, "versions", 0, "stage"), "prod", "models[0].versions[0].stage: must be"),
    (("models", 0, "drift", "psi", "warning"), 0.5, "models[0].drift.psi: warning must be below critical"),
    (("models", 0, "owner"), "a\nb", "models[0].owner: must not contain control characters"),
    (("tenants", 1, "id"), "user-A", "tenants[1].id: 'user-A' occurs more than once, first at [0]"),
    (("tenants", 1, "id"), "__all__", "tenants[1].id: is reserved"),
    (("models", 0, "versions", 1, "version"), "v1.2.0", "models[0]: versions: 'v1.2.0' occurs more"),
    (("tenants", 0, "receivers", 0, "credentials_file"), "/etc/shadow",
     "tenants[0].receivers[0].credentials_file: must be a path below receivers/ beside the registry"),
    (("tenants", 0, "receivers", 0, "url"), "ftp://x", "tenants[0].receivers[0].url: must be a URL"),
    (("tenants", 0, "budget", "currency"), "usd", "tenants[0].budget.currency: "),
    (("apiVersion",), "v2", "apiVersion: must be 'modelplane/v1'"),
    (("devices", "prices", 0, "effective_from"), "soon", "devices.prices[0].effective_from: "),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "message"), BROKEN, ids=lambda part: str(part)[:40])
def test_errors_name_the_file_the_place_and_what_is_allowed(
    place: tuple[str | int, ...], value: object, message: str
) -> None:
    content = copy.deepcopy(GOOD)
    holder: Any = content
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    with pytest.raises(RegistryError) as caught:
        parse(content)
    assert str(caught.value).startswith(f"plane.yaml: {message}")
    assert len(str(caught.value).splitlines()) == 1


def test_all_errors_are_told_at_once() -> None:
    content = copy.deepcopy(GOOD)
    del content["models"][0]["owner"]
    content["tenants"][0]["id"] = ""
    with pytest.raises(RegistryError) as caught:
        parse(content)
    assert "models[0].owner: is required" in str(caught.value)
    assert "tenants[0].id: " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML"),
        ("- 1", "must be a mapping with the keys apiVersion"),
        ("", "must be a mapping"),
        (
            "apiVersion: modelplane/v1\napiVersion: modelplane/v1",
            "line 2: the key 'apiVersion' is given twice, first on line 1",
        ),
    ],
)
def test_text_that_is_no_registry(text: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        parse_registry(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"none\.yaml: cannot be read: No such file.*--registry FILE"):
        load_registry(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\xff")
    with pytest.raises(RegistryError, match="is not UTF-8"):
        load_registry(tmp_path / "latin.yaml")


@given(st.text(max_size=200))
def test_any_text_is_a_registry_or_a_registry_error(text: str) -> None:
    with pytest.raises(RegistryError):
        parse_registry(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@given(st.sampled_from(sorted(GOOD)), json_values)
def test_any_value_under_a_known_key_is_accepted_or_explained(key: str, value: Any) -> None:
    content = {**GOOD, key: value}
    problem = "plane.yaml: "
    try:
        parse_registry(yaml.safe_dump(content), "plane.yaml")
    except RegistryError as error:
        problem = str(error)
    assert problem.startswith("plane.yaml: ")


@pytest.mark.parametrize(
    ("kind", "field", "first", "second", "uid"),
    [
        ("tenants", "id", "resnet 50", "resnet-50-2f9a93", "mp-tenant-resnet-50-2f9a93"),
        ("models", "name", "resnet 50", "resnet-50-2f9a93", "mp-model-resnet-50-2f9a93"),
        ("models", "name", "模型柎一", "模型泯一", "mp-model-31d00f"),
    ],
)
def test_two_names_whose_boards_would_have_one_uid(
    kind: str, field: str, first: str, second: str, uid: str
) -> None:
    content = copy.deepcopy(GOOD)
    base = content[kind][-1]
    content[kind] += [base | {field: first}, base | {field: second}]
    before = len(content[kind]) - 2
    with pytest.raises(RegistryError) as caught:
        parse(content)
    assert str(caught.value) == (
        f"plane.yaml: {kind}[{before + 1}].{field}: {second!r} would have the uid {uid} of "
        f"[{before}].{field}, {first!r}; rename one of them"
    )


def test_two_tenants_of_one_title_are_an_error_with_both_places() -> None:
    content = copy.deepcopy(GOOD)
    content["tenants"] += [{"id": "b", "name": "a"}, {"id": "a (b)"}]
    with pytest.raises(RegistryError, match=r"tenants\[3\].name: 'a \(b\)' .* first at \[2\]$"):
        parse(content)
