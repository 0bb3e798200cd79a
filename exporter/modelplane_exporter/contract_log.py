"""Log lines about what broke the data contract: the first of each kind, with the field and what to do.

What happens under a lock is noted there and logged later, because a handler of the log may be anybody's code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from modelplane_exporter.identity import Version
from modelplane_exporter.rate_limited_log import logger
from modelplane_exporter.settings import SIGNAL_SERIES
from modelplane_schema.metrics import (
    INVALID_OBSERVATIONS,
    MAX_LABEL_LENGTH,
    OVERFLOW,
    RESERVED_TENANTS,
    SERIES_OVERFLOW,
    UNKNOWN_TENANT,
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A kind of violation: the field, what is wrong with it, and what to do.

    ``reason`` is that under which it counts as an invalid observation, ``overflow`` the label whose value
    goes to ``__overflow__``; a violation with neither is not counted.
    """

    field: str
    problem: str
    remedy: str
    reason: str = ""
    overflow: str = ""

    @property
    def counted_in(self) -> str:
        """The series that counts it, empty if none does."""
        if self.reason:
            return f'{INVALID_OBSERVATIONS.name}{{reason="{self.reason}"}}'
        return f'{SERIES_OVERFLOW.name}{{label="{self.overflow}"}}' if self.overflow else ""


NO_MAPPING, NO_KEY, RESULT_UNREADABLE = "no_mapping", "no_key", "result_unreadable"
NO_TENANT, TENANT_FUNCTION_FAILED, NOT_A_TENANT = "no_tenant", "tenant_function_failed", "not_a_tenant"
EVENT_INVALID, FEEDBACK_INVALID, NO_BASELINE = "event_invalid", "feedback_invalid", "no_baseline"
TENANTS_OVERFLOW, EVENTS_OVERFLOW, SIGNALS_OVERFLOW = (
    "tenants_overflow",
    "events_overflow",
    "signals_overflow",
)
BUSINESS_INVALID, BUSINESS_MISSING, SCORE_INVALID = "business_invalid", "business_missing", "score_invalid"
VALUES_OVERFLOW, SCORES_OVERFLOW = "values_overflow", "scores_overflow"
NOT_IN_FLIGHT = "not_in_flight"

_GIVE_CONFIDENCE = (
    'return a mapping with the key "confidence", name another key by confidence="...", or say by '
    "confidence=None that the model has none"
)
_NO_TENANT = f"so that the call counts for {UNKNOWN_TENANT}"
_OVERFLOW = f"so that further ones count as {OVERFLOW}"

