"""A watched file is read again when it changes, and what is wrong with it changes nothing."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelplane_datasource.configuration.watched_file import WatchedFile
from modelplane_datasource.settings import ConfigurationError, Settings


def number(content: bytes, source: str) -> int:
    try:
        return int(content)
    except ValueError:
        raise ConfigurationError(f"{source}: is no number") from None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "number").write_text("1")
    return tmp_path / "number"


def replaced(path: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.write_text("2")
    os.replace(fresh, path)


def swapped_link(path: Path) -> None:
    """As Kubernetes changes the files of a ConfigMap: a link to a folder is replaced."""
    link = path.with_name("..data.new")
    link.symlink_to("two")
    os.replace(link, path.with_name("..data"))


def test_the_content_is_at_most_a_second_late(path: Path) -> None:
    now = [0.0]
    file = WatchedFile("number", path, number, lambda: now[0])
    assert (file.content, file.state) == (1, (hashlib.sha256(b"1").hexdigest(), True))
    replaced(path)
    assert file.content == 1, "it was looked at just now"
    now[0] += 1
    assert (file.content, file.state) == (2, (hashlib.sha256(b"2").hexdigest(), True))


def test_the_file_of_a_config_map_is_read_behind_its_link(tmp_path: Path) -> None:
    for name, text in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(text)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "number").symlink_to("..data/number")
    now = [0.0]
    file = WatchedFile("number", tmp_path / "number", number, lambda: now[0])
    swapped_link(tmp_path / "number")
    now[0] += 1
    assert file.content == 2


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("x")])
def test_a_file_that_became_invalid_is_not_used(
    path: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    file = WatchedFile("number", path, number, lambda: now[0])
    spoil(path)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            now[0] += 1
            assert (file.content, file.state[1]) == (1, False)
    assert len(caplog.records) == 1, "it is said once"
    path.write_text("3")
    now[0] += 1
    assert (file.content, file.state[1]) == (3, True)


def test_a_file_that_cannot_be_used_at_first_is_an_error(path: Path) -> None:
    path.write_text("x")
    with pytest.raises(ConfigurationError, match="number: is no number"):
        WatchedFile("number", path, number)
    with pytest.raises(ConfigurationError, match="absent: the number cannot be read: No such file"):
        WatchedFile("number", path.with_name("absent"), number)


REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: %s}]
models: [{name: m, framework: jax, owner: o, tenants: [%s], versions: [{version: v}]}]
"""


def test_the_backend_serves_the_registry_that_its_file_has_now(tmp_path: Path) -> None:
    from modelplane_datasource.app import create_app

    registry = tmp_path / "modelplane.yaml"
    registry.write_text(REGISTRY % ("north", "north"))
    settings = Settings(database_url=f"sqlite:///{tmp_path}/db", registry_file=registry)
    app = create_app(settings)
    context = app.extensions["modelplane"]
    client = app.test_client()

    def digest() -> str:
        return f'sha256="{hashlib.sha256(registry.read_bytes()).hexdigest()}"'

    assert digest() in client.get("/metrics").text
    registry.write_text(REGISTRY % ("south", "south"))
    context.registry_file._next_look = 0
    assert [tenant.id for tenant in context.registry.tenants] == ["south"]
    assert digest() in client.get("/metrics").text
    registry.write_bytes(b"\xff")
    context.registry_file._next_look = 0
    metrics = client.get("/metrics").text
    assert 'config_last_reload_successful{file="registry"} 0.0' in metrics
    assert [tenant.id for tenant in context.registry.tenants] == ["south"]
    context.close()
