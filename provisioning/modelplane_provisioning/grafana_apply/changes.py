"""What differs between what is wanted and what a Grafana has: one change for each thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from modelplane_provisioning.grafana_apply.rights import Right

Action = Literal["create", "update", "delete", "leave"]


@dataclass(frozen=True, slots=True)
class Change:
    """``run`` makes it, or raises GrafanaError; what is to be left has none, and a ``note`` that says why.

    ``right`` is what it needs; None where it follows from an earlier change.
    """

    action: Action
    kind: str
    name: str
    note: str = ""
    right: Right | None = None
    run: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """Such as ``update board mp-fleet (its content differs)``."""
        return f"{self.action} {self.kind} {self.name!r}" + (f" ({self.note})" if self.note else "")
