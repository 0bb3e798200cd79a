"""Uids of dashboards are stable, valid and distinct."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from modelplane_schema.uids import MAX_UID, dashboard_uid


@given(st.sampled_from(["tenant", "model"]), st.text(min_size=1, max_size=200))
def test_uids_are_valid_for_any_name(kind: str, name: str) -> None:
    uid = dashboard_uid(kind, name)
    assert re.fullmatch(r"[a-z0-9-]+", uid)
    assert uid.startswith(f"mp-{kind}-")
    assert not uid.endswith("-")
    assert len(uid) <= MAX_UID
    assert uid == dashboard_uid(kind, name)


def test_a_hash_is_appended_exactly_when_the_slug_is_lossy_or_long() -> None:
    assert dashboard_uid("tenant", "user-a") == "mp-tenant-user-a"
    assert re.fullmatch(r"mp-tenant-user-a-[0-9a-f]{6}", dashboard_uid("tenant", "user-A"))
    assert re.fullmatch(r"mp-tenant-[0-9a-f]{6}", dashboard_uid("tenant", "日本"))
    long_uid = dashboard_uid("model", "a" * 100)
    assert re.fullmatch(r"mp-model-a+-[0-9a-f]{6}", long_uid)
    assert len(long_uid) == MAX_UID
    assert len({dashboard_uid("tenant", name) for name in ("user-A", "user_a", "USER A", "user-a")}) == 4
