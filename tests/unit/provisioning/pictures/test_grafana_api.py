"""The boards of a Grafana by its API: all pages of a search, and one sentence for what is no Grafana."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelplane_provisioning.pictures import grafana_api
from modelplane_provisioning.pictures.grafana_api import GrafanaApi, GrafanaError, boards_of, read_token
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


@pytest.fixture
def api(pages: GrafanaPages) -> GrafanaApi:
    return GrafanaApi(pages.url, TOKEN)


@pytest.mark.parametrize("rows", [1, 2, 4, 8, 500])
def test_a_search_is_read_to_its_end(rows: int, api: GrafanaApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana_api, "_PAGE_ROWS", rows)
    assert api.uids() == OURS


def test_a_search_that_repeats_itself_ends(
    api: GrafanaApi, pages: GrafanaPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grafana_api, "_PAGE_ROWS", 2)
    pages.failing = (200, "application/json", '[{"uid": "mp-a"}, {"uid": "mp-b"}, null]')
    assert api.uids() == ["mp-a", "mp-b"]


def test_boards_are_read_and_one_that_cannot_be_is_no_reason_to_stop(api: GrafanaApi) -> None:
    boards = boards_of(api, ())
    assert [board.uid for board in boards] == OURS
    assert [(board.title, board.panels) for board in boards[:1]] == [("Board mp-0", 1)]
    assert [board.problem for board in boards if board.problem] == [
        "Grafana answered 404: Dashboard not found"
    ]


def test_boards_can_be_chosen(api: GrafanaApi) -> None:
    assert [board.uid for board in boards_of(api, ["mp-3", "mp-1"])] == ["mp-1", "mp-3"]
    with pytest.raises(GrafanaError, match="has no board 'mp-9'; there are: mp-0, mp-1"):
        boards_of(api, ["mp-1", "mp-9"])


def test_a_grafana_without_boards_of_ours_is_said(pages: GrafanaPages) -> None:
    pages.boards = (PageBoard("of-somebody"),)
    with pytest.raises(GrafanaError, match="has no board with the tag modelplane"):
        boards_of(GrafanaApi(pages.url, TOKEN), ())


def test_a_refused_token_is_said_and_not_shown(pages: GrafanaPages) -> None:
    with pytest.raises(GrafanaError) as refusal:
        GrafanaApi(pages.url, "glsa_wrong").uids()
    assert str(refusal.value).startswith("Grafana answered 401: Invalid API key; --token-file must hold")
    assert "glsa_wrong" not in str(refusal.value)


@pytest.mark.parametrize(
    ("failing", "sentence"),
    [
        ((200, "text/html", "<html>Sign in"), "answered 200 with something that is not Grafana's"),
        ((502, "text/html", "<html>Bad gateway"), "answered 502 with something that is not Grafana's"),
        ((403, "application/json", '{"message": "no"}'), "Grafana answered 403: no; --token-file"),
        ((500, "application/json", "[]"), "Grafana answered 500: no reason"),
        ((200, "application/json", '{"a": 1}'), "not as Grafana does: check --grafana"),
    ],
)
def test_what_is_no_answer_of_grafana_is_one_sentence(
    failing: tuple[int, str, str], sentence: str, api: GrafanaApi, pages: GrafanaPages
) -> None:
    pages.failing = failing
    with pytest.raises(GrafanaError) as failure:
        api.uids()
    assert sentence in str(failure.value)
    with pytest.raises(GrafanaError):
        api.board("mp-1")


def test_a_redirect_is_not_followed_with_the_token(pages: GrafanaPages) -> None:
    pages.redirect = f"{pages.elsewhere}/api/search"
    with pytest.raises(GrafanaError, match=f"sends to {pages.elsewhere}: name Grafana's own address"):
        GrafanaApi(pages.url, TOKEN).uids()
    assert pages.foreign_requests == []


def test_no_grafana_at_all_is_one_sentence() -> None:
    with pytest.raises(GrafanaError, match=r"gives no answer \(ConnectionError\): is Grafana running there"):
        GrafanaApi(f"http://127.0.0.1:{free_port()}", TOKEN).uids()


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"two\nlines", "ü".encode(), b"\x00"])
def test_what_is_no_token_is_refused_and_not_shown(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(GrafanaError) as refusal:
        read_token(path)
    assert "two" not in str(refusal.value)
    path.write_text(f"{TOKEN}\n", encoding="ascii")
    assert read_token(path) == TOKEN
    with pytest.raises(GrafanaError, match="FileNotFoundError"):
        read_token(tmp_path / "none")
