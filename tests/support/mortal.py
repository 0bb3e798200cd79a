"""Kill a child at a moment of writing files. Its parent has no threads, and has imported all it needs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def killed_at(act: Callable[[], object], moment: int, after: bool) -> bool:
    """Whether ``act`` was killed in a child: before or after its nth rename, removal or opening of a file."""
    child = os.fork()
    if not child:
        arm(moment, after)
        act()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


def arm(moment: int, after: bool) -> None:
    """From now on this process is killed before or after its nth rename, removal or opening of a file."""
    steps = [0]

    def mortal(act: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            steps[0] += 1
            is_last = steps[0] == moment
            if is_last and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = act(*arguments, **options)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for holder, names in ((Path, ("replace", "rename", "unlink")), (os, ("open",))):
        for name in names:
            setattr(holder, name, mortal(getattr(holder, name)))
