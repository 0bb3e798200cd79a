"""Parameters: which values are read, and that those of tenants need permission."""

from __future__ import annotations

import pytest

from datasource_support.callers import called_by, called_by_operator
from modelplane_datasource.errors import ApiError
from modelplane_datasource.web.parameters import (
    Parameter,
    TenantParameter,
    choice,
    label_text,
    values_in,
    whole_number,
)
from modelplane_datasource.web.time_parameters import FROM, TO, read_range

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


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", ["a"]), ("{a,b}", ["a", "b"]), ("{a,b,a}", ["a", "b", "a"]), ("{a b,c.d|e}", ["a b", "c.d|e"]),
        ("{a}", ["{a}"]), ("a,b", ["a,b"]), ("{a,b", ["{a,b"]), ("x{a,b}", ["x{a,b}"]), ("{,}", ["", ""]),
        ("", [""]), ("{}", ["{}"]), ("{{a,b}}", ["{a", "b}"]),
    ],
)  # fmt: skip
def test_lists_of_grafana(text: str, values: list[str]) -> None:
    assert values_in(text) == values


def test_a_list_is_read_where_a_parameter_is_repeated() -> None:
    names = Parameter("name", "Names.", "a or b", choice("a", "b"), repeated=True)
    assert names.read_all({"name": ["{a,b}", "a"]}) == ("a", "b", "a")
    with pytest.raises(ApiError, match="name has the value 'c'; allowed: a or b"):
        names.read_all({"name": ["{a,c}"]})
    with pytest.raises(ApiError, match="name occurs 1001 times"):
        names.read_all({"name": ["{" + ",".join("a" * 1001) + "}"]})
    with pytest.raises(ApiError, match=r"limit has the value '\{1,2\}'"):
        LIMIT.read_all({"limit": ["{1,2}"]})


@pytest.mark.parametrize("text", [".*", ".+"])
def test_all_of_a_variable_leaves_a_repeated_parameter_out(text: str) -> None:
    names = Parameter("name", "Names.", "any text", label_text, repeated=True, default="{a,b}")
    assert names.read_all({"name": [text]}) == ("a", "b")
    assert names.read_all({"name": [text, "c"]}) == ("c",)
    needed = Parameter("name", "Names.", "any text", label_text, repeated=True, required=True)
    with pytest.raises(ApiError, match="name is required"):
        needed.read_all({"name": [text]})
    single = Parameter("name", "Name.", "any text", label_text)
    assert single.read_all({"name": [text]}) == (text,)
    with called_by("a", "b"):
        assert TENANTS.read_all({"tenant-id": [text]}) == ("a", "b")


def test_a_list_of_tenants_needs_permission_for_each() -> None:
    with called_by("a", "b"):
        assert TENANTS.read_all({"tenant-id": ["{a,b}"]}) == ("a", "b")
        for text in ("{a,c}", "{c,a}", "{a,b,c}"):
            with pytest.raises(ApiError) as refused:
                TENANTS.read_all({"tenant-id": [text]})
            assert refused.value.status == 403


@pytest.mark.parametrize("parameter", [FROM, TO])
@pytest.mark.parametrize(
    "text", ["1698397200", "100000000", "99999999999", "1698397200.5", "1698397200.123456"]
)
def test_seconds_are_refused_with_a_sentence(parameter: Parameter[object], text: str) -> None:
    with pytest.raises(ApiError) as refused:
        parameter.read({parameter.name: [text]})
    seconds = text.partition(".")[0]
    assert refused.value.status == 400
    assert refused.value.message.startswith(
        f"{parameter.name} has the value '{text}', which is in seconds: in milliseconds it is {seconds}000; "
        "allowed: epoch milliseconds"
    )


def test_milliseconds_are_not_taken_for_seconds() -> None:
    for start, end in ((0, 1), (99_999_999, 100_000_000_000), (1_698_397_200_000, 253_402_300_799_999)):
        assert read_range({"from": [str(start)], "to": [str(end)]}, 0) == (start, end)
