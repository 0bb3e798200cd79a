"""A proxy that measures the calls of a framework's object and is that object in everything else."""

from __future__ import annotations

import difflib
import functools
import inspect
import logging
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from modelplane_exporter.calls import wrappers
from modelplane_exporter.calls.call import Call
from modelplane_exporter.calls.proxy import Proxy, function_of, unwrapped
from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.readings import Reader, Reading
from modelplane_exporter.rate_limited_log import log_failure, rate_limited

__all__ = [
    "Measured",
    "exporter_for",
    "exporter_of",
    "is_measured",
    "readers_of",
    "require_methods",
    "unwrapped",
]

Arguments = tuple[Any, ...]
Options = dict[str, Any]
# Arguments, keyword arguments and result of a call to what they tell.
Read = Callable[[Arguments, Options, Any], Reading]
Wait = Callable[[Any], None]
Traced = Callable[[Arguments, Options], bool]

# Methods that run no inference, whatever the framework: of these nothing is said when they are not measured.
_HOUSEKEEPING = (
    "_", "get_", "set_", "add_", "register_", "load", "save", "is_", "has_", "fit", "partial_fit", "score",
    "reset", "close",
)  # fmt: skip


class Measured(Proxy):
    """``target``, with each method that ``readers`` names measured; ``__call__`` is the call itself.

    Everything else is the target's, see ``Proxy``. A method that returns the target returns this proxy.
    ``exporter`` is the ModelMetricsExporter, unless the target has an attribute of that name.

    ``wait`` gets a result and returns when the device has it; its errors are the model's. ``traced`` says
    that a call is only recorded by a compiler: it passes through unmeasured. The first call of a method that
    is not measured is logged, unless it is one of ``housekeeping``.
    """

    __slots__ = (
        "_measured_functions",
        "_measured_housekeeping",
        "_measured_logged",
        "_measured_measurement",
        "_measured_readers",
    )

    def __init__(
        self,
        target: Any,
        exporter: ModelMetricsExporter,
        readers: Mapping[str, Read],
        *,
        wait: Wait | None = None,
        traced: Traced | None = None,
        housekeeping: Collection[str] = (),
    ) -> None:
        super().__init__(target)
        set_here = functools.partial(object.__setattr__, self)
        measurement = Measurement(exporter, wait, traced)
        set_here("_measured_measurement", measurement)
        set_here("_measured_readers", dict(readers))
        set_here("_measured_housekeeping", frozenset(housekeeping))
        set_here("_measured_functions", {})
        set_here("_measured_logged", set())
        if callable(target):
            read = readers.get("__call__")
            set_here(
                "__call__", function_of(target) if read is None else measurement.of(function_of(target), read)
            )

    if TYPE_CHECKING:  # an attribute of each proxy whose target is called

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __getattr__(self, name: str) -> Any:
        target = self._measured_target
        try:
            value = getattr(target, name)
        except AttributeError:
            if name == "exporter":
                return exporter_of(self)
            raise
        if isinstance(value, MethodType) and value.__self__ is target:
            return self._measured_method(name, value)
        if name in self._measured_readers and callable(value):
            return self._measured_attribute(name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), "exporter"})

    def _measured_method(self, name: str, method: MethodType) -> Any:
        read, function = self._measured_readers.get(name), method.__func__
        if read is None:
            return MethodProxy(self, method, None)
        known, measured = self._measured_functions.get(name, (None, None))
        if known is not function:
            measured = self._measured_measurement.of(function, read, skip=1)
            self._measured_functions[name] = function, measured
        return MethodProxy(self, method, measured)

    def _measured_attribute(self, name: str, value: Any) -> Any:
        known, measured = self._measured_functions.get(name, (None, None))
        if known is not value:
            measurement: Measurement = self._measured_measurement
            measured = Measured(
                value,
                measurement.exporter,
                {"__call__": self._measured_readers[name]},
                wait=measurement.wait,
                traced=measurement.traced,
            )
            self._measured_functions[name] = value, measured
        return measured

    def _measured_unmeasured(self, name: str) -> None:
        """Say once that a method is not measured, unless it runs no inference or a call around it is."""
        if name in self._measured_logged or name in self._measured_housekeeping:
            return
        if name.startswith(_HOUSEKEEPING) or exporter_of(self).current_call() is not None:
            return
        self._measured_log(
            name, "calls of %s are not measured; name them in methods= of wrap() if they run the model", name
        )

    def _measured_pickled(self, name: str) -> None:
        """Say once that a method goes to another process, where it is not measured."""
        self._measured_log(
            ("pickled", name),
            "%s was pickled: where it is loaded it is not measured; wrap the model there",
            name,
        )

    def _measured_log(self, key: Hashable, message: str, name: str) -> None:
        if key not in self._measured_logged:
            self._measured_logged.add(key)
            kind = type(self._measured_target).__name__
            rate_limited.log(logging.WARNING, (kind, key), message, f"{kind}.{name}")


