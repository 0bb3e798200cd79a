"""The files of a registry: which there are, reproducible bytes, and each board as if rendered by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelplane_dashboards import (
    FOLDERS,
    PER_ENTITY,
    ApiAccess,
    BoardFormat,
    build,
    check,
    files,
    folder_files,
    model_board,
    tenant_board,
    write,
)
from modelplane_dashboards.output.content import encode
from modelplane_schema.registry import Registry

_DIGEST = """
import hashlib, sys
from pathlib import Path
from modelplane_dashboards import files
from modelplane_schema.registry import load_registry
content = files(load_registry(Path(sys.argv[1])))
print(hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest())
"""
HOSTILE = [
    'say "hi"', "back\\slash", "$tenant", "${model:raw}", "[[version]]", ".+", ".*", "$__all", "a/../b",
    "\N{GRINNING FACE}", "n" * 128, "\u6a21\u578b" * 60, "a.b", "A-B", "a b", "a%20b", "{{tenant}}", "x|y",
    "mp-tenant-a", "<b>", "a&var-tenant=b", "e\u0301", "'", "-", "_", "\u0130",
]  # fmt: skip
ALPHABET = st.sampled_from("aZ9 .:/@-_\"\\$[]{}'%#?&=+<>|~\u00e9\u4e2d\N{GRINNING FACE}\u0130")
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(ALPHABET, min_size=1, max_size=128).map(str.strip))
IDS = st.lists(NAMES.filter(bool), min_size=2, max_size=2, unique=True)


def registry_of(ids: list[str], models: list[str], title: str | None = None) -> Registry:
    """Each of two models serves each tenant; the first tenant has a title."""
    version = {"framework": "onnx", "owner": "o", "tenants": ids, "versions": [{"version": "v1"}]}
    tenants: list[dict[str, Any]] = [{"id": name} for name in ids]
    if title is not None:
        tenants[0]["name"] = title
    return Registry.model_validate(
        {
            "apiVersion": "modelplane/v1",
            "tenants": tenants,
            "models": [version | {"name": name} for name in models],
        }
    )


def rendered_directly(registry: Registry, api: ApiAccess, form: BoardFormat) -> dict[str, bytes]:
    boards = {
        "all": build(registry, api),
        "tenant": [tenant_board(registry, tenant, api) for tenant in registry.tenants],
        "model": [model_board(registry, model, api) for model in registry.models],
    }
    return {
        board.uid: encode(board, api, form, FOLDERS[kind]).encode()
        for kind, listed in boards.items()
        for board in listed
    }


@pytest.mark.slow
def test_committed_files_are_current(registry: Registry, root: Path) -> None:
    assert check(files(registry), root / "dashboards" / "generated") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("api", "form"), [("plugin", "classic"), ("infinity", "resource"), ("none", "classic")]
)
def test_hostile_names_give_the_bytes_of_a_board_rendered_by_itself(
    api: ApiAccess, form: BoardFormat
) -> None:
    registry = registry_of(HOSTILE, HOSTILE[::-1], "Title of $one [[x]]")
    content = files(registry, api, "always", form)
    assert {Path(path).stem: text for path, text in content.items()} == rendered_directly(registry, api, form)
    assert len(content) == len(build(registry, api)) + 2 * len(HOSTILE)


@pytest.mark.slow
@settings(max_examples=10)
@given(IDS, IDS, st.none() | NAMES.filter(bool))
def test_every_board_has_the_bytes_of_one_rendered_by_itself(
    ids: list[str], models: list[str], title: str | None
) -> None:
    registry = registry_of(ids, models, title)
    content = files(registry, "plugin", "always")
    expected = rendered_directly(registry, "plugin", "classic")
    assert {Path(path).stem: text for path, text in content.items()} == expected


def test_boards_of_one_template_differ_in_names_alone(registry: Registry) -> None:
    plain = registry_of(["aaa", "bbb"], ["m", "n"])
    content = files(plain, "plugin", "always")
    first, second = (content[f"tenants/mp-tenant-{name}.json"].decode() for name in ("aaa", "bbb"))
    assert first != second
    assert first.replace("aaa", "bbb") == second


@pytest.mark.slow
def test_names_that_slug_alike_have_files_of_their_own() -> None:
    content = files(registry_of(["A b", "a B", "a-b"], ["m", "M"]), "plugin", "always")
    boards = [json.loads(text) for path, text in content.items() if not path.startswith("boards/")]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == 5


def test_a_board_for_each_tenant_and_model_up_to_a_hundred() -> None:
    names = [f"t{number}" for number in range(98)]
    shared = len(files(registry_of(names, ["m"]), per_entity="never"))
    assert len(files(registry_of(names, ["m", "n"]))) == shared + 100
    assert len(files(registry_of([*names, "x"], ["m", "n"]))) == shared
    assert len(files(registry_of([*names, "x"], ["m", "n"]), per_entity="always")) == shared + 101


def test_which_boards_there_are_does_not_change_the_shared_ones(registry: Registry) -> None:
    path = "boards/mp-fleet.json"
    assert len({files(registry, per_entity=choice)[path] for choice in PER_ENTITY}) == 1


def test_a_path_that_is_none_has_no_content(registry: Registry) -> None:
    content = files(registry)
    assert "boards/mp-other.json" not in content
    with pytest.raises(KeyError):
        content["boards/mp-other.json"]


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_hash_seed(root: Path) -> None:
    def digest(seed: str) -> str:
        command = [sys.executable, "-c", _DIGEST, str(root / "examples" / "modelplane.yaml")]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert digest("1") == digest("2") != ""


@pytest.mark.slow
def test_files_are_sorted_json_that_ends_with_a_newline(registry: Registry) -> None:
    for content in files(registry).values():
        text = content.decode()
        expected = json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        assert text == expected


FOLDERS_BY_NAME = {
    "boards": "modelplane", "tenants": "modelplane-tenants", "models": "modelplane-models",
}  # fmt: skip


def test_folders_are_resources_that_boards_name(registry: Registry) -> None:
    written = {name: json.loads(text) for name, text in folder_files(files(registry)).items()}
    assert written["modelplane.json"] == {
        "apiVersion": "folder.grafana.app/v1beta1",
        "kind": "Folder",
        "metadata": {"name": "modelplane"},
        "spec": {"title": "Modelplane"},
    }
    assert {content["metadata"]["name"] for content in written.values()} == set(FOLDERS_BY_NAME.values())
    assert list(folder_files(files(registry, per_entity="never"))) == ["modelplane.json"]


@pytest.mark.slow
def test_resources_hold_the_classic_boards(registry: Registry, tmp_path: Path) -> None:
    classic, resources = files(registry), files(registry, form="resource")
    assert list(classic) == list(resources)
    for path, text in resources.items():
        board, content = json.loads(classic[path]), json.loads(text)
        folder = FOLDERS_BY_NAME[path.partition("/")[0]]
        assert content == {
            "apiVersion": "dashboard.grafana.app/v1beta1",
            "kind": "Dashboard",
            "metadata": {"name": board.pop("uid"), "annotations": {"grafana.app/folder": folder}},
            "spec": board,
        }
    write(classic, tmp_path)
    assert len(write(resources, tmp_path).written) == len(classic)
    assert write({}, tmp_path).removed == tuple(sorted(classic))
