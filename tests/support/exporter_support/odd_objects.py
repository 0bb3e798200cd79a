"""Objects that expressions look into, and a script in a process of its own."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

from hypothesis import strategies as st

from modelplane_provisioning.processes import PATIENCE_SECONDS


class Plain:
    kind = "class attribute"

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)
        self._secret = 1

    @property
    def computed(self) -> int:
        return 42

    @property
    def broken(self) -> int:
        raise RuntimeError

    def method(self) -> int:
        return 1


@dataclasses.dataclass(slots=True)
class Slotted:
    scores: object
    name: str = "slotted"


PATHS = st.sampled_from(
    [
        *("result.a", "result[0]", "result.a[-1].b", "result[*].a", "result[]", "result[][]", "result.*"),
        *("result.*.a", "result.*[]", "result[?a]", "result[?a == `1`].b", "result[?a > b]", "result[1:]"),
        *(
            "result[::-1]",
            "result.a || result.b",
            "result.a && result.b",
            "!result.a",
            "[result.a, result.b]",
        ),
        *("{x: result.a, y: result[0]}", "length(result)", "sum(result)", "sort(result)", "max(result)"),
        *("keys(result)", "values(result)", "type(result)", "to_string(result)", "to_number(result)"),
        *("not_null(result.a, result.b)", "merge(result, `{}`)", "reverse(result)", "to_array(result)"),
        *("sort_by(result, &a)", "max_by(result, &a)", "map(&a, result)", "contains(result, 'a')"),
        *("result.a == result.b", "result.a < `1`", "join(',', result)", "result.a | [0]", "avg(result)"),
        *("`[1]`[0]", "result.a[0][0]", "abs(result)", "starts_with(result, 'a')", "arguments.a.b"),
    ]
)


class Hostile:
    """Raises whatever is done to it."""

    def _fail(self, *args: object) -> Any:
        raise RuntimeError("hostile")

    __getattr__ = __getitem__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = __contains__ = _fail
    __str__ = __repr__ = __lt__ = __gt__ = __int__ = __float__ = __index__ = _fail


def run(script: str) -> None:
    """Run Python in a process of its own; importing a framework would change this one."""
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert finished.returncode == 0, finished.stderr
