"""Our boards in a Grafana, as its search and its API of all versions give them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from modelplane_provisioning.clients.grafana import GrafanaClient, GrafanaError, expected
from modelplane_provisioning.pictures.shots import OUR_UID, TAG, Board, board_of

_PAGE_ROWS = 500


def board_uids(grafana: GrafanaClient) -> list[str]:
    """The uids of our boards that the login may see, sorted; GrafanaError."""
    uids: dict[str, None] = {}
    page = 1
    while True:
        query = {"type": "dash-db", "tag": TAG, "limit": _PAGE_ROWS, "page": page}
        answer = grafana.request("GET", "/api/search", params=query)
        rows = expected(answer, grafana.login, "search for boards")
        if not isinstance(rows, list):
            raise GrafanaError(f"{grafana.url} answers a search, but not as Grafana does: check --grafana")
        known = len(uids)
        uids.update(dict.fromkeys(str(row.get("uid")) for row in rows if isinstance(row, dict)))
        # A proxy that forgets the page would give the first one for ever.
        if len(rows) < _PAGE_ROWS or len(uids) == known:
            return sorted(uid for uid in uids if OUR_UID.fullmatch(uid))
        page += 1


def boards_of(grafana: GrafanaClient, wanted: Sequence[str]) -> list[Board]:
    """The boards that are wanted, by uid; GrafanaError when one is not there, or none at all."""
    uids = board_uids(grafana)
    if not uids:
        raise GrafanaError(
            f"{grafana.url} has no board with the tag modelplane and a uid mp-... that this token may see: "
            "has it loaded the boards of modelplane, and may the token read their folders?"
        )
    absent = [uid for uid in wanted if uid not in uids]
    if absent:
        raise GrafanaError(f"{grafana.url} has no board {absent[0]!r}; there are: {', '.join(uids)}")
    return [_board(grafana, uid) for uid in uids if not wanted or uid in wanted]


def _board(grafana: GrafanaClient, uid: str) -> Board:
    """A board that cannot be read is no reason to leave out the others."""
    try:
        answer = grafana.request("GET", f"/api/dashboards/uid/{quote(uid, safe='')}")
        content = expected(answer, grafana.login, f"read the board {uid}")
        dashboard = content.get("dashboard") if isinstance(content, dict) else None
        if not isinstance(dashboard, dict):
            raise GrafanaError(f"{grafana.url} answers for {uid}, but not as Grafana does: check --grafana")
        return board_of(uid, dashboard)
    except GrafanaError as error:
        return Board(uid, uid, problem=str(error))
