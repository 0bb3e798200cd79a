"""A proxy that measures the calls of a framework's object and is that object in everything else."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from types import MethodType
from typing import Any

from modelplane_exporter.calls.call import Call
from modelplane_exporter.exporter import ModelMetricsExporter
from modelplane_exporter.frameworks.readings import Reading
from modelplane_exporter.rate_limited_log import log_failure

Arguments = tuple[Any, ...]
Options = dict[str, Any]
# Arguments, keyword arguments and result of a call to what they tell.
Read = Callable[[Arguments, Options, Any], Reading]
Wait = Callable[[Any], None]
Traced = Callable[[Arguments, Options], bool]


class Measured:
    """``target``, with each method that ``readers`` names measured; ``__call__`` is the call itself.

    Attributes, items, length and ``isinstance`` are the target's, and setting an attribute sets the target's.
    A method that returns the target returns this proxy. ``__wrapped__`` is the target, ``exporter`` the
    ModelMetricsExporter. A copy or pickle is one of the target alone: what is loaded is not measured.

    ``wait`` gets a result and returns when the device has it; its errors are the model's. ``traced`` says
    that a call is only recorded by a compiler: it passes through unmeasured.
    """

    __slots__ = (
        "__dict__", "__weakref__", "_measured_exporter", "_measured_readers", "_measured_target",
        "_measured_traced", "_measured_wait",
    )  # fmt: skip

    def __init__(
        self,
        target: Any,
        exporter: ModelMetricsExporter,
        readers: Mapping[str, Read],
        *,
        wait: Wait | None = None,
        traced: Traced | None = None,
    ) -> None:
        set_here = functools.partial(object.__setattr__, self)
        state = getattr(target, "__dict__", None)
        if isinstance(state, dict):
            set_here("__dict__", state)  # vars() and compilers look there without asking __getattr__
        set_here("_measured_target", target)
        set_here("_measured_exporter", exporter)
        set_here("_measured_readers", dict(readers))
        set_here("_measured_wait", wait)
        set_here("_measured_traced", traced)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        read = self._measured_readers.get("__call__")
        if read is None:
            return self._measured_target(*args, **kwargs)
        return self._measured_run(self._measured_target, read, args, kwargs)

    @property
    def exporter(self) -> ModelMetricsExporter:
        """What measures the calls."""
        exporter: ModelMetricsExporter = self._measured_exporter
        return exporter

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":
            return self._measured_target
        value = getattr(self._measured_target, name)
        read = self._measured_readers.get(name)
        if read is not None:
            return self._measured_method(value, read)
        if isinstance(value, MethodType) and value.__self__ is self._measured_target:
            return self._measured_fluent(value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._measured_target, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._measured_target, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # Parent modules, pipelines and serving frameworks ask isinstance before they take a model.
        return type(self._measured_target)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._measured_target), "exporter"})

    def __repr__(self) -> str:
        return f"Measured({self._measured_target!r})"

    def __bool__(self) -> bool:
        return bool(self._measured_target)

    def __len__(self) -> int:
        return len(self._measured_target)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._measured_target)

    def __getitem__(self, key: Any) -> Any:
        return self._measured_target[key]

    def __contains__(self, item: object) -> bool:
        return item in self._measured_target

    def __copy__(self) -> Any:
        return copy.copy(self._measured_target)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._measured_target, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _itself, (self._measured_target,)

    def _measured_method(self, method: Callable[..., Any], read: Read) -> Callable[..., Any]:
        @functools.wraps(method)
        def measured(*args: Any, **kwargs: Any) -> Any:
            return self._measured_run(method, read, args, kwargs)

        return measured

    def _measured_fluent(self, method: MethodType) -> Callable[..., Any]:
        """A method such as ``model.eval()``, whose result would not be measured any more."""

        @functools.wraps(method.__func__)
        def fluent(self: Measured, *args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return self if result is self._measured_target else result

        return MethodType(fluent, self)

    def _measured_is_traced(self, args: Arguments, kwargs: Options) -> bool:
        traced = self._measured_traced
        try:
            return traced is not None and traced(args, kwargs)
        except Exception as error:  # noqa: BLE001 - the model may take what a framework cannot walk through
            log_failure("a model's arguments were not looked at", error)
            return False

    def _measured_run(
        self, function: Callable[..., Any], read: Read, args: Arguments, kwargs: Options
    ) -> Any:
        wait = self._measured_wait
        if self._measured_is_traced(args, kwargs):
            return function(*args, **kwargs)
        call = self._measured_exporter.current_call()
        if call is not None:
            result = function(*args, **kwargs)
            if wait is not None:
                wait(result)
            observe(call, read, args, kwargs, result)
            return result
        with self._measured_exporter.track() as call:
            result = function(*args, **kwargs)
            if wait is not None:
                wait(result)
            call.stop()
            observe(call, read, args, kwargs, result)
        return result


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


def unwrapped(target: Any) -> Any:
    """``target`` without its measurement."""
    return target.__wrapped__ if type(target) is Measured else target


def _itself(target: Any) -> Any:
    return target
