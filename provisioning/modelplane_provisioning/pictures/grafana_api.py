"""The boards of a Grafana, by its HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import requests

from modelplane_provisioning.pictures.shots import OUR_UID, TAG, Board, board_of, origin_of
from modelplane_schema.errors import UserError

_TIMEOUT_SECONDS = 30
_PAGE_ROWS = 500


class GrafanaError(UserError, RuntimeError):
    """Grafana gave no answer, or refused; the message says what to do."""


def read_token(path: Path) -> str:
    """The token in a file; GrafanaError, which does not say what the file holds."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise GrafanaError(f"{path}: cannot be read as a token: {type(error).__name__}") from error
    if not token.isprintable() or not token or " " in token:
        raise GrafanaError(f"{path}: must hold a token of a service account of Grafana, and nothing else")
    return token


@dataclass(frozen=True, slots=True)
class GrafanaApi:
    """``url`` is Grafana's root, without a slash at its end."""

    url: str
    token: str

    def uids(self) -> list[str]:
        """The uids of our boards that the token may see, sorted; GrafanaError."""
        uids: dict[str, None] = {}
        page = 1
        while True:
            rows = self._get(
                "/api/search", {"type": "dash-db", "tag": TAG, "limit": _PAGE_ROWS, "page": page}
            )
            if not isinstance(rows, list):
                raise GrafanaError(f"{self.url} answers a search, but not as Grafana does: check --grafana")
            known = len(uids)
            uids.update(dict.fromkeys(str(row.get("uid")) for row in rows if isinstance(row, dict)))
            # A proxy that forgets the page would give the first one for ever.
            if len(rows) < _PAGE_ROWS or len(uids) == known:
                return sorted(uid for uid in uids if OUR_UID.fullmatch(uid))
            page += 1

    def board(self, uid: str) -> Board:
        """A board; GrafanaError."""
        answer = self._get(f"/api/dashboards/uid/{quote(uid, safe='')}", {})
        dashboard = answer.get("dashboard") if isinstance(answer, dict) else None
        if not isinstance(dashboard, dict):
            raise GrafanaError(f"{self.url} answers for {uid}, but not as Grafana does: check --grafana")
        return board_of(uid, dashboard)

    def _get(self, path: str, query: Mapping[str, Any]) -> Any:
        try:
            with requests.Session() as session:
                session.trust_env = False  # a token is for Grafana, and no proxy of the environment
                response = session.get(
                    f"{self.url}{path}", params=query, headers={"Authorization": f"Bearer {self.token}"},
                    timeout=_TIMEOUT_SECONDS, allow_redirects=False,
                )  # fmt: skip
        except requests.RequestException as error:
            raise GrafanaError(
                f"{self.url} gives no answer ({type(error).__name__}): is Grafana running there?"
            ) from error
        return _decoded(self.url, response)


def boards_of(api: GrafanaApi, wanted: Sequence[str]) -> list[Board]:
    """The boards that are wanted, by uid; GrafanaError when one is not there, or none at all."""
    uids = api.uids()
    if not uids:
        raise GrafanaError(
            f"{api.url} has no board with the tag modelplane and a uid mp-... that this token may see: "
            "has it loaded the boards of modelplane, and may the token read their folders?"
        )
    absent = [uid for uid in wanted if uid not in uids]
    if absent:
        raise GrafanaError(f"{api.url} has no board {absent[0]!r}; there are: {', '.join(uids)}")
    return [_board(api, uid) for uid in uids if not wanted or uid in wanted]


def _board(api: GrafanaApi, uid: str) -> Board:
    """A board that cannot be read is no reason to leave out the others."""
    try:
        return api.board(uid)
    except GrafanaError as error:
        return Board(uid, uid, problem=str(error))


def _decoded(url: str, response: requests.Response) -> Any:
    status = response.status_code
    if response.is_redirect:
        target = origin_of(urljoin(response.url, response.headers["Location"]))
        raise GrafanaError(f"{url} sends to {target or 'nowhere'}: name Grafana's own address with --grafana")
    try:
        content = response.json()
    except requests.JSONDecodeError:
        raise GrafanaError(
            f"{url} answered {status} with something that is not Grafana's: check --grafana; "
            "a proxy in front must let tokens pass"
        ) from None
    if status == requests.codes.ok:
        return content
    message = content.get("message") if isinstance(content, dict) else None
    advice = "; --token-file must hold a token of a service account with the role Viewer"
    is_refused = status in (requests.codes.unauthorized, requests.codes.forbidden)
    raise GrafanaError(f"Grafana answered {status}: {message or 'no reason'}{advice if is_refused else ''}")
