"""Writing a bundle: all is checked first, files of others stay, and what refers to others comes last."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from modelplane_provisioning.bundle.credentials import SECRETS, TOKENS
from modelplane_provisioning.bundle.writer import BundleError, plan_bundle, write_bundle
from modelplane_provisioning.cli import cli
from modelplane_provisioning.compose.containers import container_files
from modelplane_schema.errors import UserError
from modelplane_schema.owned_files import MANIFEST, Changes
from modelplane_schema.registry import Registry, dump_registry, parse_registry

TENANT: dict[str, Any] = {"id": "north"}


def registry(models: tuple[str, ...] = ("m",), *people: dict[str, Any]) -> Registry:
    people = people or (TENANT,)
    declared = [
        {
            "name": name, "framework": "jax", "owner": "o", "tenants": [people[0]["id"]],
            "versions": [{"version": "v1"}], "targets": [f"{name}.example:8000"],
        }
        for name in models
    ]  # fmt: skip
    return parse_registry(
        yaml.safe_dump({"apiVersion": "modelplane/v1", "tenants": list(people), "models": declared})
    )


@cache
def files_for(models: tuple[str, ...]) -> dict[str, bytes]:
    return container_files(registry(models), "1:1")


def write(out: Path, *models: str) -> Changes:
    return write_bundle(out, files_for(models), registry(models), out.parent)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["bundle", *map(str, arguments)])


def present(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


FOREIGN = {
    "grafana/dashboards/mine/mine.json": b'{"uid": "mine"}',
    "grafana/dashboards/boards/mp-marketing.json": b'{"uid": "mp-marketing", "tags": ["modelplane"]}',
    "grafana/provisioning/datasources/theirs.yaml": b"apiVersion: 1\n",
    "prometheus/rules/site-rules.yml": b"groups: []\n",
    "prometheus/targets/theirs.json": b"[]",
    "alertmanager/templates/theirs.tmpl": b"",
    "compose.override.yaml": b"services: {}\n",
    "secrets/theirs/token": b"theirs",
    "notes.txt": b"ours",
}


@pytest.mark.slow
def test_files_of_others_stay_whatever_comes_and_goes(tmp_path: Path) -> None:
    for path, content in FOREIGN.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    for models in (("m", "gone"), ("m",), ("m", "new")):
        write(tmp_path, *models)
        assert {path: (tmp_path / path).read_bytes() for path in FOREIGN} == FOREIGN
        targets = {path.name for path in (tmp_path / "prometheus/targets").iterdir()}
        assert targets == {f"mp-model-{name}.json" for name in models} | {"theirs.json"}


def test_a_compose_file_of_others_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "own"
    out.mkdir()
    (out / "compose.yaml").write_text("my: compose\n", encoding="ascii")
    file = tmp_path / "modelplane.yaml"
    file.write_text(yaml.safe_dump(registry().model_dump(mode="json", exclude_defaults=True)))
    refused = run("--registry", file, "--out", out)
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "own: compose.yaml: not written by modelplane" in refused.output
    assert "move them away, or name another folder with --out" in refused.output
    assert present(out) == {"compose.yaml": b"my: compose\n"}


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    receiver = {"type": "webhook", "url": "https://a.example", "credentials_file": "receivers/none"}
    declared = registry(("m",), {"id": "north", "receivers": [receiver]})
    tokens = tmp_path / "out" / "secrets" / TOKENS.path
    tokens.parent.mkdir(parents=True)
    tokens.write_text("{}", encoding="ascii")
    tokens.chmod(0o600)
    (tmp_path / "out" / "prometheus").write_text("a file", encoding="ascii")
    before = present(tmp_path)
    files = {**files_for(("m",)), "prometheus/rules/modelplane-x.yml": b"groups: [{name: a, "
             b"rules: [{alert: ModelX, expr: 'up =='}]}]"}  # fmt: skip
    with pytest.raises(BundleError) as refused:
        write_bundle(tmp_path / "out", files, declared, tmp_path)
    message = str(refused.value)
    for part in (
        "tenants[0].receivers[0].credentials_file: ",
        "prometheus: not written by modelplane",
        f"{TOKENS.path}: tokens",
        "modelplane-x.yml, group a, rule 1 (ModelX): is no PromQL",
    ):
        assert part in message
    assert present(tmp_path) == before


def test_what_a_version_without_a_manifest_wrote_is_taken_over(tmp_path: Path) -> None:
    write(tmp_path, "m", "gone")
    (tmp_path / MANIFEST).unlink()
    (tmp_path / "backend/modelplane.yaml").rename(tmp_path / "modelplane.yaml")
    theirs = tmp_path / "prometheus/rules/site-rules.yml"
    theirs.write_text("groups: []\n", encoding="ascii")
    flat = tmp_path / "secrets" / "receivers"
    flat.mkdir()
    (flat / "token").write_text("s3cret", encoding="ascii")
    write(tmp_path, "m")
    remaining = [path for path in present(tmp_path) if "gone" in path]
    assert remaining == []
    assert theirs.exists()
    assert (tmp_path / "modelplane.yaml").exists(), "it may be the registry that the bundle is made of"
    assert not (tmp_path / "secrets/receivers/token").exists()


def test_folders_of_others_without_a_manifest_are_not_taken_over(tmp_path: Path) -> None:
    """Without the tokens of a bundle nothing in a folder is one's file."""
    write(tmp_path / "a", "m", "gone")
    shutil.copytree(tmp_path / "a" / "prometheus", tmp_path / "b" / "prometheus")
    with pytest.raises(UserError, match=r"prometheus/rules/.*: not written by modelplane"):
        write(tmp_path / "b", "m", "new")


