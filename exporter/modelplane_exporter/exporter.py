"""``ModelMetricsExporter``: the decorator and context manager that model teams use."""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from prometheus_client import REGISTRY, CollectorRegistry

from modelplane_exporter import settings
from modelplane_exporter.baseline import Baseline
from modelplane_exporter.baseline.loading import load_for
from modelplane_exporter.calls import wrappers
from modelplane_exporter.calls.call import (
    Call,
    Sinks,
    TrackedCall,
    current_call,
)
from modelplane_exporter.calls.decorate import decorate
from modelplane_exporter.calls.expected import Expected, IsExpected, is_expected
from modelplane_exporter.calls.pickled import PickledByArguments
from modelplane_exporter.calls.results import ConfidenceReader, current_trace_id, no_value
from modelplane_exporter.contract_log import NO_BASELINE, log_noted
from modelplane_exporter.identity import (
    NotATenantError,
    label_text,
    required_text,
    tenant_text,
    valid_device,
    valid_framework,
    version_of,
)
from modelplane_exporter.measurement.names import required_name
from modelplane_exporter.rate_limited_log import log_failure
from modelplane_exporter.serving import server
from modelplane_exporter.signals.recorder import SignalRecorder
from modelplane_exporter.signals.sampling import Sampler
from modelplane_exporter.store.loaded_versions import LoadedVersion
from modelplane_exporter.store.stores import loading_store
from modelplane_exporter.store.tenant_states import TenantStates
from modelplane_exporter.store.version_recorder import DEFAULT_IDLE_TTL, VersionRecorder
from modelplane_exporter.tenant_context import (
    TenantId,
    TenantSource,
    valid_tenant,
    valid_tenant_source,
)
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import UNKNOWN_TENANT

