"""The bundle's secrets: least rights, kept when the bundle is written again, nobody else's touched."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelplane_datasource.settings import ConfigurationError
from modelplane_datasource.tenancy.tokens import hash_token, load_tokens
from modelplane_provisioning.bundle.credentials import (
    ALERTMANAGER,
    GRAFANA,
    GRAFANA_DEFAULT_SECRET_KEY,
    GRAFANA_SECRET_KEY,
    HOLDERS,
    OPERATOR,
    PARTS,
    RECEIVERS,
    SECRETS,
    TOKENS,
    CredentialError,
    GrafanaTrust,
    check_credentials,
    ensure_credentials,
)
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.compose.containers import container_files
from modelplane_schema.grafana_section import TenantOrganisation
from modelplane_schema.registry import parse_registry

EXAMPLE = Path(__file__).parents[4] / "examples" / "modelplane.yaml"
CLINIC = {"name": "clinic", "role": "reader", "sha256": hash_token("c"), "tenants": ["north-clinic"]}


def read_tokens(folder: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((folder / TOKENS.path).read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in content["tokens"]}


def read_all(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The secrets of a bundle that was written once."""
    ensure_credentials(tmp_path / "secrets")
    return tmp_path / "secrets"


def change_tokens(folder: Path, change: dict[str, Any]) -> None:
    """Replace entries and sections of the token file; entries are known by name."""
    content = json.loads((folder / TOKENS.path).read_text(encoding="utf-8"))
    names = {entry["name"] for entry in change.get("tokens", ())}
    unchanged = [entry for entry in content["tokens"] if entry["name"] not in names]
    content = {**content, **change, "tokens": unchanged + change.get("tokens", [])}
    (folder / TOKENS.path).write_text(json.dumps(content), encoding="utf-8")


def test_secrets_are_private_distinct_and_stay(folder: Path) -> None:
    before = read_all(folder)
    assert set(before) == {
        "alertmanager/alertmanager-token", "backend/tokens.json", "grafana/grafana-admin-password",
        "grafana/grafana-secret-key", "grafana/grafana-token", "operator/operator-token",
        "prometheus/prometheus-token",
    }  # fmt: skip
    assert len(set(before.values())) == len(before)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    ensure_credentials(folder)
    assert read_all(folder) == before


def test_the_backend_gets_hashes_with_the_least_role_that_does(folder: Path) -> None:
    text = (folder / TOKENS.path).read_text(encoding="utf-8")
    tokens = read_tokens(folder)
    for holder in HOLDERS:
        secret = (folder / holder.secret.path).read_text(encoding="ascii")
        assert tokens[holder.name] == {"name": holder.name, "role": holder.role, "sha256": hash_token(secret)}
        assert secret not in text
    assert tokens[ALERTMANAGER.name]["role"] == "writer"
    assert tokens[GRAFANA.name]["role"] == "reader"


def test_a_bundle_of_before_gets_the_read_only_role_and_keeps_everything_else(folder: Path) -> None:
    secret = (folder / GRAFANA.secret.path).read_text(encoding="ascii")
    identity = {"issuer": "http://grafana.example.org/", "organisations": {"1": "all", "2": ["north-clinic"]}}
    old = {"name": GRAFANA.name, "role": "admin", "sha256": hash_token(secret)}
    change_tokens(folder, {"tokens": [old, CLINIC], "grafana": identity})
    before = read_all(folder)
    ensure_credentials(folder)
    after = read_all(folder)
    assert {name for name in before if before[name] != after[name]} == {TOKENS.path}
    assert read_tokens(folder)[GRAFANA.name] == {**old, "role": "reader"}
    assert read_tokens(folder)["clinic"] == CLINIC
    assert json.loads(after[TOKENS.path])["grafana"] == identity
    assert {token.name for token in load_tokens(folder / TOKENS.path).tokens} >= {"clinic", GRAFANA.name}


def test_a_removed_token_is_made_anew_and_the_old_one_ends(folder: Path) -> None:
    old = (folder / GRAFANA.secret.path).read_text(encoding="ascii")
    (folder / GRAFANA.secret.path).unlink()
    ensure_credentials(folder)
    new = (folder / GRAFANA.secret.path).read_text(encoding="ascii")
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
    secret = (folder / GRAFANA.secret.path).read_text(encoding="ascii")
    renamed = {"name": "boards", "role": "admin", "sha256": hash_token(secret)}
    content = {"tokens": [renamed]}
    (folder / TOKENS.path).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"sha256 .* occurs 2 times"):
        ensure_credentials(folder)
    assert json.loads((folder / TOKENS.path).read_text(encoding="utf-8")) == content


