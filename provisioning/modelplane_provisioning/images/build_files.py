"""What a bundle's images are built from: a Dockerfile, and folders for what is not to be downloaded."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "image"


def files(folder: str) -> dict[str, bytes]:
    """Map path to content for ``folder``."""
    return {
        f"{folder}/{path.relative_to(_FOLDER).as_posix()}": path.read_bytes()
        for path in sorted(_FOLDER.rglob("*"))
        if path.is_file()
    }
