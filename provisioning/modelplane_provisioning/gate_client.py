"""Whether a candidate version may go on, as the backend's gate says: once, or until it is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from modelplane_schema.errors import UserError

GATES = ("pass", "fail", "inconclusive", "no_traffic")
_DECIDED = ("pass", "fail")
_TIMEOUT_SECONDS = 30


class GateError(UserError):
    """The backend did not answer, or refused the question."""


@dataclass(frozen=True, slots=True)
class GateClient:
    """``url`` is the backend's; ``parameters`` are those of its route, without the range."""

    url: str
    token: str
    parameters: Mapping[str, str | Sequence[str]]

    def ask(self, start: str) -> dict[str, Any]:
        """What the gate says of the calls since ``start``; GateError."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        query = {**self.parameters, "from": start}
        address = f"{self.url.rstrip('/')}/api/v1/gate"
        try:
            response = requests.get(address, query, headers=headers, timeout=_TIMEOUT_SECONDS)
            body = response.json()
        except requests.RequestException as error:
            raise GateError(
                f"{address} gives no answer of a gate: {error}. Is --url the backend's?"
            ) from error
        if not isinstance(body, dict) or body.get("gate") not in GATES:
            message = body.get("message") if isinstance(body, dict) else None
            raise GateError(f"{address} answers {response.status_code}: {message or 'that is no gate'}")
        return body

    def wait(
        self,
        start: str,
        seconds: float,
        every: float,
        tell: Callable[[dict[str, Any]], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> dict[str, Any]:
        """Ask again until the gate is decided or ``seconds`` are over, and ``tell`` each answer but the last.

        The start of the range stays where the first answer put it, so that looking often is allowed.
        GateError when the last question has no answer.
        """
        end = clock() + seconds
        while True:
            answer, failure = self._asked(start)
            is_over = clock() + every > end
            if answer is None:
                if is_over and failure is not None:
                    raise failure
            elif answer["gate"] in _DECIDED or is_over:
                return answer
            else:
                start = str(answer["from"])
                tell(answer)
            sleep(every)

    def _asked(self, start: str) -> tuple[dict[str, Any] | None, GateError | None]:
        try:
            return self.ask(start), None
        except GateError as error:
            return None, error
