"""Ad hoc filters of Grafana. They narrow a target and never widen it.

A filter works as a label matcher does in PromQL: a regular expression is RE2, matches whole values and
is evaluated by Prometheus; series that lack the label have an empty value.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from modelplane_datasource.errors import invalid
from modelplane_datasource.prometheus.errors import (
    REGEX_COMPLAINT,
    REJECTED,
    UpstreamError,
    public_reason,
)
from modelplane_datasource.series.selection import Selection
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, MatchOp, one_of

FILTER_KEYS = (TENANT_ID, MODEL_NAME, MODEL_VERSION, "kind", "signal")
_SELECTION_FIELDS = {MODEL_NAME: "models", TENANT_ID: "tenants", MODEL_VERSION: "versions"}
MAX_FILTERS = 50
MAX_TEXT = 1024

_SINGLE: Mapping[str, MatchOp] = {"=": "=", "!=": "!=", "=~": "=~", "!~": "!~"}
_SEVERAL = ("=|", "!=|")
_OPERATORS = (*_SINGLE, *_SEVERAL)


@dataclass(frozen=True, slots=True)
class AdHocFilter:
    """One filter on a label; only ``=|`` and ``!=|`` have several values."""

    key: str
    operator: str
    values: tuple[str, ...]

    @property
    def matcher(self) -> Matcher:
        """The filter in PromQL."""
        if self.operator in _SINGLE:
            return Matcher(self.key, self.values[0], _SINGLE[self.operator])
        positive = one_of(self.key, self.values)
        if self.operator == "=|":
            return positive
        return Matcher(self.key, positive.value, "!~" if positive.op == "=~" else "!=")

    @property
    def is_regex(self) -> bool:
        """Whether only Prometheus can evaluate it."""
        return self.operator in ("=~", "!~")

    def admits(self, labels: Mapping[str, Any]) -> bool:
        """Whether ``labels`` pass a filter that is not a regular expression."""
        return (labels.get(self.key, "") in self.values) is (self.operator in ("=", "=|"))


@dataclass(frozen=True, slots=True)
class FilteredSelection(Selection):
    """A selection that ad hoc filters narrow further."""

    filters: tuple[AdHocFilter, ...]

    # A class with slots is made anew by dataclass, so super() without arguments finds the wrong one.
    @property
    def key(self) -> Hashable:
        """Equal for selections of the same that are narrowed alike."""
        return super(FilteredSelection, self).key, self.filters

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Matchers of the selection and of the filters."""
        return (*super(FilteredSelection, self).matchers, *(ad_hoc.matcher for ad_hoc in self.filters))


def by_matchers(selection: Selection, filters: tuple[AdHocFilter, ...]) -> Selection:
    """``selection`` whose matchers are narrowed by ``filters``."""
    values = {field.name: getattr(selection, field.name) for field in fields(selection)}
    return FilteredSelection(**values, filters=filters)


def by_values(selection: Selection, filters: tuple[AdHocFilter, ...]) -> Selection:
    """``selection`` with fewer models, tenants and versions; ApiError 400 for filters without values."""
    for ad_hoc in filters:
        place = _SELECTION_FIELDS.get(ad_hoc.key)
        if place is None or ad_hoc.operator not in ("=", "=|"):
            raise invalid(
                "filters",
                f"have {ad_hoc.key} {ad_hoc.operator}",
                f"= or =| on {', '.join(_SELECTION_FIELDS)}",
            )
        requested = getattr(selection, place)
        common = tuple(value for value in ad_hoc.values if value in requested) if requested else ad_hoc.values
        if not common:
            raise invalid("filters", f"leave nothing of {ad_hoc.key}", ", ".join(requested))
        narrowed: dict[str, Any] = {place: common}
        selection = replace(selection, **narrowed)
    return selection


def read_filters(body: Mapping[str, Any]) -> tuple[AdHocFilter, ...]:
    """The filters of a body, under either of their two names; ApiError 400."""
    filters: list[AdHocFilter] = []
    for name in ("filters", "adhocFilters"):
        entries = [] if body.get(name) is None else body[name]
        if not isinstance(entries, list) or len(entries) > MAX_FILTERS:
            raise invalid(name, "is not a list, or too long", f"a list of at most {MAX_FILTERS} filters")
        filters += [_read_filter(f"{name}[{index}]", entry) for index, entry in enumerate(entries)]
    return tuple(dict.fromkeys(filters))


@contextmanager
def regexes_checked(filters: Sequence[AdHocFilter]) -> Iterator[None]:
    """Make a regular expression that Prometheus refuses the 400 that it is."""
    try:
        yield
    except UpstreamError as error:
        message, _ = error.shown_to(None)
        reason = public_reason(message)
        if (
            error.error == REJECTED
            and reason.startswith(REGEX_COMPLAINT)
            and any(ad_hoc.is_regex for ad_hoc in filters)
        ):
            problem = "have a regular expression that is not valid"
            raise invalid(
                "filters", f"{problem} ({reason})", "regular expressions of RE2", f"{problem} ({message})"
            ) from error
        raise


def _read_filter(place: str, entry: object) -> AdHocFilter:
    if not isinstance(entry, dict):
        raise invalid(place, "is not an object", "an object with key, operator and value")
    key, operator = entry.get("key"), entry.get("operator")
    if key not in FILTER_KEYS:
        raise invalid(f"{place}.key", f"is {str(key)[:100]!r}", ", ".join(FILTER_KEYS))
    if operator not in _OPERATORS:
        raise invalid(f"{place}.operator", f"is {str(operator)[:100]!r}", " ".join(_OPERATORS))
    several = operator in _SEVERAL
    field = f"{place}.{'values' if several else 'value'}"
    values = entry.get("values") if several else [entry.get("value")]
    if not isinstance(values, list) or not values or not all(map(_is_text, values)):
        expected = "a list of texts" if several else "a text"
        raise invalid(field, "is not what the operator needs", f"{expected} of at most {MAX_TEXT} characters")
    return AdHocFilter(key, operator, tuple(values))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT
