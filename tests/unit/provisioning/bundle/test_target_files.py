"""Files that targets name: read and checked before anything is written, copied for Prometheus alone."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from modelplane_provisioning.bundle.registry_files import RegistryFileError, registry_files
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_schema.registry import Registry, parse_registry

BASIC = {"username": "prometheus", "password_file": "targets/password"}
TLS = {"ca_file": "targets/ca.pem", "cert_file": "targets/cert.pem", "key_file": "targets/key.pem"}


def registry(**settings: Any) -> Registry:
    targets = {"hosts": ["a:1"], "scheme": "https", **settings}
    model = {"name": "m", "framework": "pytorch", "owner": "vision", "tenants": ["a"], "targets": targets,
             "versions": [{"version": "v1"}]}  # fmt: skip
    content = {"apiVersion": "modelplane/v1", "tenants": [{"id": "a"}], "models": [model]}
    return parse_registry(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(authority: trustme.CA, tmp_path: Path) -> Path:
    """A registry's folder with all that its targets name."""
    targets = tmp_path / "registry" / "targets"
    targets.mkdir(parents=True)
    client = authority.issue_cert("prometheus.example.org")
    authority.cert_pem.write_to_path(str(targets / "ca.pem"))
    client.private_key_pem.write_to_path(str(targets / "key.pem"))
    client.cert_chain_pems[0].write_to_path(str(targets / "cert.pem"))
    (targets / "password").write_text(" s3cret\n", encoding="ascii")
    (targets / "kubeconfig").write_text("clusters: []\n", encoding="ascii")
    return tmp_path / "registry"


def refusal(declared: Registry, folder: Path) -> list[str]:
    with pytest.raises(RegistryFileError) as refused:
        registry_files(declared, folder)
    assert "s3cret" not in str(refused.value)
    return str(refused.value).splitlines()


def test_all_files_are_read(folder: Path) -> None:
    contents = registry_files(registry(basic_auth=BASIC, tls=TLS), folder)
    assert contents.keys() == {"targets/password", *TLS.values()}
    assert contents["targets/password"] == b"s3cret"
    assert contents["targets/ca.pem"].startswith(b"-----BEGIN CERTIFICATE-----")


def test_copies_are_private_and_go_when_no_target_names_them(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_bundle(out, {}, registry(basic_auth=BASIC, tls=TLS), folder)
    copies = {path.name: path for path in out.glob("secrets/**/targets/*")}
    assert copies.keys() == {"password", "ca.pem", "cert.pem", "key.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in copies.values()} == {0o600}
    write_bundle(out, {}, registry(basic_auth=BASIC), folder)
    assert [path.name for path in copies.values() if path.exists()] == ["password"]


def test_what_cannot_be_used_is_said_at_once_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    targets = folder / "targets"
    (targets / "password").write_text("s3cret\ns3cret", encoding="ascii")
    (targets / "ca.pem").write_text("s3cret", encoding="ascii")
    (targets / "key.pem").unlink()
    declared = registry(basic_auth=BASIC, tls=TLS)
    assert refusal(declared, folder) == [
        f"models[0].targets.basic_auth.password_file: {targets}/password: "
        "must hold one line of at most 8192 bytes",
        f"models[0].targets.tls.ca_file: {targets}/ca.pem: must hold PEM",
        f"models[0].targets.tls.key_file: {targets}/key.pem: cannot be read: No such file or directory; "
        "create it with the secret in it",
    ]
    with pytest.raises(RegistryFileError):
        write_bundle(tmp_path / "out", {}, declared, folder)
    assert not (tmp_path / "out").exists()


def test_a_key_of_another_certificate_is_refused(folder: Path, authority: trustme.CA) -> None:
    key = folder / "targets" / "key.pem"
    authority.issue_cert("other.example.org").private_key_pem.write_to_path(str(key))
    assert refusal(registry(tls=TLS), folder) == [
        f"models[0].targets.tls.key_file: {key}: does not hold the key of cert_file, without a password"
    ]


def test_a_key_in_the_place_of_an_authority_is_refused(folder: Path) -> None:
    declared = registry(tls={"ca_file": "targets/key.pem"})
    assert refusal(declared, folder) == [
        f"models[0].targets.tls.ca_file: {folder}/targets/key.pem: holds no certificate of an authority"
    ]


@pytest.mark.parametrize("content", ["{", "- a", "a: b"])
def test_a_kubeconfig_must_be_one(folder: Path, content: str) -> None:
    way = {"label_selector": "app=a", "port": "metrics", "kubeconfig_file": "targets/kubeconfig"}
    declared = registry(hosts=[], discovery={"kubernetes": way})
    assert registry_files(declared, folder).keys() == {"targets/kubeconfig"}
    path = folder / "targets" / "kubeconfig"
    path.write_text(content, encoding="ascii")
    assert refusal(declared, folder) == [
        f"models[0].targets.discovery.kubernetes.kubeconfig_file: {path}: "
        "must hold a kubeconfig with its clusters"
    ]