class MethodProxy(Proxy):
    """A method of a measured model. ``measured`` takes the bare model first; None when it is not measured."""

    __slots__ = ("_measured_function", "_measured_owner")

    def __new__(cls, owner: Measured, method: MethodType, measured: Callable[..., Any] | None) -> Self:
        return object.__new__(cls)

    def __init__(self, owner: Measured, method: MethodType, measured: Callable[..., Any] | None) -> None:
        super().__init__(method)
        object.__setattr__(self, "_measured_owner", owner)
        object.__setattr__(self, "_measured_function", measured)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        owner, method, measured = self._measured_owner, self._measured_target, self._measured_function
        if measured is not None:
            return measured(method.__self__, *args, **kwargs)
        owner._measured_unmeasured(method.__name__)
        result = method(*args, **kwargs)
        # As ``model.eval()`` does, which would not be measured any more.
        return owner if result is method.__self__ else result

    @property
    def __self__(self) -> Any:
        return self._measured_owner

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._measured_function is not None:
            self._measured_owner._measured_pickled(self._measured_target.__name__)
        return super().__reduce_ex__(protocol)


# In the body of a class these two are its own.
MethodProxy.__doc__ = property(lambda self: self._measured_target.__doc__)  # type: ignore[assignment]
MethodProxy.__module__ = property(lambda self: self._measured_target.__module__)  # type: ignore[assignment]


class JoinedCall:
    """A call in flight, of which a model inside of it is a part: what the model tells is the call's."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return False

    @property
    def in_flight(self) -> bool:
        """Nothing ends with the model."""
        return False

    def stop(self) -> None:
        """The call goes on."""

    def hand_over(self) -> Self:
        """What goes on when the model has returned."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


@dataclass(frozen=True, slots=True)
class Measurement:
    """How the calls of a model are measured; ``wait`` and ``traced`` are those of ``Measured``."""

    exporter: ModelMetricsExporter
    wait: Wait | None = None
    traced: Traced | None = None

    def of(self, function: Callable[..., Any], read: Read, skip: int = 0) -> Callable[..., Any]:
        """``function``, measured; its first ``skip`` arguments are not shown to ``read``."""

        def finished(call: Call, args: Arguments, kwargs: Options, result: Any) -> None:
            if self.wait is not None:
                self.wait(result)
            call.stop()
            observe(call, read, args[skip:], kwargs, result)

        if inspect.isgeneratorfunction(function):
            return wrappers.wrap_generator(function, self._begin_stream)
        if inspect.isasyncgenfunction(function):
            return wrappers.wrap_async_generator(function, self._begin_stream)
        if inspect.iscoroutinefunction(function):
            return wrappers.wrap_observed_async(function, self._begin, finished)
        measured = wrappers.wrap_observed(function, self._begin, finished)
        return measured if self.traced is None else self._unless_traced(function, measured, skip)

    def _unless_traced(
        self, function: Callable[..., Any], measured: Callable[..., Any], skip: int
    ) -> Callable[..., Any]:
        @functools.wraps(function)
        def unless_traced(*args: Any, **kwargs: Any) -> Any:
            chosen = function if self._is_traced(args[skip:], kwargs) else measured
            return chosen(*args, **kwargs)

        return unless_traced

    def _is_traced(self, args: Arguments, kwargs: Options) -> bool:
        try:
            return self.traced is not None and self.traced(args, kwargs)
        except Exception as error:  # noqa: BLE001 - the model may take what a framework cannot walk through
            log_failure("a model's arguments were not looked at", error)
            return False

    def _begin(self, args: Arguments, kwargs: Options) -> AbstractContextManager[Call]:
        call = self.exporter.current_call()
        return self.exporter.track() if call is None else cast("Call", JoinedCall(call))

    def _begin_stream(self, args: Arguments, kwargs: Options) -> AbstractContextManager[Call]:
        call = self.exporter.current_call()
        return self.exporter.track_stream() if call is None else cast("Call", JoinedCall(call))


