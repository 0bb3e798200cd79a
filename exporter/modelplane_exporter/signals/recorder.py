"""Where one exporter observes signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import version_of
from modelplane_exporter.measurement.identity_state import IdentityState
from modelplane_exporter.signals.sampling import Sampler
from modelplane_exporter.signals.store import SignalStore
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import ALL_TENANTS, OVERFLOW, SIGNAL_KINDS

if TYPE_CHECKING:
    from modelplane_exporter.signals.row_queue import Report, SignalState


class SignalRecorder:
    """Records the signals of one exporter, for all tenants together or for each."""

    def __init__(
        self, store: SignalStore, version: Identity, baseline: Baseline, by_tenant: bool,
        sampler: Sampler, report: Report, overflowed: Callable[[], None],
    ) -> None:  # fmt: skip
        self.sampler = sampler
        self._store = store
        self._version = version
        self._overflowed = overflowed
        labels = version_of(version)
        self.load = store.load(labels, baseline, report)
        self._queue = self.load.queue
        self._names = {kind: [s.name for s in baseline.of_kind(kind)] for kind in SIGNAL_KINDS}
        for kind in {signal.kind for signal in baseline.signals} - {"activation"}:
            store.show_sampling_ratio(labels, kind, sampler.ratio)
        # Kept at hand, because looking it up takes a fifth of the time of observing a row.
        self._of_all = None if by_tenant else self._state_of(ALL_TENANTS)

    def observe(self, kind: str, values: Any, call: IdentityState) -> None:
        """Observe values of one kind for the tenant of ``call``, unless the baseline was replaced."""
        if not self.load.is_exposed:
            return
        state = self._of_all or self._state_of(call.key.identity.tenant_id)
        self._queue.observe(kind, values, state, call)

    def names(self, kind: str) -> list[str]:
        """The signals of one kind."""
        return self._names.get(kind, [])

    def expect(self, tenant_id: str) -> None:
        """Show the tenant's signals at 0, where signals are by tenant."""
        if self._of_all is None:
            self._state_of(tenant_id)

    def _state_of(self, tenant_id: str) -> SignalState:
        """The state of a tenant; that of ``__overflow__`` when the budget has no room for its series."""
        state = self._store.state_of(self.load, self._version._replace(tenant_id=tenant_id))
        if state is None:
            self._overflowed()
            state = self._store.state_of(self.load, self._version._replace(tenant_id=OVERFLOW))
        if state is None:
            raise RuntimeError("the series of __overflow__ are always within the budget")
        return state
