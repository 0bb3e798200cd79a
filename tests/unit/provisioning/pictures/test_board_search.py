"""The boards of a Grafana by its API: all pages of a search, and one sentence for what is no Grafana."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modelplane_provisioning.clients.grafana import GrafanaClient, GrafanaError, Login
from modelplane_provisioning.pictures import board_search
from modelplane_provisioning.pictures.board_search import board_uids, boards_of
from modelplane_provisioning.processes import free_port
from provisioning_support.grafana_pages import TOKEN, GrafanaPages, PageBoard, grafana_pages

BOARDS = (
    *(PageBoard(f"mp-{index}") for index in range(5)),
    PageBoard("mp-untagged", tags=()),
    PageBoard("of-somebody"),
    PageBoard("mp-../x"),
    PageBoard("mp-missing", behaviour="missing"),
)
OURS = ["mp-0", "mp-1", "mp-2", "mp-3", "mp-4", "mp-missing"]


@pytest.fixture
def pages() -> Iterator[GrafanaPages]:
    with grafana_pages(*BOARDS) as served:
        yield served


def client(url: str, token: str = TOKEN) -> GrafanaClient:
    return GrafanaClient(url, Login.of_token(token), number="")


@pytest.fixture
def grafana(pages: GrafanaPages) -> GrafanaClient:
    return client(pages.url)


@pytest.mark.parametrize("rows", [1, 2, 4, 8, 500])
def test_a_search_is_read_to_its_end(
    rows: int, grafana: GrafanaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_search, "_PAGE_ROWS", rows)
    assert board_uids(grafana) == OURS


def test_a_search_that_repeats_itself_ends(
    grafana: GrafanaClient, pages: GrafanaPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_search, "_PAGE_ROWS", 2)
    pages.failing = (200, "application/json", '[{"uid": "mp-a"}, {"uid": "mp-b"}, null]')
    assert board_uids(grafana) == ["mp-a", "mp-b"]


def test_boards_are_read_and_one_that_cannot_be_is_no_reason_to_stop(grafana: GrafanaClient) -> None:
    boards = boards_of(grafana, ())
    assert [board.uid for board in boards] == OURS
    assert [(board.title, board.panels) for board in boards[:1]] == [("Board mp-0", 1)]
    assert [board.problem for board in boards if board.problem] == [
        "Grafana refuses to read the board mp-missing (404: Dashboard not found)"
    ]


def test_boards_can_be_chosen(grafana: GrafanaClient) -> None:
    assert [board.uid for board in boards_of(grafana, ["mp-3", "mp-1"])] == ["mp-1", "mp-3"]
    with pytest.raises(GrafanaError, match="has no board 'mp-9'; there are: mp-0, mp-1"):
        boards_of(grafana, ["mp-1", "mp-9"])


def test_a_grafana_without_boards_of_ours_is_said(pages: GrafanaPages) -> None:
    pages.boards = (PageBoard("of-somebody"),)
    with pytest.raises(GrafanaError, match="has no board with the tag modelplane"):
        boards_of(client(pages.url), ())


def test_a_refused_token_is_said_and_not_shown(pages: GrafanaPages) -> None:
    with pytest.raises(GrafanaError) as refusal:
        board_uids(client(pages.url, "glsa_wrong"))
    assert str(refusal.value).startswith(
        "Grafana does not accept the token of --token-file (401: Invalid API key); make a new token"
    )
    assert "glsa_wrong" not in str(refusal.value)


@pytest.mark.parametrize(
    ("failing", "sentence"),
    [
        ((200, "text/html", "<html>Sign in"), "answered 200 with something that is not Grafana's"),
        ((502, "text/html", "<html>Bad gateway"), "answered 502 with something that is not Grafana's"),
        (
            (403, "application/json", '{"message": "no"}'),
            "may not search for boards (403: no); give it that right",
        ),
        ((500, "application/json", "[]"), "refuses to search for boards (500: without a reason)"),
        ((200, "application/json", '{"a": 1}'), "not as Grafana does: check --grafana"),
    ],
)
def test_what_is_no_answer_of_grafana_is_one_sentence(
    failing: tuple[int, str, str], sentence: str, grafana: GrafanaClient, pages: GrafanaPages
) -> None:
    pages.failing = failing
    with pytest.raises(GrafanaError) as failure:
        board_uids(grafana)
    assert sentence in str(failure.value)


def test_a_redirect_is_not_followed_with_the_token(pages: GrafanaPages) -> None:
    pages.redirect = f"{pages.elsewhere}/api/search"
    with pytest.raises(
        GrafanaError,
        match=f"sends to {pages.elsewhere}/api/search, as to a login: name Grafana's own address",
    ):
        board_uids(client(pages.url))
    assert pages.foreign_requests == []


def test_no_grafana_at_all_is_one_sentence() -> None:
    with pytest.raises(GrafanaError, match=r"gives no answer \(ConnectionError\): is Grafana running there"):
        board_uids(client(f"http://127.0.0.1:{free_port()}"))
