"""Training data in Parquet, CSV and JSON files, read in chunks for a fit: files may be larger than memory."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from modelplane_exporter.baseline import BaselineError
from modelplane_exporter.baseline.fitting import Chunk, Key
from modelplane_provisioning.baseline_files.csv_file import CsvFile
from modelplane_provisioning.baseline_files.json_lines import JsonLines
from modelplane_provisioning.baseline_files.parquet_files import ParquetFiles
from modelplane_provisioning.baseline_files.streams import Advance, format_of

_PARQUET = (".parquet", ".pq")
_DELIMITED = (".csv", ".tsv", ".tab")
_JSON_LINES = (".jsonl", ".ndjson")


class DataFiles(Protocol):
    """Files with the same columns; ``size`` is in ``unit`` ("rows" or "bytes") and for progress only.

    ``notices`` are sentences about what was taken for granted.
    """

    columns: Sequence[str]
    size: int
    unit: str
    notices: Sequence[str]

    def has_classes(self, column: str) -> bool:
        """Whether a column holds few whole numbers, as the classes of a classifier are."""
        ...

    def chunks(
        self, signals: Mapping[str, Key], categorical: Collection[str], advance: Advance
    ) -> Iterator[Chunk]:
        """All rows, in order, for ``fit_chunks``; ``signals`` maps columns to signals.

        Of the columns ``categorical`` the values are categories, whatever their type is. ``advance`` gets how
        much was read since it was called last.
        """
        ...


def open_files(places: Iterable[str], encoding: str | None = None, delimiter: str | None = None) -> DataFiles:
    """One CSV or JSON Lines file, or Parquet files: each place is a file, a folder of Parquet files or a
    pattern.

    ``encoding`` and ``delimiter`` are found out where they are None. BaselineError names the file and what is
    allowed.
    """
    paths = [path for place in places for path in _paths(place)]
    formats = {format_of(path) for path in paths}
    if formats <= set(_PARQUET):
        if encoding or delimiter:
            raise BaselineError("--encoding and --delimiter are for text files; Parquet has neither")
        return ParquetFiles(paths)
    if formats <= set(_DELIMITED) and len(paths) == 1:
        return CsvFile(paths[0], encoding, delimiter)
    if formats <= set(_JSON_LINES) and len(paths) == 1:
        return JsonLines(paths[0], encoding)
    raise BaselineError(
        "data must be one .csv, .tsv or .jsonl file (also .gz), or .parquet files "
        f"(got {', '.join(map(str, paths[:5]))})"
    )


def _paths(place: str) -> list[Path]:
    path = Path(place)
    if path.is_dir():
        files = sorted(inner for inner in path.rglob("*") if inner.suffix.lower() in _PARQUET)
        if not files:
            raise BaselineError(f"{place}: there is no .parquet file in this folder")
        return files
    matches = (
        [path] if path.is_file() else [Path(match) for match in sorted(glob.glob(place, recursive=True))]
    )
    if not matches:
        raise BaselineError(f"{place}: there is no such file or folder")
    return matches
