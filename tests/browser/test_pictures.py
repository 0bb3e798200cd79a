"""`modelplane grafana pictures` in headless Chromium, on pages with Grafana's markup."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from modelplane_provisioning.cli import cli
from modelplane_provisioning.processes import PATIENCE_SECONDS
from provisioning_support.grafana_pages import TOKEN, GrafanaPages, PageBoard, PagePanel, grafana_pages

pytestmark = pytest.mark.slow

LONG_TITLE = "a title that is far too long for a panel of the width four"
SENTENCE = "quantile has the value '95'; allowed: a number between 0 and 1."
HIGH = tuple(PagePanel(f"Panel {index}") for index in range(5))  # lazy: most lie below a window's end
FAULTS = (
    PagePanel("Broken", "error", text=SENTENCE),
    PagePanel("Crashed", "crash", text="Panel plugin not found: of-somebody"),
    PagePanel("Empty", "empty", text="No data"),
    PagePanel("Empty stat", "text", text="No data"),
    PagePanel(LONG_TITLE, width=4),
    PagePanel("Device", "empty", text="Not reported here", no_value="Not reported here"),
)
SCRIPT = "console.error('boom'); fetch('/absent?secret=1');"
# Its panel lies below a window that is as high as the board, and the page is always higher than its window.
MOVED = (
    "document.body.style.cssText ="
    " 'box-sizing: border-box; padding-top: 1500px; min-height: calc(100vh + 50px)';"
)
BOARDS = (
    PageBoard("mp-fine", HIGH, "redirect"),
    PageBoard("mp-moved", script=MOVED),
    PageBoard("mp-faults", FAULTS, script=SCRIPT),
    PageBoard("mp-foreign", behaviour="foreign"),
    PageBoard("mp-login", behaviour="login"),
    PageBoard("mp-missing", behaviour="missing"),
)
ENDLESS = (
    PageBoard("mp-never", (PagePanel("Waits", "never"), PagePanel("Answers"))),
    PageBoard("mp-blank", (PagePanel("Blank", "blank"),)),
    PageBoard("mp-silent", behaviour="silent"),
)
ENDLESS_SECONDS = 12  # a busy machine has drawn by then what can be drawn


class Run(NamedTuple):
    """One run over all boards: what was served, where the pictures lie, and what it said."""

    pages: GrafanaPages
    out: Path
    result: Result
    boards: dict[str, dict[str, Any]]

    def told(self, uid: str) -> list[tuple[str, str, str, str]]:
        findings = self.boards[uid]["findings"]
        return [(each["severity"], each["kind"], each["panel"], each["text"]) for each in findings]


def pictures(pages: GrafanaPages, folder: Path, *options: str, token: str = TOKEN) -> Result:
    token_file = folder / "token"
    token_file.write_text(f"{token}\n", encoding="ascii")
    arguments = ["grafana", "pictures", "--grafana", f"{pages.url}/", "--token-file", str(token_file)]
    return CliRunner().invoke(cli, [*arguments, "--out", str(folder / "pictures"), *options])


def size(picture: Path) -> tuple[int, int]:
    """Width and height in the header of a PNG: https://www.w3.org/TR/png-3/#11IHDR."""
    header = picture.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", header[16:])
    return width, height


def taken(boards: tuple[PageBoard, ...], folder: Path, *options: str) -> Iterator[Run]:
    with grafana_pages(*boards) as pages:
        result = pictures(pages, folder, "--json", "--theme", "light", "--jobs", "3", *options)
        told = {board["uid"]: board for board in json.loads(result.stdout)["boards"]}
        yield Run(pages, folder / "pictures", result, told)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    choice = ("--var", "tenant=a b", "--from", "now-6h", "--timeout", str(PATIENCE_SECONDS))
    yield from taken(BOARDS, tmp_path_factory.mktemp("run"), *choice)


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    options = ("--width", "1280", "--timeout", str(ENDLESS_SECONDS))
    yield from taken(ENDLESS, tmp_path_factory.mktemp("endless"), *options)


def test_panels_below_the_window_are_waited_for_and_all_is_well(run: Run) -> None:
    assert run.told("mp-fine") == []
    for width in (1280, 1920):
        name = f"mp-fine-{width}-light.png"
        assert name in run.boards["mp-fine"]["pictures"]
        seen_width, height = size(run.out / name)
        assert seen_width == width
        assert height > len(HIGH) * 296


def test_a_page_that_is_higher_than_its_board_is_taken_whole(run: Run) -> None:
    assert run.told("mp-moved") == []
    _, height = size(run.out / "mp-moved-1280-light.png")
    assert 1800 < height < 1900


