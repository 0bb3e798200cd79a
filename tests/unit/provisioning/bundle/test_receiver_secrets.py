"""Secrets of receivers: read before anything is written, private, and apart from the plane's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelplane_provisioning.bundle.credentials import SECRETS
from modelplane_provisioning.bundle.registry_files import RegistryFileError, registry_files
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.compose.containers import container_files
from modelplane_schema.owned_files import OwnedFilesError
from modelplane_schema.registry import Registry, parse_registry

EXAMPLE = Path(__file__).parents[4] / "examples" / "modelplane.yaml"


def registry(*receivers: dict[str, Any], **platform: Any) -> Registry:
    """The example, whose first tenant has the receivers."""
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    content["tenants"][0]["receivers"] = list(receivers)
    return parse_registry(yaml.safe_dump({**content, "platform": platform}))


def webhook(path: str, field: str = "credentials_file") -> dict[str, Any]:
    address = {} if field == "url_file" else {"url": "https://hooks.example.org"}
    return {"type": "webhook", **address, field: f"receivers/{path}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registry's folder with one secret."""
    (tmp_path / "registry" / "receivers" / "clinic").mkdir(parents=True)
    (tmp_path / "registry" / "receivers" / "clinic" / "token").write_text(" s3cret\n", encoding="ascii")
    return tmp_path / "registry"


def bundle(out: Path, declared: Registry, folder: Path) -> None:
    write_bundle(out, container_files(declared, "1:1"), declared, folder)


@pytest.mark.slow
def test_a_secret_is_copied_privately_without_the_white_space_around_it(folder: Path, tmp_path: Path) -> None:
    """Alertmanager 0.25 sends a line's end as a part of some secrets."""
    out = tmp_path / "out"
    bundle(out, registry(webhook("clinic/token")), folder)
    copied = out / "secrets" / "alertmanager" / "receivers" / "clinic" / "token"
    assert copied.read_bytes() == b"s3cret"
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "secrets").stat().st_mode) == 0o700
    config = (out / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    assert "credentials_file: /run/secrets/receivers/clinic/token" in config
    assert "s3cret" not in config


@pytest.mark.slow
def test_a_changed_secret_replaces_its_copy_and_what_no_receiver_names_goes(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "receivers" / "other").write_text("other", encoding="ascii")
    out = tmp_path / "out"
    bundle(out, registry(webhook("clinic/token"), webhook("other")), folder)
    (folder / "receivers" / "clinic" / "token").write_text("n3w", encoding="ascii")
    bundle(out, registry(webhook("clinic/token")), folder)
    copies = out / "secrets" / "alertmanager" / "receivers"
    assert [path.name for path in copies.rglob("*") if path.is_file()] == ["token"]
    assert (copies / "clinic" / "token").read_bytes() == b"n3w"


@pytest.mark.slow
def test_names_of_the_planes_own_secrets_below_receivers_change_none_of_them(
    folder: Path, tmp_path: Path
) -> None:
    names = [secret.file for secret in SECRETS]
    for name in names:
        (folder / "receivers" / name).write_text("s3cret", encoding="ascii")
    out = tmp_path / "out"
    bundle(out, registry(), folder)
    before = {secret: (out / "secrets" / secret.path).read_bytes() for secret in SECRETS}
    bundle(out, registry(*map(webhook, names)), folder)
    assert {secret: (out / "secrets" / secret.path).read_bytes() for secret in SECRETS} == before


def test_alertmanagers_container_has_the_secrets_of_receivers_and_its_own_token_alone(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bundle(out, registry(webhook("clinic/token")), folder)
    compose = yaml.safe_load((out / "compose.yaml").read_text(encoding="utf-8"))
    volumes = compose["services"]["alertmanager"]["volumes"]
    mounted = {volume["source"]: volume["target"] for volume in volumes if "secrets" in volume["source"]}
    assert mounted == {"./secrets/alertmanager": "/run/secrets"}
    files = {path.name for path in (out / "secrets" / "alertmanager").rglob("*") if path.is_file()}
    assert files == {"alertmanager-token", "token"}


@pytest.mark.slow
def test_all_secrets_that_cannot_be_used_are_told_at_once_and_nothing_is_written(
    folder: Path, tmp_path: Path
) -> None:
    receivers = folder / "receivers"
    contents = {"empty": b" \n", "two-lines": b"a\nb", "binary": b"\xff\xfe", "long": b"x" * 9000,
                "no-url": b"s3cret", "marked": "\ufeffs3cret".encode()}  # fmt: skip
    for name, content in contents.items():
        (receivers / name).write_bytes(content)
    (receivers / "loop").symlink_to("loop")
    (receivers / "gone").symlink_to("nowhere")
    os.mkfifo(receivers / "pipe")
    names = ["none", "clinic", "empty", "two-lines", "binary", "long", "marked", "loop", "gone", "pipe"]
    declared = registry(
        *map(webhook, names),
        webhook("no-url", "url_file"),
        {"type": "teams", "webhook_url_file": "receivers/clinic/token"},
        smtp={"smarthost": "m:25", "from": "a@b.c", "username": "u", "password_file": "receivers/none"},
        dead_mans_switch={"url": "https://watch.example.org", "credentials_file": "receivers/none"},
    )  # fmt: skip
    with pytest.raises(RegistryFileError) as refused:
        bundle(tmp_path / "out", declared, folder)
    absent = "cannot be read: No such file or directory; create it with the secret in it"
    one_line = "must hold one line of at most 8192 bytes"
    place, url = "tenants[0].receivers", "must hold a URL that starts with http:// or https://"
    assert str(refused.value).splitlines() == [
        f"platform.smtp.password_file: {receivers}/none: {absent}",
        f"platform.dead_mans_switch.credentials_file: {receivers}/none: {absent}",
        f"{place}[0].credentials_file: {receivers}/none: {absent}",
        f"{place}[1].credentials_file: {receivers}/clinic: is not a file",
        f"{place}[2].credentials_file: {receivers}/empty: is empty; write the secret into it",
        f"{place}[3].credentials_file: {receivers}/two-lines: {one_line}",
        f"{place}[4].credentials_file: {receivers}/binary: is not UTF-8 text",
        f"{place}[5].credentials_file: {receivers}/long: {one_line}",
        f"{place}[6].credentials_file: {receivers}/marked: {one_line}",
        f"{place}[7].credentials_file: {receivers}/loop: cannot be read: "
        "Too many levels of symbolic links; create it with the secret in it",
        f"{place}[8].credentials_file: {receivers}/gone: {absent}",
        f"{place}[9].credentials_file: {receivers}/pipe: is not a file",
        f"{place}[10].url_file: {receivers}/no-url: {url}",
        f"{place}[11].webhook_url_file: {receivers}/clinic/token: {url}",
    ]
    assert "s3cret" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_bundle_in_use_stays_as_it_is_when_a_secret_is_missing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bundle(out, registry(webhook("clinic/token")), folder)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(RegistryFileError):
        bundle(out, registry(webhook("none")), folder)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_file_in_the_place_of_the_folder_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "secrets" / "alertmanager").mkdir(parents=True)
    (tmp_path / "out" / "secrets" / "alertmanager" / "receivers").write_text("", encoding="ascii")
    with pytest.raises(OwnedFilesError, match=r"alertmanager/receivers: not written by modelplane"):
        bundle(tmp_path / "out", registry(webhook("clinic/token")), folder)


def test_several_receivers_may_share_a_secret(folder: Path) -> None:
    shared = registry(webhook("clinic/token"), webhook("clinic/token"))
    assert registry_files(shared, folder) == {"receivers/clinic/token": b"s3cret"}
