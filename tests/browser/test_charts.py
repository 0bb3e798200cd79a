"""The pages of ``examples/charts`` in headless Chromium: they draw an answer of the API, gaps included."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_provisioning.processes import PATIENCE_SECONDS

CHARTS = Path(__file__).parents[2] / "examples" / "charts"
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

NOW = 1_698_400_800
STEP, POINTS = 60, 31
TIMES = [NOW + STEP * (index - POINTS + 1) for index in range(POINTS)]
GAPS = {"v1.2.0": (12, 13, 14), "v1.3.0": (20,)}
QUERY = (
    "/api/v1/metrics/latency?model-name=resnet50&tenant-id=user-A"
    f"&from={TIMES[0] * 1000}&to={TIMES[-1] * 1000}&step={STEP}s"
)
LEGEND_HEIGHT = 32


class Library(NamedTuple):
    """A page, the first colours of its library's palette, and what is true once it has a chart."""

    page: str
    colours: tuple[str, str]
    has_chart: str


LIBRARIES = (
    Library(
        "echarts.html",
        ("#5070dd", "#b6d634"),
        "echarts.getInstanceByDom(document.getElementById('chart'))?.getOption()?.series?.length > 0",
    ),
    Library("chartjs.html", ("#36a2eb", "#ff6384"), "Chart.getChart('chart') !== undefined"),
    Library("d3.html", ("#1f77b4", "#ff7f0e"), "document.querySelector('#chart .name') !== null"),
)
each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.page)


def curve(version: str, index: int) -> float:
    middle = {"v1.2.0": 0.15, "v1.3.0": 0.4}[version]
    return middle + 0.08 * math.sin(index / 4)


