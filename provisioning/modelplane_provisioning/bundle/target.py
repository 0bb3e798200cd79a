"""What a bundle is for: a folder has the files of one target, and another does not take their place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from modelplane_provisioning.bundle.layout import BUNDLE, COMPOSE_FILE
from modelplane_schema.errors import UserError
from modelplane_schema.owned_files import OwnedFilesError, our_files

# A file that only a bundle for the target has.
_MARKS = {COMPOSE_FILE: "compose", "base/kustomization.yaml": "kubernetes", "backend.env": "existing"}


class BundleTargetError(UserError, RuntimeError):
    """A folder holds a bundle for another target."""


def refuse_another_target(out: Path, paths: Iterable[str]) -> None:
    """BundleTargetError where files of ours that may be in use would be removed as no longer wanted."""
    present, wanted = None, _target(paths)
    with contextlib.suppress(OwnedFilesError):  # who writes says what is wrong with the manifest
        present = _target(our_files(BUNDLE, out)) if out.is_dir() else None
    if present and wanted and present != wanted:
        raise BundleTargetError(
            f"{out}: is a bundle for --target {present}, whose files would be removed; name another folder "
            "with --out"
        )


def _target(paths: Iterable[str]) -> str | None:
    """What a bundle with these files is for; None for one of a local plane."""
    return next((_MARKS[path] for path in paths if path in _MARKS), None)
