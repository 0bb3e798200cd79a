"""What an answer of Grafana's holds: rows, and texts that name tenants. Echoes of the question are none."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from modelplane_provisioning.clients.grafana import Answer
from modelplane_provisioning.grafana_apply.attempts import Attempt

# Where Grafana and the backend repeat what was asked, or say why there is nothing.
_ECHOES = {
    "meta",
    "error",
    "errors",
    "message",
    "details",
    "executedQueryString",
    "warnings",
    "infos",
    "query",
}
_READ = 300  # a redirect gives nothing by itself


def is_read(attempt: Attempt, answer: Answer, others: Collection[str]) -> bool:
    """Whether the answer has what the attempt must not get; ``others`` are tenants that are not theirs."""
    if answer.status >= _READ:
        return False
    data = _data(answer.content)
    if attempt.forbidden == "answer":
        return bool(data)
    if attempt.forbidden == "rows":
        return has_rows(answer)
    return any(text in others or _names(text, others) for text in _texts(data))


def has_rows(answer: Answer) -> bool:
    """Whether there is anything besides an empty list or table."""
    return answer.status < _READ and any(True for _ in _leaves(_data(answer.content)))


def tenants_in(answer: Answer) -> frozenset[str]:
    """The tenants by which the frames of an answer are labelled; none of an error."""
    is_success = answer.status < _READ and isinstance(answer.content, dict)
    results = answer.content.get("results", {}) if is_success else {}
    labels = (
        field.get("labels") or {}
        for result in results.values()
        for frame in result.get("frames") or ()
        for field in frame["schema"]["fields"]
    )
    return frozenset(label["tenant_id"] for label in labels if "tenant_id" in label)


def _data(content: Any) -> Any:
    """Frames by their labels and values, another answer by its data or rows, without echoes."""
    if not isinstance(content, dict):
        return content
    if "results" in content:
        return [
            _frame(frame) for result in content["results"].values() for frame in result.get("frames") or ()
        ]
    if content.get("status") == "success" and isinstance(content.get("data"), dict):
        return content["data"].get("result", content["data"])
    for key in ("data", "rows"):
        if key in content:
            return content[key]
    return {key: value for key, value in content.items() if key not in _ECHOES}


def _frame(frame: dict[str, Any]) -> Any:
    values = [column for column in frame.get("data", {}).get("values", ()) if column]
    if not values:
        return []
    return [[field.get("labels") or {} for field in frame["schema"]["fields"]], values]


def _texts(data: Any) -> Iterator[str]:
    for leaf in _leaves(data):
        if isinstance(leaf, str):
            yield leaf


def _leaves(data: Any) -> Iterator[Any]:
    """Keys and values, however deep."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key not in _ECHOES:
                yield key
                yield from _leaves(value)
    elif isinstance(data, list):
        for value in data:
            yield from _leaves(value)
    elif data not in (None, ""):
        yield data


def _names(text: str, others: Collection[str]) -> bool:
    """Whether a text that holds JSON, or a Prometheus exposition, names one of ``others``."""
    return any(json.dumps(other) in text for other in others)