def flatten(folder: Path) -> dict[str, bytes]:
    """The secrets as an earlier version left them: all in one folder. Returns what each part's folder had."""
    before = read_all(folder)
    for secret in SECRETS:
        (folder / secret.path).rename(folder / secret.file)
    for part in PARTS:
        (folder / part).rmdir()
    (folder / "receivers").mkdir()
    (folder / "receivers" / "clinic").write_bytes(b"s3cret")
    return before


@pytest.mark.parametrize("moved_before", [0, 1, len(SECRETS)])
def test_an_earlier_bundles_secrets_move_with_their_values(folder: Path, moved_before: int) -> None:
    """Also when a run was killed after it had moved some of them."""
    before = flatten(folder)
    inode = (folder / "receivers").stat().st_ino
    for secret in SECRETS[:moved_before]:
        (folder / secret.part).mkdir(exist_ok=True)
        (folder / secret.file).rename(folder / secret.path)
    ensure_credentials(folder)
    assert read_all(folder) == {**before, "alertmanager/receivers/clinic": b"s3cret"}
    assert (folder / RECEIVERS).stat().st_ino == inode, (
        "a container that has mounted the folder goes on seeing it"
    )


@pytest.mark.slow
def test_a_bundle_takes_an_earlier_one_over_at_the_first_run(tmp_path: Path) -> None:
    """Also the copies of receivers' secrets: those that nobody names any more go."""
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    receiver = {"type": "webhook", "url": "https://h.example.org", "credentials_file": "receivers/clinic"}
    content["tenants"][0]["receivers"] = [receiver]
    registry = parse_registry(yaml.safe_dump(content))
    (tmp_path / "receivers").mkdir()
    (tmp_path / "receivers" / "clinic").write_text("s3cret", encoding="ascii")
    ensure_credentials(tmp_path / "out" / "secrets")
    before = flatten(tmp_path / "out" / "secrets")
    (tmp_path / "out" / "secrets" / "receivers" / "gone").write_text("old", encoding="ascii")
    write_bundle(tmp_path / "out", container_files(registry, "1:1"), registry, tmp_path)
    assert read_all(tmp_path / "out" / "secrets") == {**before, "alertmanager/receivers/clinic": b"s3cret"}


@pytest.mark.slow
def test_a_grafana_keeps_the_key_with_which_it_has_stored_secrets(tmp_path: Path) -> None:
    """One that ran when bundles had no key goes on with Grafana's default; any other has its own."""
    registry = parse_registry(EXAMPLE.read_text(encoding="utf-8"))
    files = container_files(registry, "1:1")

    def key_of(out: Path) -> str:
        write_bundle(out, files, registry, tmp_path)
        return (out / "secrets" / GRAFANA_SECRET_KEY.path).read_text(encoding="ascii")

    def store(out: Path) -> None:
        (out / "data" / "grafana").mkdir(parents=True)
        (out / "data" / "grafana" / "grafana.db").touch()

    new, earlier = tmp_path / "new", tmp_path / "earlier"
    key = key_of(new)
    assert key != GRAFANA_DEFAULT_SECRET_KEY
    store(new)
    assert key_of(new) == key
    store(earlier)
    assert key_of(earlier) == key_of(earlier) == GRAFANA_DEFAULT_SECRET_KEY


def test_tokens_that_were_added_to_an_earlier_bundle_go_on_working(folder: Path) -> None:
    change_tokens(folder, {"tokens": [CLINIC]})
    flatten(folder)
    ensure_credentials(folder)
    assert read_tokens(folder)["clinic"] == CLINIC


