"""Unpack the servers of Debian's next release, and kustomize, into a cache, for tests. Nothing is installed.

apt reads the next release from the archives of this machine, with their keys, in a folder of its own, and
verifies signatures and checksums as always. Exit status 69 says that the servers cannot be had here.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from apt_sources import Source, read_sources
from generations import KUSTOMIZE, PROGRAMS, SUITE, VERSIONS_FILE, is_complete, newest_folder

PACKAGES = ("prometheus", "promtool", "prometheus-alertmanager", "victoria-metrics", "kustomize")
LONGEST_SECONDS = 300
_SCRATCH = "unpacking-"

# Read after the machine's own configuration, whose proxies and credentials hold here too.
CONFIGURATION = """
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{folder}/preferences";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""


class UnavailableError(Exception):
    """The servers cannot be had on this machine; the message is one line that says why."""


def run(command: Sequence[str], folder: Path | None = None) -> str:
    """Output of a program; UnavailableError with its first line about an error when it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise UnavailableError(f"there is no {command[0]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("E: ")] or lines
        message = errors[0].removeprefix("E: ") if errors else f"exit status {done.returncode}"
        raise UnavailableError(f"{command[0]}: {message}")
    return done.stdout


def machine_sources() -> list[Source]:
    """The archives that apt of this machine knows."""
    keys = ("Dir::Etc::sourcelist/f", "Dir::Etc::sourceparts/d")
    text = run(["apt-config", "shell", "file", keys[0], "folder", keys[1]])
    paths = dict(re.findall(r"^(file|folder)='(.*)'$", text, re.MULTILINE))
    sources = read_sources(Path(paths["file"]), Path(paths["folder"]))
    if not sources:
        raise UnavailableError("apt has no source of packages with a component main")
    return sources


def download(source: Source, folder: Path) -> list[Path]:
    """Verified packages of an archive, in ``folder``, which holds all that apt writes."""
    for name in ("sources", "preferences", "state/lists/partial", "cache/archives/partial", "packages"):
        (folder / name).mkdir(parents=True)
    (folder / "state/status").touch()
    (folder / f"sources/{SUITE}.sources").write_text(source.stanza(SUITE), encoding="utf-8")
    configuration = folder / "apt.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
    apt = ["apt-get", f"--config-file={configuration}", "--quiet"]
    run([*apt, "update"])
    run([*apt, "download", *PACKAGES], folder / "packages")
    return sorted((folder / "packages").glob("*.deb"))


def unpack(packages: Sequence[Path], folder: Path) -> None:
    """Programs of packages, and a file with the packages' versions, into ``folder``."""
    versions = [run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(p)]) for p in packages]
    for package in packages:
        run(["dpkg-deb", "--extract", str(package), str(folder / "root")])
    for name in PROGRAMS:
        try:
            (folder / "root/usr/bin" / name).rename(folder / name)
        except FileNotFoundError as error:
            raise UnavailableError(f"the packages of {SUITE} hold no program {name}") from error
        run([str(folder / name), "version" if name == KUSTOMIZE else "--version"])
    shutil.rmtree(folder / "root")
    (folder / VERSIONS_FILE).write_text(", ".join(versions), encoding="utf-8")


def fetch(folder: Path) -> None:
    """Programs from the first archive of this machine that has them, into ``folder``."""
    reasons = []
    for source in machine_sources():
        with tempfile.TemporaryDirectory(prefix="modelplane-apt-") as scratch:
            os.chmod(scratch, 0o755)  # noqa: S103 - apt drops root's rights before it downloads
            try:
                packages = download(source, Path(scratch))
            except UnavailableError as error:
                reasons.append(str(error))
                continue
            return unpack(packages, folder)
    raise UnavailableError("; ".join(reasons))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other run holds the lock; it ends with the process that holds it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def provide(folder: Path, fill: Callable[[Path], None], refresh: bool) -> None:
    """Have ``folder`` hold all programs; ``fill`` puts them into an empty folder.

    It is complete from the moment it exists, and stays as it was when ``fill`` fails. What a killed run left
    is removed.
    """
    cache = folder.parent
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        for remains in cache.glob(f"{_SCRATCH}*"):
            shutil.rmtree(remains)
        if is_complete(folder) and not refresh:
            return
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=cache) as scratch:
            programs = Path(scratch, "programs")
            programs.mkdir()
            fill(programs)
            if folder.exists():
                folder.rename(Path(scratch, "replaced"))
            programs.rename(folder)


def main() -> int:
    """Exit status: 0 once the servers are there, 69 when they cannot be had."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--refresh", action="store_true", help="fetch again what is in the cache")
    folder = newest_folder()
    try:
        provide(folder, fetch, parser.parse_args().refresh)
    except (UnavailableError, OSError) as error:
        reason = f"servers of Debian {SUITE} cannot be had, tests run on the installed ones: {error}"
        print(reason, file=sys.stderr)
        return os.EX_UNAVAILABLE
    print(f"servers of Debian {SUITE} in {folder}: {(folder / VERSIONS_FILE).read_text(encoding='utf-8')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
