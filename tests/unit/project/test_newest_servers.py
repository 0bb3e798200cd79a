"""The script that fetches the newest servers: what it reads from apt, and what it leaves in the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import newest_servers
from apt_sources import Source, read_deb822, read_one_line, read_sources
from generations import NEWEST, PROGRAMS, SUITE, VERSIONS_FILE, find_servers, is_complete, newest_folder
from modelplane_provisioning.processes import PATIENCE_SECONDS
from newest_servers import UnavailableError, fetch, provide

MIRROR, KEYRING = "http://mirror.example.org/debian", "/usr/share/keyrings/debian-archive-keyring.gpg"
KEY_BLOCK = (
    "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBGPL0BUBEADm\n -----END PGP PUBLIC KEY BLOCK-----"
)
OTHER = "http://other.example.org"
BOTH_KEYRINGS = "/a.gpg,/b.gpg"

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (f"deb {MIRROR} bookworm main", Source(MIRROR, "")),
        (f"  deb [ signed-by={KEYRING} ] {MIRROR} bookworm contrib main # comment", Source(MIRROR, KEYRING)),
        (f"deb [signed-by={BOTH_KEYRINGS} arch=amd64]\t{MIRROR} x main", Source(MIRROR, BOTH_KEYRINGS)),
        (f"deb [trusted=yes] {MIRROR} bookworm main", Source(MIRROR, "")),
        (f"deb-src {MIRROR} bookworm main", None),
        (f"deb {MIRROR} bookworm contrib", None),
        (f"deb {MIRROR} ./", None),
        (f"# deb {MIRROR} bookworm main", None),
    ],
)
def test_a_source_of_one_line(line: str, source: Source | None) -> None:
    assert list(read_one_line(f"\n{line}\n")) == ([source] if source else [])


@pytest.mark.parametrize(
    ("changes", "sources"),
    [
        ({}, [Source(MIRROR, KEYRING)]),
        ({"Signed-By": KEY_BLOCK}, [Source(MIRROR, KEY_BLOCK)]),
        ({"URIs": f"{MIRROR}\n {OTHER}"}, [Source(MIRROR, KEYRING), Source(OTHER, KEYRING)]),
        ({"Types": "deb-src deb"}, [Source(MIRROR, KEYRING)]),
        ({"Types": "deb-src"}, []),
        ({"Enabled": "no"}, []),
        ({"Enabled": "yes"}, [Source(MIRROR, KEYRING)]),
        ({"Components": "contrib"}, []),
    ],
)
def test_a_source_of_several_lines(changes: dict[str, str], sources: list[Source]) -> None:
    fields = {
        "Types": "deb", "URIs": MIRROR, "Suites": "bookworm bookworm-updates", "Components": "main",
        "Signed-By": KEYRING, **changes,
    }  # fmt: skip
    stanza = "".join(f"{name}: {value}\n# comment\n" for name, value in fields.items())
    assert list(read_deb822(f"# comment\n\n{stanza}")) == sources
    assert list(read_deb822(f"{stanza}\n \n{stanza}")) == 2 * sources


@pytest.mark.parametrize("signed_by", ["", KEYRING, KEY_BLOCK])
def test_a_stanza_is_read_as_the_source_that_it_shows(signed_by: str) -> None:
    source = Source(MIRROR, signed_by)
    assert list(read_deb822(source.stanza("forky"))) == [source]
    assert "\nSuites: forky\n" in source.stanza("forky")


def test_each_source_of_all_files_stands_once(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        f"deb {MIRROR} bookworm main\ndeb {MIRROR} bookworm-updates main\n"
    )
    folder = tmp_path / "sources.list.d"
    assert read_sources(tmp_path / "sources.list", folder) == [Source(MIRROR, "")]
    folder.mkdir()
    (folder / "b.sources").write_text(Source(MIRROR, KEYRING).stanza("bookworm"))
    (folder / "a.list").write_text("deb http://a.example.org bookworm main")
    (folder / "c.list.disabled").write_text("deb http://c.example.org bookworm main")
    sources = [Source(MIRROR, ""), Source("http://a.example.org", ""), Source(MIRROR, KEYRING)]
    assert read_sources(tmp_path / "sources.list", folder) == sources
    assert read_sources(Path("/dev/null"), tmp_path / "absent") == []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let apt know no other archives than those of a text in the format of ``sources.list``."""

    def has(text: str) -> None:
        (tmp_path / "sources.list").write_text(text, encoding="ascii")
        configuration = (
            f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        )
        (tmp_path / "apt.conf").write_text(configuration, encoding="ascii")
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))

    return has


def archive(folder: Path) -> str:
    """URL of an archive with an empty suite that nobody signed."""
    suite = folder / "dists" / SUITE
    (suite / "main" / "binary-amd64").mkdir(parents=True)
    (suite / "main" / "binary-amd64" / "Packages").touch()
    (suite / "Release").write_text(
        "Suite: testing\nComponents: main\nArchitectures: amd64\n", encoding="ascii"
    )
    return f"file:{folder}"


@needs_apt
def test_an_archive_without_the_suite(machine: Callable[[str], None], tmp_path: Path) -> None:
    machine(f"deb file:{tmp_path}/absent bookworm main")
    with pytest.raises(UnavailableError, match=r"forky.*does not have a Release file"):
        fetch(tmp_path)


@needs_apt
def test_an_archive_that_nobody_signed_is_refused_also_where_the_machine_trusts_it(
    machine: Callable[[str], None], tmp_path: Path
) -> None:
    machine(f"deb [trusted=yes] {archive(tmp_path / 'archive')} bookworm main")
    with pytest.raises(UnavailableError, match="forky Release' is not signed"):
        fetch(tmp_path)