def exporter_of(model: Any) -> ModelMetricsExporter:
    """What measures a wrapped model."""
    exporter: ModelMetricsExporter = model._measured_measurement.exporter
    return exporter


def is_measured(model: Any) -> bool:
    """Whether a model was wrapped; ``isinstance`` does not tell."""
    return issubclass(type(model), Measured)


def require_methods(model: Any, methods: Sequence[str]) -> None:
    """ValueError when the model lacks one of the ``methods``."""
    if isinstance(methods, str):
        raise ValueError(f"methods must be a list of names, such as methods=({methods!r},)")
    for name in methods:
        if not isinstance(name, str) or not callable(getattr(model, name, None)):
            names = [each for each in dir(model) if not each.startswith("_")]
            close = difflib.get_close_matches(str(name), names, n=5, cutoff=0.4)
            raise ValueError(
                f"methods: {type(model).__name__} has no method {name!r}; "
                f"close names: {', '.join(map(repr, close)) or 'none'}"
            )


def readers_of(
    methods: Sequence[str], reader: Reader, given: Callable[[Arguments, Options], Any]
) -> dict[str, Read]:
    """What reads items and features of calls of ``methods``, by the input that ``given`` finds in arguments.

    What such a method returns is its own affair.
    """

    def read(args: Arguments, kwargs: Options, result: Any) -> Reading:
        return reader.read(given(args, kwargs), result)._replace(prediction=None)

    return dict.fromkeys(methods, read)


def observe(call: Call, read: Read, args: Arguments, kwargs: Options, result: Any) -> None:
    """Tell ``call`` what its arguments and result say; never raises an Exception."""
    try:
        reading = read(args, kwargs, result)
    except Exception as error:  # noqa: BLE001 - monitoring must not break the model
        log_failure("a model's result was not read", error)
        return
    if reading.items is not None:
        call.items(reading.items)
    if reading.is_ambiguous:
        call.invalid("confidence_ambiguous")
    if reading.confidence is not None:
        call.confidence(reading.confidence)
    if reading.prediction is not None:
        call.prediction(reading.prediction)
    if reading.features is not None:
        call.features(reading.features)


def exporter_for(
    framework: str, version: str, exporter: ModelMetricsExporter | None, options: Options
) -> ModelMetricsExporter:
    """``exporter``, or a new one made of ``options``; ValueError when both are given.

    ``framework`` and its ``version`` are filled in unless the options name another. The new exporter looks
    for no confidence in results, because the wrapper reads it.
    """
    if exporter is not None and options:
        raise ValueError(f"give an exporter or the options of one, not both (got also {', '.join(options)})")
    if exporter is not None:
        return exporter
    filled_in = {} if "framework" in options else {"framework": framework, "framework_version": version}
    return ModelMetricsExporter(**{"confidence": None, **filled_in, **options})
