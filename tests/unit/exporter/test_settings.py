"""The exporter's environment variables: one table, its page, and names that are not in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter, settings

ROOT = Path(__file__).parents[3]
NAMES = [variable.name for variable in settings.VARIABLES]


@pytest.fixture(autouse=True)
def _nothing_was_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_warned", set())


@pytest.mark.parametrize(
    ("argument", "environ", "port"),
    [
        (None, {}, 8000),
        (9001, {"MODELPLANE_EXPORTER_PORT": "9002"}, 9001),
        (None, {"MODELPLANE_EXPORTER_PORT": "9002"}, 9002),
        (None, {"MODELPLANE_EXPORTER_PORT": "off"}, None),
        ("OFF", {}, None),
    ],
)
def test_port_comes_from_argument_environment_or_default(
    argument: int | str | None, environ: Mapping[str, str], port: int | None
) -> None:
    assert settings.port(argument, environ) == port


@pytest.mark.parametrize("value", ["http", "-1", "65536", "80.5", ""])
def test_a_port_that_is_none_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="MODELPLANE_EXPORTER_PORT must be a port"):
        settings.port(None, {"MODELPLANE_EXPORTER_PORT": value})


def test_the_variable_names_the_directory() -> None:
    name = settings.WORKERS_DIR.name
    assert settings.workers_directory({}) is None
    assert settings.workers_directory({name: ""}) is None
    assert settings.workers_directory({name: "/run/x"}) == Path("/run/x")


def test_every_variable_in_code_and_texts_is_in_the_table() -> None:
    code = (ROOT / "exporter").rglob("*.py")
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]
    for path in (*code, *texts):
        for name in re.findall(r"MODELPLANE_EXPORTER_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")):
            assert name in NAMES, f"{path} has {name}"


def test_the_page_lists_every_variable() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", settings.settings_page(), re.MULTILINE)
    assert rows == NAMES
    assert len(NAMES) == 9


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("MODELPLANE_EXPORTER_PROT", "MODELPLANE_EXPORTER_PORT"),
        ("MODELPLANE_EXPORTER_WORKER_DIR", "MODELPLANE_EXPORTER_WORKERS_DIR"),
        ("MODELPLANE_EXPORTER_PASSWORD", "MODELPLANE_EXPORTER_PASSWORD_FILE"),
        ("MODELPLANE_EXPORTER_tls_cert", "MODELPLANE_EXPORTER_TLS_CERT_FILE"),
    ],
)
def test_a_misspelt_variable_is_one_line_that_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, misspelt: str, nearest: str
) -> None:
    monkeypatch.setenv(misspelt, "x")
    for version in ("v1", "v2"):
        ModelMetricsExporter("m", version, "t", "jax", registry=CollectorRegistry())
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"{misspelt!r} is ignored: there is no such setting; did you mean {nearest}?")
    ]


def test_variables_of_the_table_and_of_others_are_no_reason_to_warn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        others = {"MODELPLANE_DATASOURCE_PORT": "1", "MODELPLANE_EXPORTER": "", "": ""}
        settings.warn_of_unknown_variables({**dict.fromkeys(NAMES, "x"), **others})
    assert caplog.records == []


def test_any_name_after_the_prefix_has_a_nearest_one(caplog: pytest.LogCaptureFixture) -> None:
    settings.warn_of_unknown_variables({settings.PREFIX: "", f"{settings.PREFIX}\udcff": ""})
    assert len(caplog.records) == 2
    assert all(any(name in record.getMessage() for name in NAMES) for record in caplog.records)
