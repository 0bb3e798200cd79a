"""The local plane's data folder. What a demo left there is disposable, what a plane left there is not."""

from __future__ import annotations

import shutil
from pathlib import Path

from modelplane_provisioning.clients.plane_errors import PlaneError

_DEMO_MARKER = "demo"
DATABASE = "prometheus"  # of Prometheus
PAST = "past"  # what is needed while a demo's past is written
_DATABASES = (DATABASE, PAST, "alertmanager", "grafana", "logs")


def is_demo(data: Path) -> bool:
    """Whether a demo left its data there."""
    return (data / _DEMO_MARKER).exists()


def prepare_for_plane(data: Path) -> None:
    """Make ``data`` ready for a plane: databases of an earlier demo are removed, those of a plane kept."""
    marker = data / _DEMO_MARKER
    if marker.exists():
        _remove_databases(data)
        marker.unlink()
    data.mkdir(parents=True, exist_ok=True)


def prepare_for_demo(data: Path) -> None:
    """Make ``data`` an empty demo's; PlaneError when it holds the databases of a plane."""
    marker = data / _DEMO_MARKER
    if not marker.exists() and any((data / name).exists() for name in _DATABASES):
        raise PlaneError(
            f"{data} holds a plane's data, which a demo would remove; choose another with --data"
        )
    _remove_databases(data)
    data.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _remove_databases(data: Path) -> None:
    for name in _DATABASES:
        shutil.rmtree(data / name, ignore_errors=True)
    for path in data.glob("modelplane.db*"):
        path.unlink()
