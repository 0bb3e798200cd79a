"""Whether a candidate version may go on, as the backend's gate says: once, or until it is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelplane_provisioning.clients.backend import BackendClient, BackendError

GATES = ("pass", "fail", "inconclusive", "no_traffic")
_DECIDED = ("pass", "fail")


@dataclass(frozen=True, slots=True)
class GateClient:
    """``parameters`` are those of the backend's route, without the range."""

    backend: BackendClient
    parameters: Mapping[str, str | Sequence[str]]

    def ask(self, start: str) -> dict[str, Any]:
        """What the gate says of the calls since ``start``; BackendError."""
        answer = self.backend.get("/api/v1/gate", {**self.parameters, "from": start})
        if answer.get("gate") not in GATES:
            raise BackendError(f"{self.backend.url} answers, but not as a gate does: check --url")
        return answer

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
        BackendError when the last question has no answer.
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

    def _asked(self, start: str) -> tuple[dict[str, Any] | None, BackendError | None]:
        try:
            return self.ask(start), None
        except BackendError as error:
            return None, error