@needs_apt
def test_a_machine_without_archives_or_without_apt(
    machine: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("deb http://c.example.org bookworm contrib")
    with pytest.raises(UnavailableError, match="apt has no source"):
        fetch(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="there is no apt-config"):
        fetch(tmp_path)


def package(folder: Path, programs: Mapping[str, str]) -> Path:
    """A package of programs: names and what a shell does for each."""
    (folder / "DEBIAN").mkdir(parents=True)
    control = (
        "Package: servers\nVersion: 1.0-2\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    (folder / "DEBIAN" / "control").write_text(control, encoding="ascii")
    (folder / "usr/bin").mkdir(parents=True)
    for name, script in programs.items():
        (folder / "usr/bin" / name).write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        (folder / "usr/bin" / name).chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", folder, f"{folder}.deb"], check=True, capture_output=True)
    return Path(f"{folder}.deb")


@needs_apt
def test_programs_of_a_package_are_unpacked_with_its_version(tmp_path: Path) -> None:
    made = package(tmp_path / "package", dict.fromkeys((*PROGRAMS, "vmbackup"), "exit 0"))
    (tmp_path / "programs").mkdir()
    newest_servers.unpack([made], tmp_path / "programs")
    assert {path.name for path in (tmp_path / "programs").iterdir()} == {*PROGRAMS, VERSIONS_FILE}
    assert (tmp_path / "programs" / VERSIONS_FILE).read_text(encoding="utf-8") == "servers 1.0-2"


@pytest.mark.slow
@needs_apt
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amtool": None}, "the packages of forky hold no program amtool"),
        ({"amtool": "echo 'GLIBC_2.99 not found' >&2; exit 1"}, "amtool: GLIBC_2.99 not found"),
        ({"amtool": "exit 3"}, "amtool: exit status 3"),
    ],
)
def test_a_package_whose_programs_do_not_run_here(
    tmp_path: Path, changes: dict[str, str | None], reason: str
) -> None:
    scripts = {**dict.fromkeys(PROGRAMS, "exit 0"), **changes}
    made = package(tmp_path / "package", {name: text for name, text in scripts.items() if text is not None})
    (tmp_path / "programs").mkdir()
    with pytest.raises(UnavailableError, match=reason):
        newest_servers.unpack([made], tmp_path / "programs")


def fill(folder: Path) -> None:
    for name in PROGRAMS:
        (folder / name).write_text("#!/bin/sh\n", encoding="ascii")
        (folder / name).chmod(0o755)
    (folder / VERSIONS_FILE).write_text(f"filled by {os.getpid()}", encoding="ascii")


def fail(folder: Path) -> None:
    (folder / PROGRAMS[0]).touch()
    raise UnavailableError("no network")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "servers"


def test_what_is_there_is_fetched_again_only_when_told_so(cache: Path) -> None:
    provide(cache, fill, refresh=False)
    provide(cache, fail, refresh=False)
    (cache / VERSIONS_FILE).write_text("old", encoding="ascii")
    with pytest.raises(UnavailableError):
        provide(cache, fail, refresh=True)
    assert (cache / VERSIONS_FILE).read_text(encoding="ascii") == "old"
    provide(cache, fill, refresh=True)
    assert is_complete(cache)
    assert (cache / VERSIONS_FILE).read_text(encoding="ascii") != "old"
    assert {path.name for path in cache.parent.iterdir()} == {"lock", cache.name}


def test_a_folder_that_lacks_a_program_is_repaired(cache: Path) -> None:
    provide(cache, fill, refresh=False)
    (cache / PROGRAMS[-1]).unlink()
    assert not is_complete(cache)
    provide(cache, fill, refresh=False)
    assert is_complete(cache)


KILLED_RUN = """
import os, pathlib, sys
from newest_servers import provide


def die(folder):
    (folder / "prometheus").touch()
    os.kill(os.getpid(), 9)

provide(pathlib.Path(sys.argv[1]), die, refresh=False)
"""


def test_a_run_that_died_half_way_leaves_nothing_behind(cache: Path) -> None:
    command = [sys.executable, "-c", KILLED_RUN, str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(Path(newest_servers.__file__).parent)}
    killed = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert killed.returncode == -9, killed.stderr
    assert not cache.exists()
    assert len(list(cache.parent.iterdir())) == 2
    provide(cache, fill, refresh=False)
    assert {path.name for path in cache.parent.iterdir()} == {"lock", cache.name}


def test_of_two_runs_at_once_one_fetches_and_the_other_waits(cache: Path) -> None:
    filling, go_on, fills = threading.Event(), threading.Event(), []

    def fill_slowly(folder: Path) -> None:
        fills.append(folder)
        filling.set()
        assert go_on.wait(PATIENCE_SECONDS)
        fill(folder)

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(provide, cache, fill_slowly, refresh=False) for _ in range(2)]
        assert filling.wait(PATIENCE_SECONDS)
        assert not cache.exists()
        go_on.set()
        assert [run.result(PATIENCE_SECONDS) for run in runs] == [None, None]
    assert len(fills) == 1
    assert is_complete(cache)


def test_the_newest_servers_are_those_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELPLANE_SERVERS_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="run make servers"):
        find_servers(NEWEST)
    folder = newest_folder()
    provide(folder, fill, refresh=False)
    servers = find_servers(NEWEST)
    assert servers.alertmanager == str(folder / "prometheus-alertmanager")
    assert servers.search_path.split(os.pathsep)[0] == str(folder)