# By kind. Each reason of the schema is a kind, for values of which no more is known.
VIOLATIONS = {
    "confidence_missing": Violation(
        "confidence", "a result has none where it is expected", _GIVE_CONFIDENCE, "confidence_missing"
    ),
    NO_MAPPING: Violation("confidence", "a result is no mapping", _GIVE_CONFIDENCE, "confidence_missing"),
    NO_KEY: Violation("confidence", "a result lacks the key", _GIVE_CONFIDENCE, "confidence_missing"),
    RESULT_UNREADABLE: Violation(
        "confidence", "looking for it raised, so that confidence was not observed", _GIVE_CONFIDENCE,
        "confidence_missing",
    ),
    "confidence_not_a_number": Violation(
        "confidence", "a value is no number: NaN, None, a truth value or a text",
        "give a number from 0 to 1, or a batch of them", "confidence_not_a_number",
    ),
    "confidence_out_of_range": Violation(
        "confidence", "a value is outside of 0 to 1",
        "give a probability, not per cent and not a logit", "confidence_out_of_range",
    ),
    "confidence_ambiguous": Violation(
        "confidence", "probabilities of a row do not sum to 1, or are of several outputs",
        'leave output="probabilities" out where there are several labels, or say output="multilabel" in '
        "sklearn.wrap; give call.confidence(...) a number of your own; where these are logits, say "
        'output="logits"', "confidence_ambiguous",
    ),
    "items_invalid": Violation(
        "items", "the number of items is not a whole number from 0 on",
        "give an int, such as len(rows)", "items_invalid",
    ),
    "tokens_invalid": Violation(
        "tokens", "a number of tokens is not a whole number from 0 on",
        "give an int for each kind; input is without cached tokens, output without reasoning",
        "tokens_invalid",
    ),
    "tenant_invalid": Violation(
        "tenant_id", f"the tenant cannot be told, {_NO_TENANT}",
        "name the tenant of each call", "tenant_invalid",
    ),
    NO_TENANT: Violation(
        "tenant_id", f"no tenant is in force, {_NO_TENANT}",
        "name it by `with tenant(...)` around the call or the making of its stream, or by tenant_id=...; "
        "what runs in a thread, an executor, a background task or a generator that is not decorated needs "
        "bind_tenant(...); a dependency of FastAPI that names it must be `async def`", "tenant_invalid",
    ),
    TENANT_FUNCTION_FAILED: Violation(
        "tenant_id", f"the tenant function failed, {_NO_TENANT}",
        "let it take the arguments of the measured function and return the tenant; track(), event() and "
        "feedback() have no such arguments and need tenant_id=...", "tenant_invalid",
    ),
    NOT_A_TENANT: Violation(
        "tenant_id", f"what was given is no tenant, {_NO_TENANT}",
        f"give an int, a UUID, or a text of at most {MAX_LABEL_LENGTH} characters other than "
        f"{', '.join(RESERVED_TENANTS)}", "tenant_invalid",
    ),
    "value_missing": Violation(
        "declared values", "a value is missing",
        "correct its expression, or give it a default as in result.count || `0`", "value_missing",
    ),
    "value_wrong_type": Violation(
        "values", "a value has another type than its field takes",
        "give numbers where the baseline has a numeric signal and texts where it has categories, and whole "
        "numbers as counts", "value_wrong_type",
    ),
    "value_out_of_range": Violation(
        "values", "a value is outside of what its field takes",
        "give a score from 0 to 1, and a business value of at most 1e18", "value_out_of_range",
    ),
    BUSINESS_INVALID: Violation(
        "business", "a name or a value can be neither counted nor added up",
        "give a mapping of names, of at most 100 printable characters, to numbers or truth values; for "
        "texts fit a baseline", "value_wrong_type",
    ),
    BUSINESS_MISSING: Violation(
        "business", "a value is missing, None or NaN", "leave it out, or give a number", "value_missing",
    ),
    SCORE_INVALID: Violation(
        "score", "a name or a value of a score cannot be used",
        "give a name of at most 100 printable characters, and a number from 0 to 1", "value_wrong_type",
    ),
    EVENT_INVALID: Violation(
        "event", "the name or the count of an event cannot be used",
        f"give a name of at most {MAX_LABEL_LENGTH} characters and a whole number from 0 on",
        "value_wrong_type",
    ),
    FEEDBACK_INVALID: Violation(
        "feedback", "correct or count cannot be used",
        "give correct as True or False and count as a whole number from 0 on", "value_wrong_type",
    ),
    "signal_unknown": Violation(
        "signals", "a value is of no signal of the baseline",
        "use the names that `modelplane baseline show` prints, or fit the baseline with this one too",
        "signal_unknown",
    ),
    NO_BASELINE: Violation(
        "signals", "values are observed, and the exporter has no baseline to compare them with",
        "give the exporter baseline=...", "signal_unknown",
    ),
    "signal_wrong_shape": Violation(
        "signals", "values do not have the shape of the baseline's signals",
        "give a mapping of names, a frame, or an array of shape (rows, signals) in the baseline's order",
        "signal_wrong_shape",
    ),
    TENANTS_OVERFLOW: Violation(
        "tenant_id", f"the model has max_tenants tenants, {_OVERFLOW}",
        "raise max_tenants, or give ids of tenants and not of users or requests", overflow="tenant_id",
    ),
    SIGNALS_OVERFLOW: Violation(
        "signals_by_tenant", f"the budget has no room for the signals of another tenant, {_OVERFLOW}",
        f"raise {SIGNAL_SERIES.name}, or fit the baseline to fewer signals", overflow="tenant_id",
    ),
    EVENTS_OVERFLOW: Violation(
        "event", f"the model has too many kinds of events, {_OVERFLOW}",
        "give names of kinds, and no ids or texts of users", overflow="event",
    ),
    VALUES_OVERFLOW: Violation(
        "business", f"the model has too many business values, {_OVERFLOW}",
        "give names of kinds, and no ids or texts of users", overflow="value",
    ),
    SCORES_OVERFLOW: Violation(
        "score", f"the model has too many scores, or the budget no room for another, {_OVERFLOW}",
        f"give names of kinds, or raise {SIGNAL_SERIES.name}", overflow="signal",
    ),
    NOT_IN_FLIGHT: Violation(
        "call", "a call was given a value when its block was not running, and the value is lost",
        "use the call only inside of `with exporter.track() as call:`",
    ),
}  # fmt: skip


class ContractLog:
    """What the exporters of one version have logged.

    A line is logged once for each kind and ``part``, which tells apart what a kind lumps together, such as
    the kinds of signals; ``detail`` goes into the line. Neither may hold data.
    """

    def __init__(self, version: Version) -> None:
        self._version = version
        self._logged: dict[tuple[str, str], object] = {}
        self._reasons: set[str] = set()

    def renew(self) -> None:
        """Another exporter of the version was made: what it breaks is news."""
        self._logged.clear()
        self._reasons.clear()

    def log(self, kind: str, part: str = "", detail: str = "") -> None:
        """Log a violation, unless one of its kind and part was."""
        if (kind, part) in self._logged:
            return
        mark = object()
        if self._logged.setdefault((kind, part), mark) is not mark:
            return
        violation, version = VIOLATIONS[kind], self._version
        self._reasons.add(violation.reason)
        more = ": ".join(filter(None, (part, detail)))
        counted = f"counted in {violation.counted_in}, " if violation.counted_in else ""
        logger.warning(
            "%s %s: %s: %s%s. To do: %s. (%slogged once)",
            version.model_name, version.model_version, violation.field, violation.problem,
            f" ({more})" if more else "", violation.remedy, counted,
        )  # fmt: skip

    def note(self, kind: str, part: str = "", detail: str = "") -> None:
        """Have a violation logged by the next ``log_noted``, for a caller that holds a lock."""
        if (kind, part) not in self._logged:
            self._reasons.add(VIOLATIONS[kind].reason)
            _noted.append((self, kind, part, detail))

    def note_reasons(self, reasons: Iterable[str]) -> None:
        """Note values that were counted, unless a line has told their reason."""
        for reason in reasons:
            if reason not in self._reasons:
                self.note(reason)


_noted: deque[tuple[ContractLog, str, str, str]] = deque()


def log_noted() -> None:
    """Log what was noted; call it without any lock."""
    while _noted:
        try:
            log, kind, part, detail = _noted.popleft()
        except IndexError:  # another thread was quicker
            return
        log.log(kind, part, detail)
