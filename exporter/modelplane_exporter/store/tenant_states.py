"""Which tenant's state a call counts in."""

from __future__ import annotations

from typing import Any, cast

from modelplane_exporter.contract_log import (
    NO_TENANT,
    NOT_A_TENANT,
    TENANT_FUNCTION_FAILED,
    log_noted,
)
from modelplane_exporter.identity import NotATenantError, tenant_text
from modelplane_exporter.measurement.identity_state import IdentityState
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_exporter.tenant_context import PER_CALL, TenantSource, resolve
from modelplane_schema.metrics import UNKNOWN_TENANT


class TenantStates:
    """The states of the tenants that ``source`` names; where it names none, that of ``__unknown__``."""

    def __init__(self, source: TenantSource, recorder: VersionRecorder) -> None:
        self._source = source
        self._recorder = recorder

    def fixed(self) -> IdentityState | None:
        """The state of all calls, None when the tenant differs from call to call."""
        return self._recorder.pinned_state(self._source) if isinstance(self._source, str) else None

    def of_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> IdentityState:
        """The state of a call with these arguments; a team's tenant function must not break its model."""
        try:
            named = resolve(self._source, args, kwargs)
        except Exception as error:  # noqa: BLE001 - it is the team's function
            # The error's text may hold data, so it is left out.
            self._recorder.contract_log.log(TENANT_FUNCTION_FAILED, detail=type(error).__name__)
            return self._recorder.state_of(UNKNOWN_TENANT)
        try:
            # Of another type than text: None.
            state: IdentityState | None = self._recorder.states.get(cast("str", named))
        except Exception:  # noqa: BLE001 - anybody's object
            state = None
        return state if state is not None else self._named(named)

    def of(self, tenant_id: object) -> IdentityState:
        """The state of the tenant that a caller names, or of a call without arguments if it names none."""
        if tenant_id is None:
            return self.fixed() or self.of_call((), {})
        return self._named(tenant_id)

    def _named(self, named: object) -> IdentityState:
        try:
            tenant_id = tenant_text(named)
        except Exception as error:  # noqa: BLE001 - anybody's object
            if named is None and self._source is PER_CALL:
                self._recorder.contract_log.log(NO_TENANT)
            else:
                detail = str(error) if isinstance(error, NotATenantError) else type(error).__name__
                self._recorder.contract_log.log(NOT_A_TENANT, detail=detail)
            return self._recorder.state_of(UNKNOWN_TENANT)
        state = self._recorder.state_of(tenant_id)
        log_noted()  # the tenant may be one too many
        return state
