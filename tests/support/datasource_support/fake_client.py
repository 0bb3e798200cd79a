"""A client of Prometheus that answers what a test tells it to, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from modelplane_datasource.tenancy.caller import Caller, set_caller

API = "/prometheus/api/v1"
NOTHING = '{tenant_id="a",tenant_id="b"}'
EMPTY: Mapping[str, Any] = {"resultType": "vector", "result": []}
Form = dict[str, Any]


class FakeClient:
    """``reply(path, form)`` gives ``data`` or a whole (status, body); ``calls`` are (path, form, method)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Form, str]] = []
        self.reply: Callable[[str, Form], object] = lambda path, form: EMPTY

    def forward_unrestricted(self, path: str, form: Form, method: str = "POST") -> tuple[int, bytes]:
        form = dict(form)
        self.calls.append((path, form, method))
        answer = self.reply(path, form)
        if isinstance(answer, tuple):
            return cast("tuple[int, bytes]", answer)
        return 200, orjson.dumps({"status": "success", "data": answer})

    def at_once(self, *calls: Callable[[], object]) -> list[object]:
        return [call() for call in calls]


class FakeCaller:
    """Whose request it is."""

    def __init__(self) -> None:
        self.tenants: tuple[str, ...] | None = ("user-A",)

    def begin_request(self) -> None:
        set_caller(Caller("somebody", "admin" if self.tenants is None else "tenant", self.tenants))


def failure(response: Any) -> tuple[int, str, str]:
    assert response.content_type == "application/json"
    body = response.get_json()
    assert body["status"] == "error"
    return response.status_code, body["errorType"], body["error"]


def ok(response: Any) -> Any:
    body = response.get_json()
    assert (response.status_code, body["status"]) == (200, "success"), body
    return body["data"]


def vector(*labels: Mapping[str, str]) -> Mapping[str, object]:
    return {"resultType": "vector", "result": [{"metric": metric, "value": [1, "2"]} for metric in labels]}