def test_a_secret_in_its_own_folder_outweighs_a_stray_one_of_the_same_name(folder: Path) -> None:
    (folder / OPERATOR.file).write_text("stray", encoding="ascii")
    (folder / OPERATOR.file).chmod(0o644)
    before = read_all(folder)
    ensure_credentials(folder)
    assert read_all(folder) == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_secrets_that_others_may_use_are_refused_all_at_once(folder: Path, mode: int) -> None:
    wide = [folder / OPERATOR.secret.path, folder / GRAFANA.secret.path]
    for path in wide:
        path.chmod(mode)
    before = read_all(folder)
    for act in (check_credentials, ensure_credentials):
        with pytest.raises(CredentialError) as refused:
            act(folder)
        lines = {f"{path}: others may use it (mode {mode:04o}); run: chmod 600 {path}" for path in wide}
        assert set(str(refused.value).splitlines()) == lines
    assert read_all(folder) == before
    assert stat.S_IMODE(wide[0].stat().st_mode) == mode


def test_an_earlier_bundles_secret_that_others_may_use_is_refused_where_it_lies(folder: Path) -> None:
    flatten(folder)
    (folder / TOKENS.file).chmod(0o644)
    before = read_all(folder)
    with pytest.raises(CredentialError, match=rf"chmod 600 {folder}/tokens\.json$"):
        ensure_credentials(folder)
    assert read_all(folder) == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "is empty; remove it"), (b" \n", "is empty"), (b"\xff", "is not ASCII text")],
)
def test_a_file_without_a_secret_is_refused_and_not_quoted(
    folder: Path, content: bytes, problem: str
) -> None:
    """An empty token would be everybody's."""
    (folder / OPERATOR.secret.path).write_bytes(content)
    with pytest.raises(CredentialError, match=f"operator-token: {problem}"):
        ensure_credentials(folder)
    assert (folder / OPERATOR.secret.path).read_bytes() == content


def test_secrets_of_somebody_else_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, who runs these tests here, may read everything."""
    path, read_bytes = folder / OPERATOR.secret.path, Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    sentence = f"{path}: cannot be read: Permission denied; run this as the user who owns it"
    with pytest.raises(CredentialError, match=f"^{sentence}$"):
        ensure_credentials(folder)


def test_what_stands_in_the_place_of_a_folder_or_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "backend").write_text("", encoding="ascii")
    (tmp_path / OPERATOR.secret.path).mkdir(parents=True)
    with pytest.raises(CredentialError) as refused:
        ensure_credentials(tmp_path)
    assert str(refused.value).splitlines() == [
        f"{tmp_path}/backend: must be a folder; move away what is there",
        f"{tmp_path}/operator/operator-token: must be a file that holds a secret; move away what is there",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backend", "operator"]


def test_wide_folders_are_closed(folder: Path) -> None:
    for path in (folder, folder / OPERATOR.secret.part):
        path.chmod(0o755)
    ensure_credentials(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((folder / "operator").stat().st_mode) == 0o700


CLINICS = TenantOrganisation(name="Clinics", tenants=("north-clinic", "south-clinic"))


@pytest.mark.parametrize(("sends_identity", "role"), [(True, "tenant"), (False, "reader")])
def test_an_organisation_of_tenants_has_a_token_that_sees_them_alone(
    folder: Path, sends_identity: bool, role: str
) -> None:
    """Without an identity, as behind Infinity, a viewer could write with a token that may."""
    trust = GrafanaTrust(sends_identity=sends_identity, organisations=(CLINICS,))
    ensure_credentials(folder, trust)
    secret = (folder / "grafana" / CLINICS.token_file).read_text(encoding="ascii")
    assert read_tokens(folder)[CLINICS.uid] == {
        "name": CLINICS.uid, "role": role, "sha256": hash_token(secret),
        "tenants": ["north-clinic", "south-clinic"],
    }  # fmt: skip
    before = read_all(folder)
    ensure_credentials(folder, trust)
    assert read_all(folder) == before


def test_an_organisation_that_is_declared_no_more_loses_its_token(folder: Path) -> None:
    ensure_credentials(folder, GrafanaTrust(organisations=(CLINICS,)))
    change_tokens(folder, {"tokens": [CLINIC]})
    ensure_credentials(folder)
    assert "clinic" in read_tokens(folder)
    assert CLINICS.uid not in read_tokens(folder)


def test_a_token_of_an_organisation_that_others_can_read_is_refused(folder: Path) -> None:
    trust = GrafanaTrust(organisations=(CLINICS,))
    ensure_credentials(folder, trust)
    (folder / "grafana" / CLINICS.token_file).chmod(0o644)
    with pytest.raises(CredentialError, match=f"{CLINICS.token_file}: others may use it"):
        check_credentials(folder, trust)
