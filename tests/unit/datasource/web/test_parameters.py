"""Parameters: which values are read, and that those of tenants need permission."""

from __future__ import annotations

import pytest

from datasource_support.callers import called_by, called_by_operator
from modelplane_datasource.errors import ApiError
from modelplane_datasource.web.parameters import Parameter, TenantParameter, label_text, whole_number

TENANT = TenantParameter("tenant-id", "Tenant.", "the id of a tenant", label_text)
TENANTS = TenantParameter(
    "tenant-id", "Tenants.", "the id of a tenant, repeatable", label_text, repeated=True
)
LIMIT = Parameter("limit", "Limit.", "a whole number from 1 to 9", whole_number(1, 9), default="5")


@pytest.mark.parametrize("parameter", [TENANT, TENANTS], ids=["single", "repeated"])
def test_no_way_of_reading_a_tenant_gives_another_ones(parameter: TenantParameter) -> None:
    for read in (parameter.read_all, parameter.read_one, parameter.read):
        with called_by("a", "b"), pytest.raises(ApiError) as refused:
            read({"tenant-id": ["c"]})
        assert (refused.value.status, refused.value.error) == (403, "forbidden")
        with called_by("a"):
            assert read({"tenant-id": ["a"]}) in ("a", ("a",))


def test_a_caller_who_names_no_tenant_means_their_own() -> None:
    with called_by("a", "b"):
        assert TENANTS.read_all({}) == ("a", "b")
        with pytest.raises(ApiError, match="tenant-id stands for 2 values; allowed: one value"):
            TENANT.read_one({})
    with called_by("a"):
        assert TENANT.read_one({}) == "a"
    with called_by_operator():
        assert TENANTS.read_all({}) == ()
        assert TENANT.read_one({"tenant-id": ["any"]}) == "any"


def test_a_caller_without_tenants_reads_nothing_instead_of_everything() -> None:
    with called_by(), pytest.raises(ApiError, match="may see no tenant"):
        TENANTS.read_all({})


def test_a_parameter_of_that_name_is_always_a_tenant_parameter() -> None:
    with pytest.raises(TypeError, match="tenant-id must be a TenantParameter"):
        Parameter("tenant-id", "Tenant.", "the id of a tenant", label_text)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["0"], "limit has the value '0'; allowed: a whole number from 1 to 9."),
        (["1", "2"], "limit occurs 2 times; allowed: one value."),
    ],
)
def test_bad_values_name_the_parameter_and_what_is_allowed(texts: list[str], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        LIMIT.read({"limit": texts})
    assert refused.value.message == message


def test_a_default_is_read_like_a_value() -> None:
    assert (LIMIT.read({}), LIMIT.read({"limit": ["7"]})) == (5, 7)
    assert Parameter("limit", "Limit.", "text", label_text).read_one({}) is None
