"""The states of all identities of a process: who has one, who must make room, and who comes back."""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from modelplane_exporter.contract_log import ContractLog
from modelplane_exporter.identity import Version, version_of
from modelplane_exporter.layout.calls import Key
from modelplane_exporter.measurement.identity_state import IdentityState
from modelplane_exporter.measurement.tenant_guard import TenantGuard
from modelplane_schema import metrics as schema
from modelplane_schema.identity import Identity

Device = tuple[str, str]


class StatesByTenant(dict[str, IdentityState]):
    """The states of a version on a device, by tenant; a plain dictionary cannot be referred to weakly."""

    __slots__ = ("__weakref__",)


class IdentityStates:
    """States by key; callers hold the store's lock.

    ``on_begin`` and ``on_forget`` get each identity that comes and goes. A state that has gone comes back
    when whoever still refers to it, a function for example, counts a call in it.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        on_begin: Callable[[Identity], None],
        on_forget: Callable[[Identity], None],
        contract_log_of: Callable[[Identity], ContractLog],
    ) -> None:
        self._clock = clock
        self._on_begin = on_begin
        self._on_forget = on_forget
        self._contract_log_of = contract_log_of
        self._states: dict[Key, IdentityState] = {}
        self._retired: weakref.WeakValueDictionary[Key, IdentityState] = weakref.WeakValueDictionary()
        self._tenants: weakref.WeakValueDictionary[tuple[Identity, Device], StatesByTenant] = (
            weakref.WeakValueDictionary()
        )
        self._guards: dict[str, TenantGuard] = {}

    def tenants_of(self, version: Identity, device: Device) -> StatesByTenant:
        """The dictionary that all who count for a version on a device share; its tenant is ignored."""
        key = (version._replace(tenant_id=schema.UNKNOWN_TENANT), device)
        states = self._tenants.get(key)
        if states is None:
            states = self._tenants[key] = StatesByTenant()
        return states

    def admit(
        self, key: Key, by_tenant: dict[str, IdentityState], max_tenants: int, idle_ttl: float
    ) -> tuple[IdentityState, bool]:
        """The state of a key, and whether its tenant fits; else it is that of ``__overflow__``."""
        identity, fits = key.identity, True
        if identity.tenant_id not in schema.RESERVED_TENANTS:
            fits, evicted = self._guard(identity).admit(identity.tenant_id, max_tenants, idle_ttl)
            self._retire(evicted)
            if not fits:
                key = key._replace(identity=identity._replace(tenant_id=schema.OVERFLOW))
        state = self._states.get(key)
        if state is None:
            state = self._retired.pop(key, None)
            if state is None:
                state = IdentityState(key, self._contract_log_of(key.identity))
            state.last_used = self._clock()
            self._add(state)
        by_tenant[key.identity.tenant_id] = state
        return state, fits

    def revive(self) -> None:
        """Put states back in which a call was counted after they had gone."""
        for state in list(self._retired.values()):
            if state.is_in_use or state.last_used >= state.retired_at:
                del self._retired[state.key]
                self._add(state)
                self.tenants_of(state.key.identity, state.key[1:])[state.key.identity.tenant_id] = state

    def every(self) -> list[IdentityState]:
        """All states that are there."""
        return list(self._states.values())

    def unpin(self, version: Version, tenant_id: str) -> None:
        """No exporter has the tenant as its fixed one any more."""
        for state in self._states.values():
            identity = state.key.identity
            if identity.tenant_id == tenant_id and version_of(identity) == version:
                state.pinned = False

    def retire_idle(self, idle_ttl: Mapping[Version, float]) -> set[Version]:
        """Of these versions let identities go that were idle for so many seconds; gives those without any."""
        by_identity: defaultdict[Identity, list[IdentityState]] = defaultdict(list)
        for state in self._states.values():
            by_identity[state.key.identity].append(state)
        now, empty = self._clock(), set(idle_ttl)
        for identity, states in by_identity.items():
            version = version_of(identity)
            if version in idle_ttl:
                before = now - idle_ttl[version]
                if any(state.is_in_use or state.last_used > before for state in states):
                    empty.discard(version)
                else:
                    self._retire(states)
        return empty

    def after_fork(self) -> None:
        """In a forked child: what was counted so far is the parent's."""
        for state in self._states.values():
            state.reset()
        self._retired.clear()

    def _guard(self, identity: Identity) -> TenantGuard:
        return self._guards.setdefault(identity.model_name, TenantGuard(self._clock))

    def _add(self, state: IdentityState) -> None:
        identity = state.key.identity
        state.retired_at = math.inf
        self._states[state.key] = state
        self._on_begin(identity)
        self._guard(identity).add(state)

    def _retire(self, states: Iterable[IdentityState]) -> None:
        for state in list(states):
            identity = state.key.identity
            state.retired_at = self._clock()
            del self._states[state.key]
            self._retired[state.key] = state
            self.tenants_of(identity, state.key[1:]).pop(identity.tenant_id, None)
            self._guard(identity).forget(state)
            self._on_forget(identity)
