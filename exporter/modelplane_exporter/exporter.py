"""``ModelMetricsExporter``: the decorator and context manager that model teams use."""

from __future__ import annotations

import functools
import inspect
import os
import socket
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from prometheus_client import REGISTRY, CollectorRegistry

from modelplane_exporter import settings
from modelplane_exporter.baseline import Baseline, BaselineError, CategoricalSignal
from modelplane_exporter.calls import wrappers
from modelplane_exporter.calls.call import (
    Call,
    Sinks,
    TrackedCall,
    current_call,
    current_trace_id,
)
from modelplane_exporter.identity import (
    TenantSource,
    is_tenant,
    required_text,
    resolve,
    valid_framework,
    valid_tenant_source,
    version_of,
)
from modelplane_exporter.measurement.identity_state import IdentityState, Value
from modelplane_exporter.measurement.names import required_name
from modelplane_exporter.measurement.observation import NO_CONFIDENCE, Observation
from modelplane_exporter.rate_limited_log import log_failure
from modelplane_exporter.serving import server
from modelplane_exporter.signals.sampling import Sampler
from modelplane_exporter.store.loaded_versions import LoadedVersion
from modelplane_exporter.store.stores import loading_store
from modelplane_exporter.store.version_recorder import DEFAULT_IDLE_TTL, VersionRecorder
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import UNKNOWN_TENANT

if TYPE_CHECKING:
    from modelplane_exporter.declared import Declared
    from modelplane_exporter.signals.recorder import SignalRecorder

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

PROCESS_DEVICE_TYPE = "cpu-process"


