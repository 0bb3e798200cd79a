"""Follow a registry, whichever way its file changes: in place, by rename, or by the link of a ConfigMap."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from modelplane_provisioning.apply.rendered import registry_file
from modelplane_provisioning.bundle.registry_files import registry_files
from modelplane_schema.errors import UserError
from modelplane_schema.registry import load_registry

POLL_SECONDS = 2.0


class Watch:
    """Applies a registry when its content changes, and again until all parts have taken it.

    What is wrong is said once, until it is another thing: a bad registry leaves the plane as it is.
    """

    def __init__(self, place: Path, apply: Callable[[], None], say: Callable[[str], None]) -> None:
        self._place = place
        self._apply = apply
        self._say = say
        self._applied: str | None = None
        self._problem = ""

    def look(self) -> None:
        """One look at the registry and the files that it names."""
        try:
            content = self._digest()
            if content == self._applied:
                self._problem = ""
                return
            self._apply()
        except UserError as error:
            self._complain(str(error))
        except OSError as error:  # files come and go while they are read
            self._complain(f"{error.filename or self._place}: {error.strerror or error}")
        else:
            self._applied, self._problem = content, ""

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Look every two seconds until ``until()`` holds."""
        while not until():
            self.look()
            time.sleep(POLL_SECONDS)

    def _digest(self) -> str:
        """Of the registry and of the secrets that it names; a UserError when they cannot be used."""
        file = registry_file(self._place)
        secrets = registry_files(load_registry(file), file.parent)
        contents = (file.read_bytes(), *(path.encode() + secrets[path] for path in sorted(secrets)))
        return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._say(problem)
