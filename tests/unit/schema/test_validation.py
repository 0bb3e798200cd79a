"""Every problem that a model has with a file is a line that names the file, the place and what is allowed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from modelplane_schema.documents import DocumentError
from modelplane_schema.validation import explain, parse_model


class Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Errors(Declaration):
    type: Literal["errors"]


class Latency(Declaration):
    type: Literal["latency"]
    seconds: float


Indicator = Annotated[Errors | Latency, Field(discriminator="type")]


class Device(Declaration):
    from_: Annotated[int, Field(alias="from")]
    name: str = "gpu"

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "gpu":
            raise ValueError("must be gpu")
        return value


class Plane(Declaration):
    indicator: Indicator | None = None
    indicators: tuple[Indicator, ...] = ()
    device: Device | None = None
    devices: list[Device] = []
    either: Device | int = 1
    organisations: dict[
        Annotated[str, Field(pattern="^[0-9]+$")],
        Literal["all"] | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)],
    ] = {}
    names: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("a",)


KEYS = "indicator, indicators, device, devices, either, organisations, names"
PROBLEMS: list[tuple[Any, list[str]]] = [
    ([], [f"must be a mapping with the keys {KEYS}"]),
    ({"colour": 1}, [f"colour: is not a known key; allowed: {KEYS}"]),
    ({1: 2}, ["1: the key must be a text (got 1)"]),
    ({"device": {"frm": 1}}, ["device.from: is required",
                              "device.frm: is not a known key; allowed: from, name"]),
    ({"device": 3}, ["device: must be a mapping with the keys from, name (got 3)"]),
    ({"devices": [{"from": 1}, {"from": "x"}]}, ["devices[1].from: must be a valid integer, unable to parse "
                                                 "string as an integer (got 'x')"]),
    ({"devices": [{"from": 1, "name": "cpu"}]}, ["devices[0].name: must be gpu (got 'cpu')"]),
    ({"indicator": {}}, ["indicator: must have the key 'type'"]),
    ({"indicator": {"type": "x"}}, ["indicator: 'type' must be one of 'errors', 'latency' (got 'x')"]),
    ({"indicator": {"type": "latency"}}, ["indicator.seconds: is required"]),
    ({"indicators": [{"type": "errors", "seconds": 1}]}, ["indicators[0].seconds: is not a known key; "
                                                          "allowed: type"]),
    ({"indicators": [1]}, ["indicators[0]: must be a mapping (got 1)"]),
    ({"either": {"name": "gpu"}}, ["either.from: is required", "either: must be a valid integer"]),
    ({"organisations": []}, ["organisations: must be a mapping"]),
    ({"organisations": {"x": "all"}}, ["organisations.x: the key must match pattern '^[0-9]+$' (got 'x')"]),
    ({"organisations": {"1": [""]}}, ["organisations.1: must be 'all'",
                                      "organisations.1[0]: must have at least 1 character (got '')"]),
    ({"organisations": {"1": "some"}}, ["organisations.1: must be 'all' (got 'some')",
                                        "organisations.1: must be a list (got 'some')"]),
    ({"names": []}, ["names: must have at least 1 item"]),
    ({"names": [""]}, ["names[0]: must have at least 1 character (got '')"]),
    ({"names": "a" * 200}, [f"names: must be a list (got '{'a' * 79}...)"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "lines"), PROBLEMS, ids=lambda part: str(part)[:40])
def test_each_problem_is_a_line(content: Any, lines: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Plane.model_validate(content)
    assert explain(caught.value, Plane, "plane.yaml").splitlines() == [
        f"plane.yaml: {line}" for line in lines
    ]


def test_values_can_be_left_out() -> None:
    with pytest.raises(ValidationError) as caught:
        Plane.model_validate(
            {"names": "secret", "indicator": {"type": "secret"}, "organisations": {"1": "secret"}}
        )
    assert explain(caught.value, Plane, "plane.yaml", show_values=False).splitlines() == [
        "plane.yaml: indicator: 'type' must be one of 'errors', 'latency'",
        "plane.yaml: organisations.1: must be 'all'",
        "plane.yaml: organisations.1: must be a list",
        "plane.yaml: names: must be a list",
    ]


def test_text_that_is_no_json() -> None:
    with pytest.raises(ValidationError) as caught:
        Plane.model_validate_json('{"names": [')
    assert explain(caught.value, Plane, "plane.json") == (
        "plane.json: is not valid JSON: EOF while parsing a list at line 1 column 11"
    )


def test_a_model_is_read_from_yaml() -> None:
    assert parse_model(Plane, "device: {from: 1}", "plane.yaml").device == Device.model_validate({"from": 1})
    with pytest.raises(DocumentError, match=r"^plane\.yaml: device\.from: is required$"):
        parse_model(Plane, "device: {}", "plane.yaml")
    with pytest.raises(DocumentError, match=r"^plane\.yaml: must be a mapping with the keys indicator, "):
        parse_model(Plane, "", "plane.yaml")
