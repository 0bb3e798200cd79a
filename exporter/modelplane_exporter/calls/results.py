"""What the result of a call says: its confidence; and the trace it belongs to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from modelplane_exporter.contract_log import NO_KEY, NO_MAPPING, RESULT_UNREADABLE, ContractLog, log_noted
from modelplane_exporter.measurement.identity_state import Value
from modelplane_exporter.measurement.observation import NO_CONFIDENCE, Observation
from modelplane_exporter.rate_limited_log import logger


class ConfidenceReader:
    """Reads confidence under the key ``key`` of results, None where the model has none.

    With ``exemplars`` the current trace is read too.
    """

    def __init__(self, key: str | None, exemplars: bool, contract_log: ContractLog) -> None:
        self._key = key
        self._exemplars = exemplars
        self._contract_log = contract_log

    def read(self, result: Any) -> Value:
        """What a result says of confidence, and the trace if wanted; never raises an Exception."""
        try:
            value = self._confidence_in(result)
            trace_id = current_trace_id() if self._exemplars else None
        except Exception as error:  # noqa: BLE001 - a hostile result
            self._contract_log.log(RESULT_UNREADABLE, detail=type(error).__name__)
            return NO_CONFIDENCE
        if trace_id is None:
            return value
        observed = Observation()
        observed.trace_id = trace_id
        if isinstance(value, Observation):
            observed.take_from(value)
        elif value is not None:
            observed.add_confidence(value)
        return observed

    def _confidence_in(self, result: Any) -> Value:
        key = self._key
        if key is None:
            return None
        # Only of a mapping, and only a key that is there: a lookup may change a defaultdict.
        if not isinstance(result, Mapping) or key not in result:
            self._contract_log.log(NO_KEY if isinstance(result, Mapping) else NO_MAPPING)
            return NO_CONFIDENCE
        value = result[key]
        if type(value) is float:
            return value
        observed = Observation()
        observed.add_confidence(value)
        if observed.invalid:
            self._contract_log.note_reasons(observed.invalid)
            log_noted()
        return observed.reduced()


def no_value(result: Any) -> None:
    """What a result says where the model has no confidence."""


def current_trace_id() -> str | None:
    """The 32 hex digits of the current sampled span's trace, or None when there is none."""
    try:
        from opentelemetry.trace import get_current_span
    except ModuleNotFoundError:
        _say_that_there_are_no_traces()
        return None
    context = get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid and context.trace_flags.sampled else None


@functools.cache
def _say_that_there_are_no_traces() -> None:
    """Once in a process."""
    logger.warning("no exemplars are kept: pip install opentelemetry-api, or leave out exemplars=True")
