"""Types of fields that several declarations of the registry share, and how their problems are told.

Needs pydantic (extra ``registry``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, ClassVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from modelplane_schema.uids import dashboard_uid
from modelplane_schema.validation import SecretValueError

_USER = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)?[^/?#]*@")
# Parameters of a URL that hold a credential, by the words that their names are made of.
_SECRET_WORDS = re.compile(
    r"\b(apikey|auth|authorization|code|credentials?|key|pass|passwd|password|pwd|secret|sig|signature|token)\b"
)
_TEMPLATE = "{{"  # Alertmanager and Prometheus would evaluate what follows
_LONGEST_LIST = 10


class Declaration(BaseModel):
    """What people declare: no unknown keys, and nothing changes it.

    ``refused_keys`` says of keys that people may expect why there are none.
    """

    refused_keys: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def no_template(text: str) -> str:
    """The text; ValueError when a server would take it for a template."""
    if _TEMPLATE in text:
        raise ValueError(f"must not contain {_TEMPLATE}, which begins a template")
    return text


def path_below(folder: str, example: str) -> Callable[[str], str]:
    """A validator of paths of files below a folder beside the registry, such as ``folder/example``."""

    def checked(text: str) -> str:
        path = PurePosixPath(text)
        below = len(path.parts) > 1 and path.parts[0] == folder and ".." not in path.parts
        if not below or str(path) != text or not text.isprintable():
            raise SecretValueError(
                f"must be a path below {folder}/ beside the registry, for example {folder}/{example}"
            )
        return text

    return checked


def http_url(text: str) -> str:
    """The URL without a slash at its end; ValueError when it is none or holds credentials."""
    if _holds_credentials(text):
        raise SecretValueError(
            "must not hold credentials, such as a user or a parameter token=: "
            "a secret goes into a file that the registry names"
        )
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise SecretValueError("must be a URL that starts with http:// or https://")
    return no_template(text).rstrip("/")


def _holds_credentials(url: str) -> bool:
    try:
        query = urlsplit(url).query
    except ValueError as error:
        raise SecretValueError("must be a URL that starts with http:// or https://") from error
    names = " ".join(name for name, _ in parse_qsl(query, keep_blank_values=True))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[^a-zA-Z]+", " ", names).lower()
    return _USER.match(url) is not None or _SECRET_WORDS.search(words) is not None


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True), AfterValidator(_printable)
]
Url = Annotated[str, AfterValidator(http_url)]


def no_duplicates(what: str, values: Iterable[str]) -> None:
    """ValueError with a line for each value that occurs twice; ``what`` names the field."""
    repeated = [value for value, count in Counter(values).items() if count > 1]
    raise_all([f"{what}: {value!r} occurs more than once" for value in repeated])


def repetitions(field: str, values: Iterable[str]) -> list[str]:
    """A problem ``[2].field: ...`` for each value that occurred before."""
    problems: list[str] = []
    first: dict[str, int] = {}
    for position, value in enumerate(values):
        if value in first:
            problems.append(
                f"[{position}].{field}: {value!r} occurs more than once, first at [{first[value]}]"
            )
        first.setdefault(value, position)
    return problems


def uid_collisions(kind: str, field: str, names: Iterable[str]) -> list[str]:
    """A problem ``[2].field: ...`` for each name whose board, files and links would have another's uid."""
    problems: list[str] = []
    first: dict[str, tuple[int, str]] = {}
    for position, name in enumerate(names):
        uid = dashboard_uid(kind, name)
        before, other = first.setdefault(uid, (position, name))
        if other != name:
            problems.append(
                f"[{position}].{field}: {name!r} would have the uid {uid} of [{before}].{field}, {other!r}; "
                "rename one of them"
            )
    return problems


def raise_all(problems: Sequence[str]) -> None:
    """ValueError with a line for each problem, if there is one.

    A line that begins with ``[`` or ``.`` continues the place of the field.
    """
    if problems:
        raise ValueError("\n".join(problems))


def joined(names: Iterable[str]) -> str:
    """Names in a sentence; of many the first ones, and how many there are besides."""
    listed = list(names)
    surplus = len(listed) - _LONGEST_LIST
    return ", ".join(listed[:_LONGEST_LIST]) + (f" and {surplus} more" if surplus > 0 else "")
