"""``ModelMetricsExporter``: the decorator and context manager that model teams use."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar, cast

from prometheus_client import REGISTRY, CollectorRegistry

from modelplane_exporter import server
from modelplane_exporter.calls import Call, complain
from modelplane_exporter.identity import (
    Identity,
    TenantSource,
    is_tenant,
    required_text,
    resolve,
    valid_framework,
    valid_tenant_source,
)
from modelplane_exporter.store import store_for
from modelplane_schema.metrics import UNKNOWN_TENANT

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class ModelMetricsExporter:
    """Measures the inference calls of one model version.

    Use it as a decorator of a plain or async function or method, or as ``with exporter.track() as call``.

    ``tenant_id`` is a text, a function of the call's arguments, or ``PER_CALL`` (named by
    ``track(tenant_id=...)`` or ``with tenant(...)``). ``tenants`` are exposed at 0 from the start.
    ``confidence`` is the key under which results carry it, None when the model has no confidence.
    ``registry`` is where series are registered (default: prometheus_client's global one); with a
    registry of your own no server starts unless ``port`` or MODELPLANE_EXPORTER_PORT is given.
    ``port="off"`` starts none. Bad metadata is a ValueError that names the field.
    """

    def __init__(
        self,
        model_name: str,
        model_version: str,
        tenant_id: TenantSource,
        framework: str,
        *,
        owner: str = "",
        stage: str = "",
        framework_version: str = "",
        tenants: Iterable[str] = (),
        max_tenants: int = 1000,
        confidence: str | None = "confidence",
        registry: CollectorRegistry | None = None,
        address: str | None = None,
        port: int | str | None = None,
    ) -> None:
        self._version = Identity(
            required_text("model_name", model_name),
            required_text("model_version", model_version),
            UNKNOWN_TENANT,
            valid_framework(framework),
        )
        self._tenant_source = valid_tenant_source(tenant_id)
        if max_tenants < 1:
            raise ValueError(f"max_tenants must be at least 1 (got {max_tenants!r})")
        self._max_tenants = max_tenants
        self._confidence_key = confidence
        listen_on = server.configured_port(port)
        self._store = store_for(registry or REGISTRY)
        self._store.loaded(self._version, owner, stage, framework_version)
        self._expose(tenants)
        if registry is None or port is not None or server.PORT_VARIABLE in os.environ:
            server.ensure_started(registry or REGISTRY, address, listen_on)

    def __call__(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Measure every call of ``function``; its name, signature, docstring and results stay as they are."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator: measure its consumption with exporter.track()"
            )
        if inspect.iscoroutinefunction(function):
            return self._wrap_async(function)
        return self._wrap(function)

    def track(self, tenant_id: str | None = None) -> Call:
        """A context manager that measures its block as one call.

        ``tenant_id`` overrides the exporter's own source. A tenant that cannot be told is counted as
        invalid and shows as ``__unknown__``.
        """
        if tenant_id is not None:
            return self._call(tenant_id if is_tenant(tenant_id) else None)
        return self._resolved_call((), {})

    def _wrap(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def measured(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            with self._resolved_call(args, kwargs) as call:
                result = function(*args, **kwargs)
            self._read(call, result)
            return result

        return measured

    def _wrap_async(self, function: Callable[Parameters, Any]) -> Callable[Parameters, Any]:
        @functools.wraps(function)
        async def measured(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
            with self._resolved_call(args, kwargs) as call:
                result = await function(*args, **kwargs)
            self._read(call, result)
            return result

        return cast("Callable[Parameters, Any]", measured)

    def _read(self, call: Call, result: object) -> None:
        if self._confidence_key is not None:
            call.result(result, self._confidence_key)

    def _resolved_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        try:
            tenant_id = resolve(self._tenant_source, args, kwargs)
        except Exception as error:  # noqa: BLE001 - a team's tenant function must not break its model
            complain("the tenant function failed", error)
            tenant_id = None
        return self._call(tenant_id)

    def _call(self, tenant_id: str | None) -> Call:
        if tenant_id is None:
            self._store.count_invalid(self._version, "tenant_invalid")
            tenant_id = UNKNOWN_TENANT
        return Call(self._store, self._admit(tenant_id))

    def _admit(self, tenant_id: str) -> Identity:
        return self._store.admit(self._version._replace(tenant_id=tenant_id), self._max_tenants)

    def _expose(self, tenants: Iterable[str]) -> None:
        known = [required_text("tenants", tenant_id) for tenant_id in tenants]
        if isinstance(self._tenant_source, str):
            known.append(self._tenant_source)
        for tenant_id in known:
            self._admit(tenant_id)
