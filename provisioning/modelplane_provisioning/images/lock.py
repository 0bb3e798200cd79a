"""``images.lock``: the digests that a bundle's images are pinned to, beside its compose.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from modelplane_schema.errors import UserError
from modelplane_schema.files import read_if_present, replace_file

LOCK_FILE = "images.lock"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageLockError(UserError, ValueError):
    """The file is not one that ``modelplane images pin`` writes; the message names it."""


def read_lock(folder: Path) -> dict[str, str]:
    """Digests by ``repository:tag``, none where there is no file; ImageLockError."""
    path = folder / LOCK_FILE
    content = read_if_present(path)
    if content is None:
        return {}
    try:
        digests = json.loads(content)
    except ValueError:
        digests = None
    if not isinstance(digests, dict) or not all(map(_is_digest, digests.values())):
        raise ImageLockError(
            f"{path}: must map repository:tag to sha256: and 64 hexadecimal digits; "
            "remove it, and write it anew with `modelplane images pin`"
        )
    return digests


def write_lock(folder: Path, digests: Mapping[str, str]) -> None:
    """Replace the file: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(digests, indent=2, sort_keys=True) + "\n"
    replace_file(folder / LOCK_FILE, text.encode())


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None
