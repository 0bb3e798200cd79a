"""Both generations of servers, for every test that runs one of their programs."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from generations import GENERATIONS, NEWEST, VERSIONS_FILE, Servers, find_servers, is_complete, newest_folder

# A busy machine makes single examples slow; no test asserts a time.
settings.register_profile("modelplane", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("modelplane")

# A shell that runs tests in the background has them and all their children ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    folder = newest_folder()
    if not is_complete(folder):
        return "newest servers: none, so their tests are skipped; make servers fetches them"
    return f"newest servers: {(folder / VERSIONS_FILE).read_text(encoding='utf-8')}"


@pytest.fixture(scope="session", params=GENERATIONS)
def servers(request: pytest.FixtureRequest) -> Servers:
    """The programs of a generation. A test runs once with each; without the newest that run is skipped."""
    try:
        return find_servers(request.param)
    except FileNotFoundError as error:
        if request.param != NEWEST:
            raise
        pytest.skip(str(error))
