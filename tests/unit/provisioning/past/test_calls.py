"""Device seconds of calls at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_provisioning.past.calls import charged

loads = st.lists(st.lists(st.floats(0, 1000), min_size=5, max_size=5), min_size=1, max_size=4)


@pytest.mark.slow
@given(loads)
def test_charges_of_a_device_never_exceed_the_time_and_follow_the_calls(by_user: list[list[float]]) -> None:
    seconds = np.full(5, 15.0)
    charges = charged({("v1", str(user)): np.array(load) for user, load in enumerate(by_user)}, seconds)
    assert (np.diff(sum(charges.values()), prepend=0) <= 15 * (1 + 1e-9)).all()
    for user, load in enumerate(by_user):
        assert (np.diff(charges["v1", str(user)]) >= 0).all()
        assert (np.diff(charges["v1", str(user)], prepend=0) <= np.array(load) * (1 + 1e-9)).all()


def test_few_calls_are_charged_what_they_take() -> None:
    (charge,) = charged({("v1", "north"): np.array([0.001])}, np.array([15.0])).values()
    assert charge[0] == pytest.approx(0.001, rel=1e-3)


def test_a_step_without_length_charges_nothing() -> None:
    (charge,) = charged({("v1", "north"): np.array([0.0])}, np.array([0.0])).values()
    assert charge[0] == 0
