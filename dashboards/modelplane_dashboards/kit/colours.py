"""Colours by what they mean, the same on every board; names are Grafana's, which fit dark and light."""

from __future__ import annotations

from collections.abc import Mapping

GOOD, WARNING, BAD = "green", "orange", "red"
NEUTRAL, INVISIBLE = "text", "transparent"
REFERENCE = "yellow"  # what something is compared with: training, a budget, a plan

OUTCOME_COLOURS: Mapping[str, str] = {
    "success": GOOD,
    "failure": BAD,
    "cancelled": "yellow",
    "rejected": "purple",
}
SEVERITY_COLOURS: Mapping[str, str] = {"critical": BAD, "warning": WARNING, "info": "blue"}
COST_COLOURS: Mapping[str, str] = {
    "direct": "blue",
    "tokens": "purple",
    "idle": "super-light-blue",
    "unknown": "yellow",
    "unpriced": WARNING,
    "over": BAD,
}
TOKEN_COLOURS: Mapping[str, str] = {
    "input": "blue",
    "cached_input": "super-light-blue",
    "output": "green",
    "reasoning": "purple",
}
