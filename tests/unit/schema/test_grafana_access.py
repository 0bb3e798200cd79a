"""The section ``grafana`` of the registry: who in a Grafana sees which tenants."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplane_schema.grafana_access import GrafanaAccess
from modelplane_schema.registry import RegistryError, dump_registry, parse_registry

EXAMPLE = (Path(__file__).parents[3] / "examples" / "modelplane.yaml").read_text(encoding="utf-8")
SECTION = """
grafana:
  issuer: https://grafana.example.org/
  organisations: {1: all, "2": [north-clinic]}
  roles: {2: {Admin: [north-clinic, south-clinic]}}
  users: {2: {"user:7": [vision-lab], "service-account:4": all}}
"""


def test_a_user_outweighs_a_role_and_a_role_an_organisation() -> None:
    access = parse_registry(EXAMPLE + SECTION).grafana
    assert access is not None
    assert access.tenants_of("1", "Viewer", "user:7") == "all"
    assert access.tenants_of("2", "Viewer", "user:3") == ("north-clinic",)
    assert access.tenants_of("2", "Admin", "user:3") == ("north-clinic", "south-clinic")
    assert access.tenants_of("2", "Admin", "user:7") == ("vision-lab",)
    assert access.tenants_of("2", "", "service-account:4") == "all"
    assert access.tenants_of("3", "Admin", "user:7") is None
    assert access.tenants_of("", "", "") is None


def test_the_section_survives_being_written() -> None:
    registry = parse_registry(EXAMPLE + SECTION)
    assert parse_registry(dump_registry(registry)) == registry


def test_without_the_section_a_registry_has_none() -> None:
    assert parse_registry(EXAMPLE).grafana is None
    assert "grafana:\n" not in dump_registry(parse_registry(EXAMPLE)).replace("  grafana:", "")


def test_the_issuer_keeps_the_slash_that_grafana_signs() -> None:
    for issuer in ("https://grafana.example.org/", "https://example.org/grafana", "http://[::1]:3000/"):
        assert GrafanaAccess(issuer=issuer, organisations={"1": "all"}).issuer == issuer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("[vision-lab]", "[vision-lib]"),
            r"grafana\.users\.2\.user:7: 'vision-lib' is not the id of a tenant",
        ),
        (('"2": [north', '"2": [nort'), r"grafana\.organisations\.2: 'nort-clinic' is not the id"),
        (("{Admin:", "{Owner:"), r"grafana\.roles.*Owner"),
        (("{1: all", "{1: some"), r"grafana\.organisations"),
        (("{1: all", "{true: all"), r"grafana\.organisations"),
        (("{1: all", "{0: all"), r"grafana\.organisations"),
        (('"user:7"', "ada"), r"grafana\.users\[2\]\.ada: the key must be the id .* such as user:17 or"),
        (('"user:7"', "ada@example.org"), r"grafana\.users\[2\]\.ada@example\.org: .* an e-mail address can"),
        (('"user:7"', '"user:7\\n"'), r"grafana\.users"),
        (("users:", "teams:"), r"grafana\.teams: cannot be mapped, because Grafana signs .* \(users\)"),
        (
            ("users:", "groups:"),
            r"grafana\.groups: is not a known key; allowed: .*organisations, roles, users",
        ),
        (("https://grafana", "https://ada:hunter2@grafana"), r"grafana\.issuer"),
        (("issuer", "issued"), r"grafana\.issuer"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: tuple[str, str], message: str) -> None:
    with pytest.raises(RegistryError, match=message) as refused:
        parse_registry(EXAMPLE + SECTION.replace(*change))
    assert "hunter2" not in str(refused.value)
