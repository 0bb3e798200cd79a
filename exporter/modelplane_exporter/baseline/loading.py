"""The baseline that an exporter is given, read if it is a file."""

from __future__ import annotations

import os

from modelplane_exporter.baseline.baseline import Baseline
from modelplane_exporter.baseline.model import BaselineError
from modelplane_schema.identity import Identity


def load_for(version: Identity, baseline: Baseline | str | os.PathLike[str] | None) -> Baseline | None:
    """The baseline of a version; BaselineError, a ValueError, when it is that of another one."""
    if baseline is None:
        return None
    loaded = baseline if isinstance(baseline, Baseline) else Baseline.load(baseline)
    if loaded.model_name != version.model_name:
        raise BaselineError(
            f"baseline is of model {loaded.model_name!r}, not of {version.model_name!r}: "
            "name the file that was fitted for this model"
        )
    if loaded.model_version not in (None, version.model_version):
        raise BaselineError(
            f"baseline is of version {loaded.model_version!r} of {loaded.model_name!r}, "
            f"not of {version.model_version!r}: name the file that was fitted for this version"
        )
    return loaded