def prometheus(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers every range query with two versions; one has no samples for a while, the other a NaN."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    assert "histogram_quantile" in parse_qs(body)["query"][0]
    result = []
    for version, gaps in GAPS.items():
        values = [[time, str(curve(version, index))] for index, time in enumerate(TIMES) if index not in gaps]
        if len(gaps) == 1:
            values.insert(gaps[0], [TIMES[gaps[0]], "NaN"])
        labels = {"model_name": "resnet50", "model_version": version, "tenant_id": "user-A"}
        result.append({"metric": labels, "values": values})
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


class Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Nothing: a failing test shows what it asked for."""


@contextmanager
def served(application: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def libraries(request: pytest.FixtureRequest) -> Path:
    """The packages of the lock file, installed once and kept in pytest's cache."""
    assert request.config.cache is not None
    digest = hashlib.sha256((CHARTS / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(request.config.cache.mkdir(f"charts-{digest}"))
    if not (folder / "complete").is_file():
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(CHARTS / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=1200)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "complete").touch()
    return folder / "node_modules"


@pytest.fixture(scope="module")
def site(libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the API, with the pages and the libraries beside it."""
    folder = tmp_path_factory.mktemp("charts")
    with served(prometheus) as upstream:
        settings = Settings(prometheus_url=upstream, database_url=f"sqlite:///{folder}/modelplane.db")
        app = create_app(settings, clock=lambda: NOW)
        files = {"/charts/node_modules": str(libraries), "/charts": str(CHARTS)}
        with served(SharedDataMiddleware(app, files)) as url:
            yield url
        close_app(app)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium with a new, empty profile."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(FLAGS), timeout=1000 * PATIENCE_SECONDS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1000, "height": 600})
    opened.set_default_timeout(1000 * PATIENCE_SECONDS)
    yield opened
    opened.close()


def chart_url(site: str, library: Library, path: str) -> str:
    return f"{site}/charts/{library.page}?url={quote(path, safe='')}"


# Two frames later what was asked for is painted.
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def open_chart(page: Page, site: str, library: Library) -> None:
    """Open the page and wait for its chart, however slow the machine is."""
    page.goto(chart_url(site, library, QUERY))
    page.wait_for_function(library.has_chart)
    page.evaluate(PAINTED)


# The pixels of a screenshot that are near a colour, as [column, row].
NEAR = """async ([png, [red, green, blue]]) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const found = [];
  for (let at = 0; at < data.length; at += 4) {
    const off = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue);
    if (off < 60) found.push([(at / 4) % image.width, Math.floor(at / 4 / image.width)]);
  }
  return found;
}"""


def drawn(page: Page, colour: str) -> dict[int, float]:
    """The mean row of a line by column, below the legend."""
    png = base64.b64encode(page.locator("#chart").screenshot()).decode()
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    rows: dict[int, list[int]] = {}
    for column, row in page.evaluate(NEAR, [png, parts]):
        if row >= LEGEND_HEIGHT:
            rows.setdefault(column, []).append(row)
    return {column: sum(values) / len(values) for column, values in sorted(rows.items())}


def column_of(line: dict[int, float], index: float) -> float:
    """Where the point with that index lies when the line's ends are the first and the last point."""
    first, last = min(line), max(line)
    return first + (last - first) * index / (POINTS - 1)


@each_library
def test_each_value_is_drawn_where_it_belongs(page: Page, site: str, library: Library) -> None:
    """Time is linear along the columns, and one linear scale maps the values of both lines to rows."""
    open_chart(page, site, library)
    values, rows = [], []
    for version, colour in zip(GAPS, library.colours, strict=True):
        line = drawn(page, colour)
        assert max(line) - min(line) > 500
        for index in range(POINTS):
            if index not in GAPS[version]:
                column = column_of(line, index)
                near = [row for at, row in line.items() if abs(at - column) <= 1.5]
                assert near, f"{version}: nothing is drawn for point {index}"
                values.append(curve(version, index))
                rows.append(float(np.mean(near)))
    slope, start = np.polyfit(values, rows, 1)
    assert slope * (max(values) - min(values)) < -150  # larger values lie higher
    assert np.abs(start + slope * np.array(values) - rows).max() < 3


@each_library
def test_a_line_goes_on_between_values_and_stops_at_nulls(page: Page, site: str, library: Library) -> None:
    open_chart(page, site, library)
    for version, colour in zip(GAPS, library.colours, strict=True):
        line, gaps = drawn(page, colour), GAPS[version]
        before, after = column_of(line, gaps[0] - 1), column_of(line, gaps[-1] + 1)
        empty = {at for at in range(min(line), max(line) + 1) if at not in line}
        assert empty, f"{version}: the line has no gap"
        assert min(empty) == pytest.approx(before, abs=3)
        assert max(empty) == pytest.approx(after, abs=3)
        assert empty == set(range(min(empty), max(empty) + 1)), f"{version}: more than one gap"


def test_the_path_of_d3_has_every_point(page: Page, site: str) -> None:
    open_chart(page, site, LIBRARIES[2])
    paths = page.locator("path.line").evaluate_all("paths => paths.map(path => path.getAttribute('d'))")
    assert len(paths) == len(GAPS)
    for path, gaps in zip(paths, GAPS.values(), strict=True):
        assert len(re.findall(r"[ML]", path)) == POINTS - len(gaps)
        assert path.count("M") == 2


@each_library
def test_names_are_those_of_the_answer(page: Page, site: str, library: Library) -> None:
    """In D3 as text; on a canvas the two colours stand in the legend."""
    open_chart(page, site, library)
    if library.page == "d3.html":
        assert page.locator("text.name").all_text_contents() == ["resnet50 (v1.2.0)", "resnet50 (v1.3.0)"]
        return
    png = base64.b64encode(page.locator("#chart").screenshot()).decode()
    for colour in library.colours:
        parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert any(row < LEGEND_HEIGHT for _, row in page.evaluate(NEAR, [png, parts]))


@each_library
def test_nothing_is_fetched_from_elsewhere_and_nothing_fails(page: Page, site: str, library: Library) -> None:
    urls: list[str] = []
    failures: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    open_chart(page, site, library)
    assert failures == []
    assert any(url.startswith(f"{site}/api/v1/metrics/latency?") for url in urls)
    assert [url for url in urls if not url.startswith(site)] == []


@each_library
def test_an_error_of_the_api_is_said_and_not_drawn(page: Page, site: str, library: Library) -> None:
    with page.expect_event("pageerror") as failure:
        page.goto(chart_url(site, library, "/api/v1/metrics/none"))
    assert "There is no metric 'none'" in str(failure.value)
    assert drawn(page, library.colours[0]) == {}


def test_the_lock_file_names_no_place_to_download_from() -> None:
    lock = json.loads((CHARTS / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: held for name, held in lock["packages"].items() if name}
    assert packages
    assert all(held["integrity"] and "resolved" not in held for held in packages.values())