def test_a_board_that_somebody_put_in_the_place_of_one_of_ours_stays(tmp_path: Path) -> None:
    write(tmp_path, "m", "gone")
    board = tmp_path / "grafana/dashboards/models/mp-model-gone.json"
    board.write_text('{"uid": "theirs"}', encoding="ascii")
    write(tmp_path, "m")
    assert board.read_text(encoding="ascii") == '{"uid": "theirs"}'


def test_files_come_after_those_that_they_name_and_removals_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "m", "gone")
    steps: list[str] = []
    replace, unlink = Path.replace, Path.unlink

    def recorded_replace(path: Path, target: Path) -> Path:
        steps.append(target.relative_to(tmp_path).as_posix())
        return replace(path, target)

    def recorded_unlink(path: Path, missing_ok: bool = False) -> None:
        if path.exists():
            steps.append(f"- {path.relative_to(tmp_path).as_posix()}")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "replace", recorded_replace)
    monkeypatch.setattr(Path, "unlink", recorded_unlink)
    files = {path: content + b"\n" for path, content in files_for(("m", "new")).items()}
    write_bundle(tmp_path, files, registry(), tmp_path)
    renames = [step for step in steps if not step.startswith(("- ", "secrets"))]
    assert (renames[0], renames[-1]) == (MANIFEST, MANIFEST)
    position = {step: place for place, step in enumerate(steps)}
    for path in ("prometheus/targets/mp-model-new.json", "prometheus/rules/modelplane-rules.yml"):
        assert position[path] < position["prometheus/prometheus.yml"] < position["compose.yaml"]
    removals = [place for place, step in enumerate(steps) if step.startswith("- ")]
    assert len(removals) == 2  # the board and the targets of a model
    assert min(removals) > position["compose.yaml"]


def test_two_tenants_of_the_same_title_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """Grafana keeps one board of a title in a folder."""
    file = tmp_path / "modelplane.yaml"
    file.write_text(
        'apiVersion: modelplane/v1\ntenants: [{id: "b (a)"}, {id: a, name: b}]\n'
        "models: [{name: m, framework: jax, owner: o, tenants: [a], versions: [{version: v1}]}]\n"
    )
    refused = run("--registry", file, "--out", tmp_path / "out")
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "tenants[1].name: 'b (a)' occurs more than once" in refused.output
    assert not (tmp_path / "out").exists()


def test_a_plan_says_what_writing_does_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for models in (("m", "gone"), ("m", "new"), ("m", "new")):
        before = present(tmp_path)
        plan = plan_bundle(out, files_for(models), registry(models), tmp_path)
        assert present(tmp_path) == before
        assert write(out, *models) == plan
    assert plan.written == plan.removed == ()


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_changes_no_file(tmp_path: Path) -> None:
    write(tmp_path, "m")
    before = {path: content for path, content in present(tmp_path).items() if path != MANIFEST}
    with largest_file(20_000), pytest.raises(UserError, match=r": File too large; nothing was changed: mend"):
        write(tmp_path, "m", "new")
    after = {path: content for path, content in present(tmp_path).items() if path != MANIFEST}
    assert after == before
    write(tmp_path, "m", "new")
    assert plan_bundle(tmp_path, files_for(("m",)), registry(), tmp_path).removed != ()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda out: out.write_text("x"), "out: is a file; files of the bundle are written into a folder"),
        (lambda out: out.symlink_to("nowhere"), "out: is a link to nowhere, which does not exist"),
        (lambda out: out.symlink_to(__file__), "out: is a file"),
    ],
)
def test_an_output_folder_that_is_none(tmp_path: Path, make: Any, sentence: str) -> None:
    make(tmp_path / "out")
    with pytest.raises(UserError, match=sentence):
        write(tmp_path / "out", "m")


def test_a_link_to_a_folder_is_followed_and_one_inside_is_not(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere")
    write(tmp_path / "out", "m")
    assert (tmp_path / "elsewhere" / "compose.yaml").is_file()
    shutil.move(tmp_path / "elsewhere" / "prometheus", tmp_path / "prometheus")
    (tmp_path / "elsewhere" / "prometheus").symlink_to("../prometheus")
    with pytest.raises(UserError, match=r"out: prometheus.*: not written by modelplane"):
        write(tmp_path / "out", "m", "new")
    assert not (tmp_path / "prometheus/targets/mp-model-new.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(0o500)
    with pytest.raises(UserError, match=r"no file can be written there; nothing was changed"):
        write(tmp_path / "out", "m")


def test_a_bundle_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of root is not: root gives what it writes to the user of the containers."""
    write(tmp_path, "m")
    before = present(tmp_path)
    owner = (tmp_path / MANIFEST).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if owner:
        with pytest.raises(BundleError, match=f"of the user with the number {owner}, and you have 12345"):
            write(tmp_path, "m", "new")
        assert present(tmp_path) == before
    else:
        write(tmp_path, "m", "new")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    write(tmp_path, "m", "gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_bundle_that_was_given_away_is_refused_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "m")
    os.chown(tmp_path / MANIFEST, 54321, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(
        BundleError, match="is a bundle of the user with the number 54321, and you have 12345"
    ):
        write(tmp_path, "m", "new")


@pytest.mark.slow
def test_boards_of_tenants_and_models_stay_when_many_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``auto`` makes them up to a number; those that are there would be deleted beyond it."""
    monkeypatch.setattr("modelplane_dashboards.output.content.MOST_ENTITY_BOARDS", 2)
    file = tmp_path / "modelplane.yaml"
    for models in (("m",), ("m", "n"), ("n",)):
        file.write_text(dump_registry(registry(models)), encoding="utf-8")
        assert run("--registry", file, "--out", tmp_path / "out").exit_code == 0
        boards = {path.stem for path in (tmp_path / "out/grafana/dashboards/models").iterdir()}
        assert boards == {f"mp-model-{model}" for model in models}
    file.write_text(dump_registry(registry(("m", "n"))), encoding="utf-8")
    assert run("--registry", file, "--out", tmp_path / "large").exit_code == 0
    assert not (tmp_path / "large/grafana/dashboards/models").exists()


@pytest.mark.parametrize(
    "path", ["data/prometheus/wal/0", "../x", "/etc/passwd", f"secrets/{SECRETS[0].path}"]
)
def test_a_manifest_that_names_what_is_never_ours_is_refused(tmp_path: Path, path: str) -> None:
    write(tmp_path, "m")
    manifest = tmp_path / MANIFEST
    content = yaml.safe_load(manifest.read_text(encoding="ascii"))
    manifest.write_text(yaml.safe_dump({**content, "files": [path]}), encoding="ascii")
    with pytest.raises(UserError, match=f"{MANIFEST}: does not name the files of modelplane"):
        write(tmp_path, "m")


def test_the_manifest_names_all_files_but_the_secrets_that_are_made_once(tmp_path: Path) -> None:
    write(tmp_path, "m")
    named = set(yaml.safe_load((tmp_path / MANIFEST).read_text(encoding="ascii"))["files"])
    assert set(present(tmp_path)) - named == {MANIFEST, *(f"secrets/{secret.path}" for secret in SECRETS)}
    assert all(not PurePosixPath(path).is_absolute() for path in named)
