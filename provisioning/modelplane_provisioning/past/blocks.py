"""Blocks of a Prometheus database, written by promtool from OpenMetrics."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import numpy as np

from modelplane_provisioning.data_folder import PAST
from modelplane_provisioning.past.series import Series, openmetrics
from modelplane_provisioning.processes import PATIENCE_SECONDS, ProcessError

_BLOCK_MILLISECONDS = 2 * 3_600_000  # promtool's
_LONGEST_SECONDS = 10 * PATIENCE_SECONDS  # it computes for a second or two, where nothing else does


def write_blocks(database: Path, series: Iterable[Series], dense_from: int = 0) -> None:
    """Add ``series`` to a database that no Prometheus has open; ProcessError when promtool does not.

    One series is in memory at a time. From ``dense_from`` (milliseconds) the text of each block lies in a
    file of its own, because promtool reads a file once for each block that it writes.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        raise ProcessError(
            "promtool is not on PATH; it comes with Prometheus (on Debian: apt-get install prometheus)"
        )
    database.mkdir(parents=True, exist_ok=True)
    scratch = scratch_folder(database)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        for path in _write_texts(Path(folder), series, dense_from):
            command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
            done = subprocess.run(
                [*command, str(path), str(database)],
                capture_output=True,
                text=True,
                check=False,
                timeout=_LONGEST_SECONDS,
                env={
                    **os.environ,
                    "GOGC": "400",
                },  # collecting garbage less often saves a quarter of its work
            )
            path.unlink()
            if done.returncode != 0:
                raise ProcessError(f"promtool did not write the past: {done.stdout}{done.stderr}")


def scratch_folder(database: Path) -> Path:
    """Where files lie that only the writing of a past needs: beside the database."""
    folder = database.parent / PAST
    folder.mkdir(exist_ok=True)
    return folder


def _write_texts(folder: Path, series: Iterable[Series], dense_from: int) -> list[Path]:
    """Write the lines of each block into a file of its own; the files in the order of time."""
    with ExitStack() as files:
        texts: dict[int, TextIO] = {}
        for entry in series:
            for block, part in _by_block(entry, dense_from):
                if block not in texts:
                    texts[block] = files.enter_context((folder / f"{block}.txt").open("w", encoding="utf-8"))
                texts[block].write(openmetrics(part))
        for text in texts.values():
            text.write("# EOF\n")
    return [folder / f"{block}.txt" for block in sorted(texts)]


def _by_block(series: Series, dense_from: int) -> Iterator[tuple[int, Series]]:
    """The parts of a series by the block that they lie in; what is earlier lies in block 0, as it were."""
    blocks = np.where(series.times < dense_from, 0, series.times // _BLOCK_MILLISECONDS)
    edges = np.flatnonzero(np.diff(blocks)) + 1
    parts = (np.split(column, edges) for column in (blocks, series.times, series.values))
    for block, times, values in zip(*parts, strict=True):
        if len(times):
            yield int(block[0]), Series(series.name, series.labels, times, values)