if TYPE_CHECKING:
    from modelplane_exporter.declared import Declared

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class ModelMetricsExporter(PickledByArguments):
    """Measures the inference calls of one model version.

    Use it as a decorator of a function, generator function, method or callable, plain or async, or as
    ``with exporter.track() as call``. A copy is the exporter itself; a pickle makes one of the same arguments
    in another process, on the default registry.

    ``tenant_id`` is a text, int or UUID, a function of the call's arguments, or ``PER_CALL`` (named by
    ``track(tenant_id=...)`` or ``with tenant(...)``). ``tenants`` are exposed at 0 from the start. A model
    has at most ``max_tenants``; the surplus counts as ``__overflow__``, unless a tenant that was idle for
    ``idle_ttl`` seconds makes room. ``confidence`` is the key under which results carry it, None when the
    model has none.
    ``device`` and ``device_type`` say what the calls run on (default: this process).
    ``exemplars`` keeps the trace id of OpenTelemetry's current span with each latency bucket.
    ``events``, ``feedback`` and business ``values`` show these counts at 0 from the start, so that not even
    the first one is lost to ``increase``.
    ``expected`` are exceptions that are no failure of the model, such as one for bad input: a type, a tuple
    of types, or a function that says so of an exception. Such a call counts as ``rejected``.
    ``declared`` (a file or ``Declared``) says where values are in arguments and results.
    ``baseline`` (a file or ``Baseline``) is what signals are compared with; they are counted for all tenants
    together unless ``signals_by_tenant``. One call in ``signals_every`` has its signals observed, and no more
    than ``signals_per_second`` of those.
    ``registry`` is where series are registered (default: prometheus_client's global one); with another
    registry no server starts unless ``port`` or MODELPLANE_EXPORTER_PORT is given.
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
        tenants: Iterable[TenantId] = (),
        max_tenants: int = 1000,
        idle_ttl: float = DEFAULT_IDLE_TTL,
        confidence: str | None = "confidence",
        device: str | None = None,
        device_type: str | None = None,
        exemplars: bool = False,
        events: Iterable[str] = (),
        feedback: bool = False,
        values: Iterable[str] = (),
        expected: Expected = (),
        declared: Declared | str | os.PathLike[str] | None = None,
        baseline: Baseline | str | os.PathLike[str] | None = None,
        signals_by_tenant: bool = False,
        signals_every: int = 1,
        signals_per_second: float | None = None,
        registry: CollectorRegistry | None = None,
        address: str | None = None,
        port: int | str | None = None,
    ) -> None:
        tenants, events, values = list(tenants), list(events), list(values)
        self._remember({name: value for name, value in locals().items() if name != "self"})
        # What may be refused comes before anything is registered.
        version = _version(model_name, model_version, framework)
        tenant_source = valid_tenant_source(tenant_id)
        if max_tenants < 1:
            raise ValueError(f"max_tenants must be at least 1 (got {max_tenants!r})")
        self._confidence_key, self._exemplars = confidence, exemplars
        info = _info(owner, stage, framework_version)
        settings.warn_of_unknown_variables()
        listen_on = settings.port(port)
        self.baseline = load_for(version, baseline)
        self._declared = _declared(declared, self.baseline)
        known_tenants = [valid_tenant("tenants", name) for name in tenants]
        rejects = is_expected(expected)
        sampler = Sampler(signals_every, signals_per_second)
        runs_on = valid_device(device, device_type)
        event_names, value_names = self._names(events, values)
        store = self._store = loading_store(registry or REGISTRY)
        self._recorder = VersionRecorder(store, version, runs_on, max_tenants, idle_ttl, signals_by_tenant)
        self._tenants = TenantStates(tenant_source, self._recorder)
        signals = None if self.baseline is None else self._recorder.signals(self.baseline, sampler)
        tenant = tenant_source if isinstance(tenant_source, str) else None
        load = None if signals is None else signals.load
        self._unload = self._load(LoadedVersion(version_of(version), info, idle_ttl, tenant, load))
        self._sinks = self._sinks_with(signals, rejects)
        store.events.expect(version, event_names, feedback)
        store.values.expect(version, value_names)
        self._expose(known_tenants)
        if registry is None or port is not None or settings.PORT.name in os.environ:
            server.ensure_started(registry or REGISTRY, address, listen_on, store.is_shared)

    def __call__(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Measure every call of ``function``; whatever else a caller can see of it stays as it is.

        A ``staticmethod``, ``classmethod`` or ``property`` is decorated inside. TypeError for a class, and
        for what is not called.
        """
        if type(function) is FunctionType:
            return cast("Callable[Parameters, Result]", self._measure(function))
        return cast("Callable[Parameters, Result]", decorate(function, self, self._measure))

    def track(self, tenant_id: TenantId | None = None) -> Call:
        """A context manager that measures its block as one call.

        ``tenant_id`` overrides the exporter's source. A call without a valid tenant is counted as
        invalid and shows as ``__unknown__``.
        """
        if tenant_id is None:
            return self._begin_tracked((), {})
        return TrackedCall(self._sinks, self._tenants.of(tenant_id))

    def track_stream(self) -> Call:
        """As ``track``, for a block that is left and entered again between the steps of a stream.

        Code that is called inside does not find the call.
        """
        return self._begin((), {})

    def track_batch(self, items: Mapping[Any, int]) -> Call:
        """Measure a block as one call for several tenants; ``items`` maps each to its number of items.

        The call counts for each tenant; its device time is split by items. ValueError for anything else.
        """
        try:
            counts = {tenant_text(tenant_id): count for tenant_id, count in items.items()}
        except NotATenantError as error:
            raise ValueError(f"items must map tenants to their number of items ({error})") from None
        if not counts or len(counts) < len(items):
            raise ValueError(f"items must map at least one tenant to its number of items (got {items!r})")
        if not all(isinstance(count, int) and count > 0 for count in counts.values()):
            raise ValueError(f"items must be whole numbers from 1 on (got {items!r})")
        return TrackedCall(self._sinks, self._recorder.batch_state(counts))

    def current_call(self) -> Call | None:
        """The innermost call of this exporter in whose ``track`` or ``track_batch`` block we are."""
        return current_call(self._sinks)

    def event(self, name: str, tenant_id: TenantId | None = None, count: int = 1) -> None:
        """Count a business event that follows from a call, such as a click; never raises.

        ``tenant_id`` overrides the exporter's source, as in ``track``.
        """
        try:
            self._recorder.count_event(self._tenants.of(tenant_id), name, count)
            log_noted()
        except Exception as error:  # noqa: BLE001 - a hostile argument
            log_failure("an event was not counted", error)

    def feedback(self, correct: bool, tenant_id: TenantId | None = None, count: int = 1) -> None:
        """Count a prediction whose truth is known now; never raises. ``tenant_id`` as in ``track``."""
        try:
            self._recorder.count_feedback(self._tenants.of(tenant_id), correct, count)
            log_noted()
        except Exception as error:  # noqa: BLE001 - a hostile argument
            log_failure("feedback was not counted", error)

    def business(self, values: Mapping[str, object], tenant_id: TenantId | None = None) -> None:
        """Count and add up business values that follow from a call, as ``Call.business``; never raises."""
        try:
            Call(self._sinks, self._tenants.of(tenant_id)).business(values)
        except Exception as error:  # noqa: BLE001 - a hostile argument
            log_failure("business values were not counted", error)

    def score(self, name: str, value: object, tenant_id: TenantId | None = None) -> None:
        """Observe a score from 0 to 1 that is known after the call, as ``Call.score``; never raises."""
        try:
            Call(self._sinks, self._tenants.of(tenant_id)).score(name, value)
        except Exception as error:  # noqa: BLE001 - a hostile argument
            log_failure("a score was not observed", error)

    def activations(self, values: Mapping[str, object], tenant_id: TenantId | None = None) -> None:
        """Observe summaries of layer activations outside of a call; never raises."""
        try:
            state = self._tenants.of(tenant_id)
            if self._sinks.signals is None:
                self._recorder.count_invalid(state, NO_BASELINE)
                log_noted()
            else:
                Call(self._sinks, state).activations(values)
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

    def _measure(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self._declared is not None:
            return self._measure_declared(function, self._declared)
        if inspect.isgeneratorfunction(function):
            return wrappers.wrap_generator(function, self._begin)
        if inspect.isasyncgenfunction(function):
            return wrappers.wrap_async_generator(function, self._begin)
        wrap = wrappers.wrap_async if inspect.iscoroutinefunction(function) else wrappers.wrap_function
        return wrap(function, self._sinks, None if self._exemplars else self._confidence_key)

    def _measure_declared(self, function: Callable[..., Any], declared: Declared) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("declared values are for functions that return their result, not for generators")
        bind = declared.binder(function)

        def observe(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            call.stop()
            try:
                declared.observe(call, bind(args, kwargs), result)
            except Exception as error:  # noqa: BLE001 - hostile arguments or results
                log_failure("declared values were not observed", error)

        wrap = wrappers.wrap_observed
        if inspect.iscoroutinefunction(function):
            wrap = wrappers.wrap_observed_async
        return wrap(function, self._begin_tracked, observe)

    def _arguments_elsewhere(self) -> Mapping[str, Any]:
        arguments = {
            **self._arguments,
            "registry": None,
            "baseline": self.baseline,
            "declared": self._declared,
        }
        if self._arguments["registry"] is not None and self._arguments["port"] is None:
            arguments["port"] = "off"  # as here: no server starts for a registry of the caller's
        return arguments

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call(self._sinks, self._sinks.fixed or self._tenants.of_call(args, kwargs))

    def _begin_tracked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """A call that a wrapped model inside of it joins; not for generators, which leave their context."""
        return TrackedCall(self._sinks, self._sinks.fixed or self._tenants.of_call(args, kwargs))

    def _names(self, events: list[str], values: list[str]) -> tuple[list[str], list[str]]:
        """Names of the events and business values that show at 0 from the start, declared ones included."""
        declared_events: Iterable[str] = ()
        declared_values: Iterable[str] = ()
        if self._declared is not None:
            declared_events = self._declared.event_names
            declared_values = self._declared.values_that_add_up(self.baseline)
        return (
            [required_text("events", event) for event in (*events, *declared_events)],
            [required_name("values", value) for value in (*values, *declared_values)],
        )

    def _sinks_with(self, signals: SignalRecorder | None, rejects: IsExpected | None) -> Sinks:
        key, exemplars, recorder = self._confidence_key, self._exemplars, self._recorder
        reader = ConfidenceReader(key, exemplars, recorder.contract_log)
        return Sinks(
            owner=self,
            meter=recorder.meter,
            fixed=self._tenants.fixed(),
            resolve=self._tenants.of_call,
            read=no_value if key is None and not exemplars else reader.read,
            signals=signals,
            event=recorder.count_event,
            values=recorder.count_values,
            score=recorder.score,
            contract_log=recorder.contract_log,
            trace=current_trace_id if exemplars else None,
            is_expected=rejects,
        )

    def _load(self, loaded: LoadedVersion) -> weakref.finalize[..., ModelMetricsExporter]:
        """Expose that the version is loaded, until the result is called or nobody refers to this exporter."""
        self._store.load(loaded)
        unload = weakref.finalize(self, self._store.release, loaded)
        unload.atexit = False
        return unload

    def _expose(self, tenant_ids: list[str]) -> None:
        for tenant_id in tenant_ids:
            self._recorder.state_of(tenant_id)
        if self._sinks.fixed is not None:
            tenant_ids = [*tenant_ids, self._sinks.fixed.key.identity.tenant_id]
        if self._sinks.signals is not None:
            for tenant_id in tenant_ids:
                self._sinks.signals.expect(tenant_id)


def _version(model_name: str, model_version: str, framework: str) -> Identity:
    """The version of a model, which stands for all its tenants."""
    return Identity(
        required_text("model_name", model_name),
        required_text("model_version", model_version),
        UNKNOWN_TENANT,
        valid_framework(framework),
    )


def _info(owner: str, stage: str, framework_version: str) -> tuple[str, ...]:
    """The values of ``model_info``'s labels after those of the version."""
    labels = {"owner": owner, "stage": stage, "framework_version": framework_version}
    return tuple(label_text(field, value) for field, value in labels.items())


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
