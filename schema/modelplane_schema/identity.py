"""Whose series it is: the identity labels as one value."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """The identity labels, in the order of ``metrics.IDENTITY``."""

    model_name: str
    model_version: str
    tenant_id: str
    framework: str

    def __str__(self) -> str:
        return " ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
