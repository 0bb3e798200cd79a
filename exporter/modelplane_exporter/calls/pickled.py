"""Objects that belong to a process, and what stands for them in another one that they are pickled to."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Mapping
from typing import Any, Self

_in_this_process: weakref.WeakValueDictionary[str, PickledByArguments] = weakref.WeakValueDictionary()
_made_from_pickles: dict[str, PickledByArguments] = {}


class PickledByArguments:
    """An object that is the same in its process, however often it is copied or pickled.

    Another process makes it once of the arguments that it was made of. A fork has it already.
    """

    _arguments: Mapping[str, Any]
    _token: str

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Any:
        return _restored, (type(self), self._token, self._arguments_elsewhere())

    def _arguments_elsewhere(self) -> Mapping[str, Any]:
        """What another process makes the object of."""
        return self._arguments

    def _remember(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._token = uuid.uuid4().hex
        _in_this_process[self._token] = self


def _restored(kind: type[PickledByArguments], token: str, arguments: Mapping[str, Any]) -> PickledByArguments:
    restored = _in_this_process.get(token)
    if restored is None:
        restored = kind(**arguments)
        restored._token = token  # a pickle of it finds its way back
        _in_this_process[token] = _made_from_pickles[token] = restored
    return restored
