"""Two generations of servers that tests run on: those installed, and those of Debian's next release."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

INSTALLED, NEWEST = GENERATIONS = ("installed", "newest")
SUITE = "forky"
VERSIONS_FILE = "versions"
# The names of Debian, which prefixes Alertmanager's; elsewhere it has its own.
SERVERS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool", "victoria-metrics", "vmalert")
KUSTOMIZE = "kustomize"
PROGRAMS = (*SERVERS, KUSTOMIZE)
_OTHER_NAMES = {"prometheus-alertmanager": "alertmanager"}


@dataclass(frozen=True, slots=True)
class Servers:
    """Paths of the programs of a generation, and a value of PATH that has them first."""

    generation: str
    search_path: str
    prometheus: str
    promtool: str
    alertmanager: str
    amtool: str
    victoria_metrics: str
    vmalert: str


def newest_folder() -> Path:
    """Where the newest programs lie once ``make servers`` has unpacked them.

    Below MODELPLANE_SERVERS_CACHE, else below ``modelplane/servers`` of the user's cache.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    servers = os.environ.get("MODELPLANE_SERVERS_CACHE") or Path(cache, "modelplane", "servers")
    return Path(servers, f"{SUITE}-{platform.machine()}").absolute()


def is_complete(folder: Path) -> bool:
    """Whether a folder holds all programs of the newest generation."""
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS) and (folder / VERSIONS_FILE).is_file()


def find_servers(generation: str) -> Servers:
    """The programs of a generation; FileNotFoundError says which are missing and how to get them."""
    search_path, folder = os.environ.get("PATH", os.defpath), newest_folder()
    if generation == NEWEST:
        if not is_complete(folder):
            raise FileNotFoundError(f"the servers of Debian {SUITE} are not in {folder}: run make servers")
        search_path = f"{folder}{os.pathsep}{search_path}"
    return Servers(generation, search_path, *(_find(name, search_path) for name in SERVERS))


def available_servers() -> list[Servers]:
    """The programs of each generation that this machine has; the installed ones it must have."""
    newest = [NEWEST] if is_complete(newest_folder()) else []
    return [find_servers(generation) for generation in (INSTALLED, *newest)]


def newest_available() -> Servers:
    """The newest generation that this machine has, for what is the same with each."""
    return available_servers()[-1]


def find_kustomize() -> str | None:
    """The program kustomize of the newest generation, else an installed one; None without either."""
    return shutil.which(KUSTOMIZE, path=f"{newest_folder()}{os.pathsep}{os.environ.get('PATH', os.defpath)}")


def _find(name: str, search_path: str) -> str:
    other = _OTHER_NAMES.get(name, name)
    path = shutil.which(name, path=search_path) or shutil.which(other, path=search_path)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: run make setup")
    return path
