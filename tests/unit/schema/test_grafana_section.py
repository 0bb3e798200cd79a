"""Organisations for tenants in the registry: what is refused, and what the token file has of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplane_schema.registry import RegistryError, dump_registry, parse_registry

EXAMPLE = (Path(__file__).parents[3] / "examples" / "modelplane.yaml").read_text(encoding="utf-8")
SECTION = """
grafana:
  issuer: https://grafana.example.org/
  organisations: {1: all}
  tenant_organisations:
    - {name: North clinic, tenants: [north-clinic], number: 2}
    - {name: Vision, tenants: [vision-lab]}
"""


def test_an_organisation_with_a_number_is_mapped_and_one_without_is_not() -> None:
    section = parse_registry(EXAMPLE + SECTION).grafana
    assert section
    assert section.access
    assert section.access.organisations == {"1": "all", "2": ("north-clinic",)}
    assert "tenant_organisations" not in section.access.model_dump()
    assert [each.uid for each in section.tenant_organisations] == [
        "mp-org-north-clinic-54e389",
        "mp-org-vision-c587c2",
    ]


def test_without_any_number_nobody_is_mapped() -> None:
    text = SECTION.replace("  organisations: {1: all}\n", "").replace(", number: 2", "")
    section = parse_registry(EXAMPLE + text).grafana
    assert section
    assert section.access is None


def test_the_section_survives_being_written() -> None:
    registry = parse_registry(EXAMPLE + SECTION + "  data_sources: {exemplars: {data_source: tempo}}\n")
    assert parse_registry(dump_registry(registry)) == registry


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[vision-lab]", "[vision-lib]"), r"tenant_organisations\[1\]\.tenants: 'vision-lib' is not the id"),
        (
            ("name: Vision", "name: North clinic"),
            r"\[1\]\.name: 'North clinic' occurs more",
        ),
        (("name: Vision", "name: Main Org."), r"\[1\]\.name: 'Main Org\.' is the operators' organisation"),
        (("number: 2", "number: 1"), r"\[0\]\.number: 1 is the operators' organisation"),
        (("{1: all}", "{1: all, 2: all}"), r"\[0\]\.number: 2 stands under organisations, too"),
        (("[vision-lab]}", "[vision-lab], number: 2}"), r"\[1\]\.number: '2' occurs more than once"),
        (("[vision-lab]", "[]"), r"tenant_organisations\[1\]\.tenants"),
        (("[vision-lab]", "all"), r"tenant_organisations\[1\]\.tenants"),
        (("number: 2", "number: two"), r"tenant_organisations\[0\]\.number"),
    ],
)
def test_what_cannot_be_is_refused(change: tuple[str, str], message: str) -> None:
    assert change[0] in SECTION
    with pytest.raises(RegistryError, match=message):
        parse_registry(EXAMPLE + SECTION.replace(*change))


def test_a_section_without_anybody_is_refused() -> None:
    with pytest.raises(RegistryError, match="tenant_organisations must name an organisation"):
        parse_registry(EXAMPLE + "\ngrafana: {issuer: 'https://grafana.example.org/'}\n")
