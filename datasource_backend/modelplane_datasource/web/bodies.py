"""Bodies of requests that people write."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from modelplane_datasource.errors import invalid

MAX_BODY_TEXT = 2000

BodyText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_BODY_TEXT, pattern=r"\S")]
OptionalBodyText = Annotated[str, StringConstraints(max_length=MAX_BODY_TEXT)]
OPTIONAL_BODY_TEXT = {"type": "string", "maxLength": MAX_BODY_TEXT}
BODY_TEXT = {**OPTIONAL_BODY_TEXT, "minLength": 1}
AUTHOR_TEXT = {**BODY_TEXT, "description": "Who says it; the user's name of Grafana's identity outweighs it."}


class Body(BaseModel):
    """A JSON object with the fields that its class declares, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Note(Body):
    """Who does something, and what there is to say about it."""

    by: BodyText
    note: OptionalBodyText = ""


NOTE_ALLOWED = f"a JSON object with by (1 to {MAX_BODY_TEXT} characters) and note (at most {MAX_BODY_TEXT})"
NOTE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["by"],
    "properties": {"by": AUTHOR_TEXT, "note": OPTIONAL_BODY_TEXT},
    "additionalProperties": False,
}

AnyBody = TypeVar("AnyBody", bound=Body)


def read_body(model: type[AnyBody], body: bytes, allowed: str) -> AnyBody:
    """What a body of JSON says; ApiError 400 names the field and what is ``allowed``."""
    try:
        return model.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise invalid("body", "is not JSON", allowed) from error
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or "body"
        raise invalid(field, "does not fit", allowed) from error
