"""The cardinality guard: how many distinct tenants a model may have, and who makes room."""

from __future__ import annotations

from collections.abc import Callable

from modelplane_exporter.measurement.identity_state import IdentityState
from modelplane_schema.metrics import RESERVED_TENANTS


class TenantGuard:
    """Tenants of one model. At the cap the least recently used makes room, if it was idle long enough.

    ``tenants`` maps a tenant to its states, one for each version and device.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.tenants: dict[str, list[IdentityState]] = {}
        self._clock = clock
        self._no_room_before = 0.0

    def admit(self, tenant_id: str, max_tenants: int, idle_ttl: float) -> tuple[bool, list[IdentityState]]:
        """Whether the tenant may have states, and the states that had to go for it."""
        if tenant_id in self.tenants:
            return True, []
        evicted: list[IdentityState] = []
        if len(self.tenants) >= max_tenants:
            now = self._clock()
            if now < self._no_room_before:
                return False, []
            oldest = min(self.tenants, key=self._last_used)
            room_at = self._last_used(oldest) + idle_ttl
            if now < room_at:
                # Nobody can become older than the oldest: no need to look again before.
                self._no_room_before = room_at
                return False, []
            evicted = self.tenants.pop(oldest)
        self.tenants[tenant_id] = []
        return True, evicted

    def add(self, state: IdentityState) -> None:
        """A state of a tenant that was admitted, or comes back; those of reserved tenants do not count."""
        tenant_id = state.key.identity.tenant_id
        if tenant_id not in RESERVED_TENANTS:
            self.tenants.setdefault(tenant_id, []).append(state)

    def forget(self, state: IdentityState) -> None:
        """A state has gone; with its last one the tenant has."""
        tenant_id = state.key.identity.tenant_id
        states = self.tenants.get(tenant_id, [])
        if state in states:
            states.remove(state)
            if not states:
                del self.tenants[tenant_id]

    def _last_used(self, tenant_id: str) -> float:
        states = self.tenants[tenant_id]
        if any(state.pinned or state.is_in_use for state in states):
            return self._clock()
        return max((state.last_used for state in states), default=self._clock())
