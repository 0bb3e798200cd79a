"""Where the calls of one model version are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.contract_log import (
    BUSINESS_INVALID,
    BUSINESS_MISSING,
    EVENT_INVALID,
    EVENTS_OVERFLOW,
    FEEDBACK_INVALID,
    SCORE_INVALID,
    SCORES_OVERFLOW,
    SIGNALS_OVERFLOW,
    VALUES_OVERFLOW,
)
from modelplane_exporter.identity import is_label, version_of
from modelplane_exporter.layout.calls import Key
from modelplane_exporter.measurement.business_values import (
    MISSING,
    WRONG_TYPE,
    business_numbers,
    columns_of,
)
from modelplane_exporter.measurement.identity_state import BatchState, IdentityState
from modelplane_exporter.measurement.names import is_name
from modelplane_exporter.measurement.observation import whole_number
from modelplane_exporter.signals.recorder import SignalRecorder
from modelplane_exporter.signals.sampling import Sampler
from modelplane_exporter.store.store import Store
from modelplane_schema import metrics as schema
from modelplane_schema.identity import Identity

_OF_VALUES = {MISSING: BUSINESS_MISSING, WRONG_TYPE: BUSINESS_INVALID}
DEFAULT_IDLE_TTL = 26 * 3600.0


class VersionRecorder:
    """Records calls of one model version on one device; ``states`` are those of the tenants seen so far.

    The tenant of ``version`` is ignored.
    """

    def __init__(
        self, store: Store, version: Identity, device: tuple[str, str],
        max_tenants: int, idle_ttl: float = DEFAULT_IDLE_TTL, signals_by_tenant: bool = False,
    ) -> None:  # fmt: skip
        self.meter = store.meter_of(device)
        self._store = store
        self._version = version
        self._device = device
        self._max_tenants = max_tenants
        self._idle_ttl = idle_ttl
        self._signals_by_tenant = signals_by_tenant
        self.states: dict[str, IdentityState] = store.tenants_of(version, device)
        self.contract_log = store.contract_log_of(version)
        self.contract_log.renew()

    def state_of(self, tenant_id: str) -> IdentityState:
        """The tenant's state; that of ``__overflow__`` once the model has too many tenants."""
        state = self.states.get(tenant_id)
        if state is not None:
            return state
        return self._store.admit(self._key(tenant_id), self.states, self._max_tenants, self._idle_ttl)

    def pinned_state(self, tenant_id: str) -> IdentityState:
        """The tenant's state, which is never evicted: functions hold on to it."""
        state = self.state_of(tenant_id)
        state.pinned = True
        return state

    def batch_state(self, items: Mapping[str, int]) -> BatchState:
        """A state for one batch call of several tenants."""
        parts = [(self.state_of(tenant_id), count) for tenant_id, count in items.items()]
        batch = BatchState(self._key(schema.ALL_TENANTS), parts, self._store.batch_ended)
        self._store.batches[batch] = None
        return batch

    def count_event(self, state: IdentityState, event: object, count: object) -> None:
        """Count a business event of a tenant; anything but a name and a whole number counts as invalid."""
        identity = next(iter(state.states())).key.identity
        number = whole_number(count)
        if not is_label(event) or number is None:
            self.count_invalid(state, EVENT_INVALID)
        elif not self._store.events.add_event(identity, event, number):
            self._store.overflowed(identity, "event", EVENTS_OVERFLOW)

    def count_feedback(self, state: IdentityState, correct: object, count: object) -> None:
        """Count predictions that turned out correct, or not; anything but a truth value counts as invalid."""
        number = whole_number(count)
        # A truth value of NumPy is not an instance of bool.
        is_truth_value = isinstance(correct, bool) or type(correct).__name__ in ("bool", "bool_")
        if not is_truth_value or number is None:
            self.count_invalid(state, FEEDBACK_INVALID)
        else:
            self._store.events.add_feedback(state.key.identity, bool(correct), number)

    def count_invalid(self, state: IdentityState, kind: str, count: int = 1, part: str = "") -> None:
        """Count values that broke the data contract outside of a call, by the kind of violation."""
        self._store.report_invalid(state, kind, count, part, "")

    def count_values(self, state: IdentityState, values: Any, described: Collection[str] = ()) -> None:
        """Count business values of a tenant, by name, and add them up.

        ``described`` are those that the baseline has as signals: there it shows what cannot be added up. What
        has no name, or a wrong one, counts as invalid.
        """
        columns = columns_of(values)
        if columns is None:
            self.count_invalid(state, BUSINESS_INVALID)
            return
        identity = next(iter(state.states())).key.identity
        invalid = Counter[str]()
        for name, value in columns:
            if not is_name(name):
                invalid[WRONG_TYPE] += 1
                continue
            numbers, wrong = business_numbers(value)
            if numbers and not self._store.values.add(identity, str.__str__(name), numbers):
                self._store.overflowed(identity, "value", VALUES_OVERFLOW)
            if name not in described:
                invalid += wrong
        for reason, count in invalid.items():
            self.count_invalid(state, _OF_VALUES.get(reason, reason), count, "business")

    def score(self, state: IdentityState, name: object, value: object) -> None:
        """Observe a score of a tenant, where signals are by tenant, or of all of them together."""
        identity = next(iter(state.states())).key.identity
        if not self._signals_by_tenant:
            identity = identity._replace(tenant_id=schema.ALL_TENANTS)
        invalid, fits = self._store.signals.scores.observe(identity, name, value)
        if not fits:
            self._store.overflowed(identity, "signal", SCORES_OVERFLOW)
        for reason, count in invalid.items():
            self.count_invalid(state, SCORE_INVALID if reason == WRONG_TYPE else reason, count, "score")

    def signals(self, baseline: Baseline, sampler: Sampler) -> SignalRecorder:
        """Where signals of the version are observed; ValueError when the series budget has no room."""
        try:
            return self._signals(baseline, sampler)
        except ValueError:
            self._store.make_room()
            return self._signals(baseline, sampler)

    def _signals(self, baseline: Baseline, sampler: Sampler) -> SignalRecorder:
        store, version = self._store, self._version
        return SignalRecorder(
            store.signals,
            version,
            baseline,
            self._signals_by_tenant,
            sampler,
            store.report_invalid,
            lambda: store.overflowed(version, schema.TENANT_ID, SIGNALS_OVERFLOW),
        )

    def show_sampling_ratio(self, kind: str, ratio: float) -> None:
        """Expose the share of calls whose signals of ``kind`` are observed."""
        self._store.signals.show_sampling_ratio(version_of(self._version), kind, lambda: ratio)

    def _key(self, tenant_id: str) -> Key:
        return Key(self._version._replace(tenant_id=tenant_id), *self._device)