class ModelMetricsExporter:
    """Measures the inference calls of one model version.

    Use it as a decorator of a function, generator function, method or callable, plain or async, or as
    ``with exporter.track() as call``.

    ``tenant_id`` is a text, a function of the call's arguments, or ``PER_CALL`` (named by
    ``track(tenant_id=...)`` or ``with tenant(...)``). ``tenants`` are exposed at 0 from the start. A model
    has at most ``max_tenants``; the surplus counts as ``__overflow__``, unless a tenant that was idle for
    ``idle_ttl`` seconds makes room. ``confidence`` is the key under which results carry it, None when the
    model has none.
    ``device`` and ``device_type`` say what the calls run on (default: this process).
    ``exemplars`` keeps the trace id of OpenTelemetry's current span with each latency bucket.
    ``events``, ``feedback`` and business ``values`` show these counts at 0 from the start, so that not even
    the first one is lost to ``increase``. ``declared`` (a file or ``Declared``) says where values are in
    arguments and results. ``baseline`` (a file or ``Baseline``) is what signals are compared with; they are
    counted for all tenants together unless ``signals_by_tenant``. One call in ``signals_every`` has its
    signals observed, and no more than ``signals_per_second`` of those. ``registry`` is where series are
    registered (default: prometheus_client's global one); with another registry no server starts unless
    ``port`` or MODELPLANE_EXPORTER_PORT is given. ``port="off"`` starts none. Bad metadata is a ValueError
    that names the field.
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
        idle_ttl: float = DEFAULT_IDLE_TTL,
        confidence: str | None = "confidence",
        device: str | None = None,
        device_type: str | None = None,
        exemplars: bool = False,
        events: Iterable[str] = (),
        feedback: bool = False,
        values: Iterable[str] = (),
        declared: Declared | str | os.PathLike[str] | None = None,
        baseline: Baseline | str | os.PathLike[str] | None = None,
        signals_by_tenant: bool = False,
        signals_every: int = 1,
        signals_per_second: float | None = None,
        registry: CollectorRegistry | None = None,
        address: str | None = None,
        port: int | str | None = None,
    ) -> None:
        version = Identity(
            required_text("model_name", model_name),
            required_text("model_version", model_version),
            UNKNOWN_TENANT,
            valid_framework(framework),
        )
        self._tenant_source = valid_tenant_source(tenant_id)
        if max_tenants < 1:
            raise ValueError(f"max_tenants must be at least 1 (got {max_tenants!r})")
        self._confidence_key = confidence
        self._exemplars = exemplars
        settings.warn_of_unknown_variables()
        listen_on = settings.port(port)
        # What may be refused comes before anything is registered.
        self.baseline = _baseline_of(version, baseline)
        self._declared = _declared(declared, self.baseline)
        sampler = Sampler(signals_every, signals_per_second)
        declared_events = self._declared.event_names if self._declared else ()
        event_names = [required_text("events", event) for event in (*events, *declared_events)]
        value_names = [required_name("values", value) for value in (*values, *self._declared_values())]
        store = loading_store(registry or REGISTRY)
        self._store = store
        self._recorder = VersionRecorder(
            store, version, _device(device, device_type), max_tenants, idle_ttl, signals_by_tenant
        )
        signals = None if self.baseline is None else self._recorder.signals(self.baseline, sampler)
        self._unload = self._load(version, (owner, stage, framework_version), idle_ttl, signals)
        trace = current_trace_id if exemplars else None
        self._sinks = Sinks(
            self._recorder.meter, self._read, signals, self._recorder.count_event,
            self._recorder.count_values, self._recorder.score, trace,
        )  # fmt: skip
        store.events.expect(version, event_names, feedback)
        store.values.expect(version, value_names)
        self._expose(tenants)
        if registry is None or port is not None or settings.PORT.name in os.environ:
            server.ensure_started(registry or REGISTRY, address, listen_on, store.is_shared)

    def __call__(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Measure every call of ``function``; its name, signature, docstring and results stay as they are."""
        meter, target = self._recorder.meter, _code_of(function)
        if self._declared is not None:
            return self._measure_declared(function, target, self._declared)
        if inspect.isgeneratorfunction(target):
            return wrappers.wrap_generator(function, self._begin, meter.clock)  # type: ignore[arg-type]
        if inspect.isasyncgenfunction(target):
            return wrappers.wrap_async_generator(function, self._begin, meter.clock)  # type: ignore[arg-type]
        wrap = wrappers.wrap_async if inspect.iscoroutinefunction(target) else wrappers.wrap_function
        key = None if self._exemplars else self._confidence_key
        return wrap(function, meter, self._fixed_state(), self._state_of, self._read, key)

    def track(self, tenant_id: str | None = None) -> Call:
        """A context manager that measures its block as one call.

        ``tenant_id`` overrides the exporter's source. A call without a valid tenant is counted as
        invalid and shows as ``__unknown__``.
        """
        if tenant_id is None:
            return self._begin_tracked((), {})
        return TrackedCall(self._sinks, self._tenant_state(tenant_id))

    def track_batch(self, items: Mapping[str, int]) -> Call:
        """Measure a block as one call for several tenants; ``items`` maps each to its number of items.

        The call counts for each tenant; its device time is split by items. ValueError for anything else.
        """
        if not items or not all(is_tenant(tenant_id) for tenant_id in items):
            raise ValueError(f"items must map at least one tenant to its number of items (got {items!r})")
        if not all(isinstance(count, int) and count > 0 for count in items.values()):
            raise ValueError(f"items must be whole numbers from 1 on (got {items!r})")
        return TrackedCall(self._sinks, self._recorder.batch_state(items))

    def current_call(self) -> Call | None:
        """The innermost call of this exporter in whose ``track`` or ``track_batch`` block we are."""
        return current_call(self._sinks)

    def event(self, name: str, tenant_id: str | None = None, count: int = 1) -> None:
        """Count a business event that follows from a call, such as a click; never raises.

        ``tenant_id`` overrides the exporter's source, as in ``track``.
        """
        try:
            self._recorder.count_event(self._tenant_state(tenant_id), name, count)
        except Exception as error:  # noqa: BLE001 - a hostile argument
            log_failure("an event was not counted", error)

    def feedback(self, correct: bool, tenant_id: str | None = None, count: int = 1) -> None:
        """Count a prediction whose truth is known now; never raises. ``tenant_id`` as in ``track``."""
        try:
            self._recorder.count_feedback(self._tenant_state(tenant_id), correct, count)
        except Exception as error:  # noqa: BLE001 - a hostile argument
            log_failure("feedback was not counted", error)

    def business(self, values: Mapping[str, object], tenant_id: str | None = None) -> None:
        """Count and add up business values that follow from a call, as ``Call.business``; never raises."""
        self._call_of(tenant_id).business(values)

    def score(self, name: str, value: object, tenant_id: str | None = None) -> None:
        """Observe a score from 0 to 1 that is known after the call, as ``Call.score``; never raises."""
        self._call_of(tenant_id).score(name, value)

    def activations(self, values: Mapping[str, object], tenant_id: str | None = None) -> None:
        """Observe summaries of layer activations outside of a call; never raises."""
        try:
            Call(self._sinks, self._tenant_state(tenant_id)).activations(values)
        except Exception as error:  # noqa: BLE001 - a hostile argument
            log_failure("activations were not observed", error)

    def flush(self) -> None:
        """Make all that finished visible to every scrape, now and not within a second; never raises.

        Only several worker processes need it, before an end that skips ``atexit``: calls, events and feedback
        are safe without, observed signals of the last second are not.
        """
        self._store.flush()

    def close(self) -> None:
        """Unload the version, unless another exporter still has it loaded; never raises.

        ``model_info`` and the series of the baseline go, and make room in the budget. Counters stay until
        they were idle for ``idle_ttl``. What is measured by this exporter nevertheless is still counted,
        except signals of the baseline. Another call does nothing. An exporter that nobody refers to any more
        is closed by itself.
        """
        self._unload()
        try:
            self._store.apply_released()
        except Exception as error:  # noqa: BLE001 - the next scrape does it
            log_failure("a version was not unloaded", error)

    def show_sampling_ratio(self, kind: str, ratio: float) -> None:
        """Expose the share of calls whose signals of ``kind`` are observed, where the caller samples them."""
        self._recorder.show_sampling_ratio(kind, ratio)

    def _measure_declared(
        self, function: Callable[..., Any], target: Callable[..., Any], declared: Declared
    ) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
            raise TypeError("declared values are for functions that return their result, not for generators")
        bind = declared.binder(function)

        def observe(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            try:
                declared.observe(call, bind(args, kwargs), result)
            except Exception as error:  # noqa: BLE001 - hostile arguments or results
                log_failure("declared values were not observed", error)

        wrap = wrappers.wrap_declared
        if inspect.iscoroutinefunction(target):
            wrap = wrappers.wrap_declared_async
        return wrap(function, self._begin_tracked, observe)

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call(self._sinks, self._fixed_state() or self._state_of(args, kwargs))

    def _begin_tracked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """A call that a wrapped model inside of it joins; not for generators, which leave their context."""
        return TrackedCall(self._sinks, self._fixed_state() or self._state_of(args, kwargs))

    def _call_of(self, tenant_id: str | None) -> Call:
        """A call that is not in flight: what is told to it counts for the tenant."""
        return Call(self._sinks, self._tenant_state(tenant_id))

    def _load(
        self, version: Identity, info: tuple[str, ...], idle_ttl: float, signals: SignalRecorder | None
    ) -> weakref.finalize[..., ModelMetricsExporter]:
        """Expose that the version is loaded, until the result is called or nobody refers to this exporter."""
        tenant_id = self._tenant_source if isinstance(self._tenant_source, str) else None
        load = None if signals is None else signals.load
        loaded = LoadedVersion(version_of(version), info, idle_ttl, tenant_id, load)
        self._store.load(loaded)
        unload = weakref.finalize(self, self._store.release, loaded)
        unload.atexit = False
        return unload

    def _declared_values(self) -> Iterable[str]:
        """Names of declared business values that add up: a category of the baseline does not."""
        signals = () if self.baseline is None else self.baseline.of_kind("business")
        categories = {signal.name for signal in signals if isinstance(signal, CategoricalSignal)}
        return (
            []
            if self._declared is None
            else [name for name in self._declared.values if name not in categories]
        )

    def _tenant_state(self, tenant_id: str | None) -> IdentityState:
        if tenant_id is None:
            return self._fixed_state() or self._state_of((), {})
        return self._recorder.state_of(tenant_id if is_tenant(tenant_id) else UNKNOWN_TENANT)

    def _state_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> IdentityState:
        """The state that one call counts for; a team's tenant function must not break its model."""
        try:
            named = resolve(self._tenant_source, args, kwargs)
            # Of another type than text: None.
            state: IdentityState | None = self._recorder.states.get(cast("str", named))
        except Exception as error:  # noqa: BLE001 - it is the team's function
            log_failure("the tenant function failed", error)
            named, state = None, None
        if state is not None:
            return state
        return self._recorder.state_of(named if is_tenant(named) else UNKNOWN_TENANT)

    def _read(self, result: Any) -> Value:
        """What a result says of confidence, and the trace if wanted; never raises an Exception."""
        try:
            value = self._confidence_in(result)
            trace_id = current_trace_id() if self._exemplars else None
        except Exception as error:  # noqa: BLE001 - a hostile result
            log_failure("confidence was not observed", error)
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
        key = self._confidence_key
        if key is None:
            return None
        # Only of a mapping, and only a key that is there: a lookup may change a defaultdict.
        if not isinstance(result, Mapping) or key not in result:
            return NO_CONFIDENCE
        value = result[key]
        if type(value) is float:
            return value
        observed = Observation()
        observed.add_confidence(value)
        return observed.reduced()

    def _fixed_state(self) -> IdentityState | None:
        source = self._tenant_source
        return self._recorder.pinned_state(source) if isinstance(source, str) else None

    def _expose(self, tenants: Iterable[str]) -> None:
        tenant_ids = [required_text("tenants", tenant_id) for tenant_id in tenants]
        for tenant_id in tenant_ids:
            self._recorder.state_of(tenant_id)
        if self._fixed_state() is not None:
            tenant_ids.append(str(self._tenant_source))
        if self._sinks.signals is not None:
            for tenant_id in tenant_ids:
                self._sinks.signals.expect(tenant_id)


def _baseline_of(version: Identity, baseline: Baseline | str | os.PathLike[str] | None) -> Baseline | None:
    """The baseline, read if it is a file; ValueError when it is that of another model."""
    if baseline is None:
        return None
    loaded = baseline if isinstance(baseline, Baseline) else Baseline.load(baseline)
    if loaded.model_name != version.model_name:
        raise BaselineError(
            f"baseline is of model {loaded.model_name!r}, not of {version.model_name!r}: "
            "name the file that was fitted for this model"
        )
    if loaded.model_version not in (None, version.model_version):
        raise BaselineError(
            f"baseline is of version {loaded.model_version!r} of {loaded.model_name!r}, "
            f"not of {version.model_version!r}: name the file that was fitted for this version"
        )
    return loaded


def _declared(
    declared: Declared | str | os.PathLike[str] | None, baseline: Baseline | None
) -> Declared | None:
    """The declared values, read if they are a file, and checked against the baseline."""
    if declared is None:
        return None
    from modelplane_exporter.declared import Declared

    loaded = declared if isinstance(declared, Declared) else Declared.load(declared)
    loaded.check(baseline)
    return loaded


def _device(device: str | None, device_type: str | None) -> tuple[str, str]:
    if (device is None) != (device_type is None):
        raise ValueError("device and device_type go together: give both or none")
    if device is None or device_type is None:
        process = os.path.basename(sys.argv[0]) or "python"
        return f"{socket.gethostname()}/{process}", PROCESS_DEVICE_TYPE
    return required_text("device", device), required_text("device_type", device_type)


def _code_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is async or a generator where a callable is: of an object its ``__call__``."""
    if inspect.isroutine(function) or isinstance(function, functools.partial):
        return function
    return type(function).__call__
