"""Where one exporter observes signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import version_of
from modelplane_exporter.layout.signals import layout_of
from modelplane_exporter.measurement.identity_state import Series
from modelplane_exporter.signals.sampling import Sampler
from modelplane_exporter.signals.store import SignalStore
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import ALL_TENANTS, OVERFLOW

if TYPE_CHECKING:
    from modelplane_exporter.signals.row_queue import Report, SignalSeries


class SignalLane:
    """The signals of one exporter: observes for all tenants together, or for each."""

    def __init__(
        self, store: SignalStore, version: Identity, baseline: Baseline, by_tenant: bool,
        sampler: Sampler, report: Report, overflowed: Callable[[], None],
    ) -> None:  # fmt: skip
        self.sampler = sampler
        self._store = store
        self._version = version
        self._overflowed = overflowed
        self._layout = layout_of(baseline)
        labels = version_of(version)
        self._recorder = store.load(labels, baseline, report)
        for kind in {signal.kind for signal in baseline.signals} - {"activation"}:
            store.show_ratio(labels, kind, sampler.ratio)
        # Kept at hand, because looking it up takes a fifth of the time of observing a row.
        self._of_all = None if by_tenant else self.series_of(ALL_TENANTS)

    def observe(self, kind: str, values: Any, call: Series) -> None:
        """Observe values of one kind for the tenant of ``call``."""
        series = self._of_all or self.series_of(call.key.identity.tenant_id)
        self._recorder.observe(kind, values, series, call)

    def expect(self, tenant_id: str) -> None:
        """Show the tenant's signals at 0, where signals are by tenant."""
        if self._of_all is None:
            self.series_of(tenant_id)

    def series_of(self, tenant_id: str) -> SignalSeries:
        """The series of a tenant; those of ``__overflow__`` when the budget has no room for them."""
        found = self._store.series_of(self._version._replace(tenant_id=tenant_id), self._layout)
        if found is None:
            self._overflowed()
            found = self._store.series_of(self._version._replace(tenant_id=OVERFLOW), self._layout)
        if found is None:
            raise RuntimeError("the series of __overflow__ are always within the budget")
        return found
