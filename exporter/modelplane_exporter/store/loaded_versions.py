"""Which model versions are loaded, by the exporters that measure them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from modelplane_exporter.identity import Version
from modelplane_exporter.signals.store import SignalLoad


@dataclass(eq=False, slots=True)
class LoadedVersion:
    """What one exporter has loaded.

    ``info`` are the values of ``model_info``'s labels after the version's; ``tenant_id`` is its tenant if
    that is fixed; counters stay for ``idle_ttl`` seconds after the last call.
    """

    version: Version
    info: tuple[str, ...]
    idle_ttl: float
    tenant_id: str | None = None
    signals: SignalLoad | None = None


class LoadedVersions:
    """Loaded versions, and those that were; callers hold the store's lock, except for ``release``."""

    def __init__(self) -> None:
        self._loaded: dict[Version, list[LoadedVersion]] = {}
        self._idle_ttl: dict[Version, float] = {}
        self._released: deque[LoadedVersion] = deque()

    def add(self, loaded: LoadedVersion) -> None:
        """An exporter was made."""
        self._loaded.setdefault(loaded.version, []).append(loaded)
        self._idle_ttl[loaded.version] = max(loaded.idle_ttl, self._idle_ttl.get(loaded.version, 0.0))

    def release(self, loaded: LoadedVersion) -> None:
        """An exporter is closed or collected, in the middle of anything: the rest comes later."""
        self._released.append(loaded)

    def take_released(self) -> Iterator[LoadedVersion]:
        """Each that was released, once; it is not loaded any more."""
        while self._released:
            loaded = self._released.popleft()
            others = self._loaded.get(loaded.version, [])
            if loaded in others:
                others.remove(loaded)
                if not others:
                    del self._loaded[loaded.version]
                yield loaded

    def __bool__(self) -> bool:
        return bool(self._loaded)

    def __contains__(self, version: Version) -> bool:
        return version in self._loaded

    def has_tenant(self, version: Version, tenant_id: str) -> bool:
        """Whether an exporter has the tenant as its fixed one."""
        return any(loaded.tenant_id == tenant_id for loaded in self._loaded.get(version, ()))

    def info(self) -> list[tuple[str, ...]]:
        """The labels of ``model_info``: of each version what its newest exporter says."""
        return [(*version, *exporters[-1].info) for version, exporters in self._loaded.items()]

    def unloaded(self) -> dict[Version, float]:
        """Versions that were loaded and are not, with the seconds for which their counters stay."""
        return {version: ttl for version, ttl in self._idle_ttl.items() if version not in self._loaded}

    def forget(self, version: Version) -> None:
        """Nothing is left of a version that is not loaded."""
        self._idle_ttl.pop(version, None)
