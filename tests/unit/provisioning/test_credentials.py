"""The bundle's secrets: least rights, kept when the bundle is written again, nobody else's touched."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from modelplane_datasource.settings import ConfigurationError
from modelplane_datasource.tenancy.tokens import hash_token, load_tokens
from modelplane_provisioning.credentials import (
    ALERTMANAGER,
    GRAFANA,
    GRAFANA_PASSWORD_FILE,
    HOLDERS,
    TOKENS_FILE,
    ensure_credentials,
)

CLINIC = {"name": "clinic", "role": "reader", "sha256": hash_token("c"), "tenants": ["north-clinic"]}


def read_tokens(folder: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((folder / TOKENS_FILE).read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in content["tokens"]}


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The secrets of a bundle that was written once."""
    ensure_credentials(tmp_path / "secrets")
    return tmp_path / "secrets"


def change_tokens(folder: Path, change: dict[str, Any]) -> None:
    """Replace entries and sections of the token file; entries are known by name."""
    content = json.loads((folder / TOKENS_FILE).read_text(encoding="utf-8"))
    names = {entry["name"] for entry in change.get("tokens", ())}
    unchanged = [entry for entry in content["tokens"] if entry["name"] not in names]
    content = {**content, **change, "tokens": unchanged + change.get("tokens", [])}
    (folder / TOKENS_FILE).write_text(json.dumps(content), encoding="utf-8")


def test_secrets_are_private_distinct_and_stay(folder: Path) -> None:
    before = read_all(folder)
    assert set(before) == {*(holder.file for holder in HOLDERS), TOKENS_FILE, GRAFANA_PASSWORD_FILE}
    assert len(set(before.values())) == len(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    ensure_credentials(folder)
    assert read_all(folder) == before


def test_the_backend_gets_hashes_with_the_least_role_that_does(folder: Path) -> None:
    text = (folder / TOKENS_FILE).read_text(encoding="utf-8")
    tokens = read_tokens(folder)
    for holder in HOLDERS:
        secret = (folder / holder.file).read_text(encoding="ascii")
        assert tokens[holder.name] == {"name": holder.name, "role": holder.role, "sha256": hash_token(secret)}
        assert secret not in text
    assert tokens[ALERTMANAGER.name]["role"] == "writer"
    assert tokens[GRAFANA.name]["role"] == "reader"


def test_a_bundle_of_before_gets_the_read_only_role_and_keeps_everything_else(folder: Path) -> None:
    secret = (folder / GRAFANA.file).read_text(encoding="ascii")
    identity = {"issuer": "http://grafana.example.org/", "organisations": {"1": "all", "2": ["north-clinic"]}}
    old = {"name": GRAFANA.name, "role": "admin", "sha256": hash_token(secret)}
    change_tokens(folder, {"tokens": [old, CLINIC], "grafana": identity})
    before = read_all(folder)
    ensure_credentials(folder)
    after = read_all(folder)
    assert {name for name in before if before[name] != after[name]} == {TOKENS_FILE}
    assert read_tokens(folder)[GRAFANA.name] == {**old, "role": "reader"}
    assert read_tokens(folder)["clinic"] == CLINIC
    assert json.loads(after[TOKENS_FILE])["grafana"] == identity
    assert {token.name for token in load_tokens(folder / TOKENS_FILE).tokens} >= {"clinic", GRAFANA.name}


def test_a_removed_token_is_made_anew_and_the_old_one_ends(folder: Path) -> None:
    old = (folder / GRAFANA.file).read_text(encoding="ascii")
    (folder / GRAFANA.file).unlink()
    ensure_credentials(folder)
    new = (folder / GRAFANA.file).read_text(encoding="ascii")
    hashes = {entry["sha256"] for entry in read_tokens(folder).values()}
    assert hash_token(new) in hashes
    assert hash_token(old) not in hashes


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tokens": [{**CLINIC, "role": "root"}]}, r"tokens\[4\]\.role: "),
        ({"tokens": [CLINIC, CLINIC]}, "name 'clinic' occurs 2 times"),
        ({"organisations": {}}, "organisations: "),
    ],
)
def test_a_token_file_that_is_not_valid_is_an_error_and_stays(
    folder: Path, change: dict[str, Any], problem: str
) -> None:
    change_tokens(folder, change)
    before = read_all(folder)
    with pytest.raises(ConfigurationError, match=problem):
        ensure_credentials(folder)
    assert read_all(folder) == before


def test_somebody_elses_entry_with_a_token_of_ours_is_an_error(folder: Path) -> None:
    """It would give the same token two roles; the backend would refuse the file."""
    secret = (folder / GRAFANA.file).read_text(encoding="ascii")
    renamed = {"name": "boards", "role": "admin", "sha256": hash_token(secret)}
    content = {"tokens": [renamed]}
    (folder / TOKENS_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"sha256 .* occurs 2 times"):
        ensure_credentials(folder)
    assert json.loads((folder / TOKENS_FILE).read_text(encoding="utf-8")) == content
