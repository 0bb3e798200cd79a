"""The trace a call belongs to, from OpenTelemetry where that package is installed."""

from __future__ import annotations


def current_trace_id() -> str | None:
    """The 32 hex digits of the current sampled span's trace, or None when there is none."""
    try:
        from opentelemetry.trace import get_current_span
    except ModuleNotFoundError:
        return None
    context = get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid and context.trace_flags.sampled else None
