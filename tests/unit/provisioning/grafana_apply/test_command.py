"""``modelplane grafana apply`` as people type it: what is printed, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from modelplane_provisioning.cli import cli
from provisioning_support.grafana_double import serving
from provisioning_support.grafana_state import PASSWORD, GrafanaState
from provisioning_support.grafana_wanted import EXAMPLE, SECTION, registry


@pytest.fixture
def state() -> GrafanaState:
    return GrafanaState()


@pytest.fixture
def url(state: GrafanaState) -> Iterator[str]:
    with serving(state) as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registry, tokens and a password."""
    section = registry().grafana
    assert section
    (tmp_path / "modelplane.yaml").write_text(EXAMPLE + SECTION, encoding="utf-8")
    (tmp_path / "grafana-token").write_text("the-operators-secret", encoding="ascii")
    for organisation in section.tenant_organisations:
        (tmp_path / organisation.token_file).write_text("the-clinics-secret", encoding="ascii")
    (tmp_path / "password").write_text(PASSWORD, encoding="ascii")
    return tmp_path


def apply(folder: Path, url: str, *options: str) -> Result:
    arguments = [
        "grafana", "apply", "--registry", str(folder / "modelplane.yaml"), "--grafana", f"{url}/",
        "--secrets", str(folder), "--no-boards", *options,
    ]  # fmt: skip
    return CliRunner().invoke(cli, arguments)


def as_admin(folder: Path) -> tuple[str, ...]:
    return "--admin-password-file", str(folder / "password"), "--backend-url", "http://backend:8090/"


@pytest.mark.slow
def test_the_changes_are_printed_and_then_that_there_are_none(url: str, folder: Path) -> None:
    would = apply(folder, url, *as_admin(folder), "--dry-run")
    assert would.output.endswith(f"{url}: 6 changes to make, none made\n"), would.output
    made = apply(folder, url, *as_admin(folder))
    assert made.output.splitlines()[:2] == [
        "~ operators: update app 'modelplane-monitoring-app' (it is not enabled here)",
        "+ operators: create data source 'Modelplane'",
    ]
    assert "Clinics: Grafana gave it the number 2; write `number: 2` into the registry" in made.output
    assert made.output.endswith(f"{url}: 6 changes made\n")
    again = apply(folder, url, *as_admin(folder))
    assert again.output.endswith(f"{url}: nothing to change\n")
    assert (would.exit_code, made.exit_code, again.exit_code) == (0, 0, 0)
    assert "secret" not in would.output + made.output + again.output


def test_json_has_the_same(url: str, folder: Path) -> None:
    made = apply(folder, url, *as_admin(folder), "--json")
    document = json.loads(made.output)
    assert (document["changed"], document["left"], document["dry_run"]) == (6, 0, False)
    assert document["organisations"] == {"operators": "1", "Clinics": "2"}
    assert document["changes"][1] == {
        "organisation": "operators", "action": "create", "kind": "data source", "name": "Modelplane",
        "note": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "pass --backend-url"),
        (("--backend-url", "http://backend:8090"), "pass --token-file, --admin-password-file, or both"),
        (("--backend-url", "http://backend", "--boards-token-file", "x"), "which --no-boards leaves out"),
        (("--backend-url", "backend:8090"), "must be an address such as http://backend:8090"),
        (("--backend-url", "http://user:secret@backend"), "must not hold a login"),
    ],
)
def test_options_that_do_not_suffice_are_said(
    options: tuple[str, ...], sentence: str, url: str, folder: Path
) -> None:
    result = apply(folder, url, *options)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


def test_a_token_that_is_missing_says_what_makes_it(url: str, folder: Path, state: GrafanaState) -> None:
    next(folder.glob("mp-org-*")).unlink()
    result = apply(folder, url, *as_admin(folder))
    assert result.exit_code == 1
    assert "FileNotFoundError" in result.output
    assert "modelplane bundle" in result.output
    assert state.requests == []


@pytest.mark.parametrize(
    ("section", "options", "sentence"),
    [
        (SECTION, (), "pass --admin-password-file: the server admin alone enters every organisation"),
        ("", ("--admin-password-file", "password"), "the registry has no organisation of tenants"),
        (SECTION, ("--listen", "9999"), "must be HOST:PORT, such as 127.0.0.1:0"),
        (SECTION, ("--listen", "localhost:70000"), "must be HOST:PORT"),
    ],
)
def test_a_proof_says_what_it_lacks(
    section: str, options: tuple[str, ...], sentence: str, url: str, folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    (folder / "modelplane.yaml").write_text(EXAMPLE + section, encoding="utf-8")
    result = CliRunner().invoke(cli, ["grafana", "prove", "--grafana", url, *options])
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())
