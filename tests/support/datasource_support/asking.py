"""What a fixture that queries a route looks like."""

from __future__ import annotations

from typing import Protocol, TypeVar

Answer = TypeVar("Answer", covariant=True)


class Ask(Protocol[Answer]):
    """Query the route of a file of tests with further parameters, such as ``&from=0``."""

    def __call__(self, parameters: str = "") -> Answer: ...