def test_every_fault_of_a_board_is_told(run: Run) -> None:
    assert sorted(run.told("mp-faults")) == sorted([
        ("error", "panel error", "Broken", SENTENCE),
        ("error", "panel error", "Crashed", "Panel plugin not found: of-somebody"),
        ("warning", "no data", "Empty", "No data"),
        ("warning", "no data", "Empty stat", "No data"),
        ("warning", "cut title", LONG_TITLE, "the title is wider than its panel"),
        ("note", "not reported", "Device", "Not reported here"),
        ("warning", "console error", "", "boom"),
        ("warning", "failed request", "", "400 POST /api/ds/query"),
        ("warning", "failed request", "", "404 GET /absent"),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("uid", "text"),
    [
        ("mp-login", "Grafana shows its login page"),
        ("mp-foreign", "it leads to {elsewhere}"),
        ("mp-missing", "Grafana refuses to read the board mp-missing (404: Dashboard not found)"),
    ],
)
def test_what_is_no_page_of_a_board_is_told_and_not_taken(uid: str, text: str, run: Run) -> None:
    (error,) = (each for each in run.told(uid) if each[0] == "error")
    assert error[1:3] == ("not seen", "")
    assert error[3].startswith(text.format(elsewhere=run.pages.elsewhere))
    assert run.boards[uid]["pictures"] == []


def test_boards_that_do_not_finish_are_told_and_taken_as_they_are(endless: Run) -> None:
    assert endless.told("mp-never") == [("error", "unfinished", "Waits", "it is still loading")]
    assert endless.told("mp-blank") == [("error", "unfinished", "Blank", "it shows nothing")]
    ((_, kind, _, text),) = endless.told("mp-silent")
    assert kind == "not seen"
    assert text.startswith("the page did not load: Page.goto: Timeout")
    names = {path.name for path in endless.out.iterdir()}
    assert names == {"mp-never-1280-light.png", "mp-blank-1280-light.png"}
    assert endless.result.exit_code == 4


def test_nothing_lies_there_but_finished_pictures(run: Run) -> None:
    names = {name for board in run.boards.values() for name in board["pictures"]}
    assert {path.name for path in run.out.iterdir()} == names
    assert len(names) == 6
    assert run.result.exit_code == 4


def test_the_token_goes_to_grafana_and_nowhere_else(run: Run) -> None:
    """Not even on a redirect to another host; and it is neither in an address nor in what is printed."""
    of_grafana = [authorization for path, authorization in run.pages.requests if "favicon" not in path]
    assert set(of_grafana) == {f"Bearer {TOKEN}"}
    assert any(path.endswith("&moved") for path, _ in run.pages.requests)
    foreign = [authorization for _, authorization in run.pages.foreign_requests]
    assert foreign
    assert set(foreign) == {None}
    assert not any(TOKEN in path for path, _ in run.pages.requests + run.pages.foreign_requests)
    assert TOKEN not in run.result.output


def test_boards_are_opened_with_variables_time_and_theme(run: Run) -> None:
    opened = [path for path, _ in run.pages.requests if path.startswith("/d/mp-fine")]
    assert len(opened) == 4  # two widths, and a redirect of each
    assert all("var-tenant=a+b&from=now-6h&theme=light&refresh=&kiosk" in path for path in opened)


def test_a_board_is_chosen_and_told_as_a_table(tmp_path: Path) -> None:
    warned = PageBoard("mp-warned", (PagePanel("[bold]Empty", "empty", text="No data"),))
    with grafana_pages(PageBoard("mp-other"), PageBoard("mp-fine"), warned) as pages:
        options = ("--width", "640", "--theme", "dark")
        fine = pictures(pages, tmp_path, "--board", "mp-fine", *options)
        assert (fine.exit_code, "1 of 1 pictures of 1 boards; 0 findings" in fine.output) == (0, True)
        told = pictures(pages, tmp_path, "--board", "mp-warned", "--board", "mp-fine", *options)
        assert told.exit_code == 3
        for text in ("mp-warned", "warning", "no data", "[bold]Empty", "640-dark", "2 of 2 pictures"):
            assert text in told.output
        assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
            "mp-fine-640-dark.png",
            "mp-warned-640-dark.png",
        }


def test_a_browser_that_does_not_start_is_one_sentence(tmp_path: Path) -> None:
    with grafana_pages(PageBoard("mp-fine")) as pages:
        refused = pictures(pages, tmp_path, "--chromium", "/bin/false")
    assert refused.exit_code == 1
    assert "Error: /bin/false does not start" in refused.output
    assert "playwright install chromium; or name one with --chromium" in refused.output


def test_a_refused_token_ends_before_a_browser_starts(tmp_path: Path) -> None:
    with grafana_pages(PageBoard("mp-fine")) as pages:
        refused = pictures(pages, tmp_path, "--chromium", "/bin/false", token="glsa_wrong")
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert (
        "Error: Grafana does not accept the token of --token-file (401: Invalid API key); make a new"
        in refused.output
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--grafana", "localhost:3000"), "must be an address such as http://localhost:3000"),
        (("--grafana", "http://user:word@host"), "must not hold a login"),
        (("--grafana", "http://host", "--var", "tenant"), "must be NAME=VALUE"),
        (("--grafana", "http://host", "--var", "=x"), "must be NAME=VALUE"),
        (("--grafana", "http://host", "--width", "0"), "0 is not in the range"),
        (("--grafana", "http://host", "--theme", "blue"), "'blue' is not one of 'dark', 'light'"),
    ],
)
def test_wrong_options_are_named(options: tuple[str, ...], sentence: str) -> None:
    refused = CliRunner().invoke(cli, ["grafana", "pictures", "--token-file", "x", *options])
    assert (refused.exit_code, sentence in refused.output) == (2, True), refused.output
