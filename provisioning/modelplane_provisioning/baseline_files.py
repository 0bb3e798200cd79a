"""Training data in Parquet and CSV files, read in chunks for a fit: files may be larger than memory."""

from __future__ import annotations

import contextlib
import glob
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pyarrow.types as pt

from modelplane_exporter.baseline import BaselineError
from modelplane_exporter.baseline.fit_categorical import Counts
from modelplane_exporter.baseline.fit_columns import CHUNK_ROWS, category_counts
from modelplane_exporter.baseline.fit_numeric import Numbers
from modelplane_exporter.baseline.fitting import Chunk, Key

Advance = Callable[[int], None]

# Values of all columns that are read at once.
_BATCH_VALUES = 4 << 20

_PARQUET = (".parquet", ".pq")
_CSV = (".csv",)
# Without a buffer a column of a whole row group is read at once.
_PARQUET_BUFFER = 1 << 20
# Types are inferred from the first block.
_CSV_BLOCK = 1 << 20

_SECONDS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class DataFiles(Protocol):
    """Files with the same columns; of ``categories`` the files say that they are categories.

    ``size`` is in ``unit`` ("rows" or "bytes") and for progress only.
    """

    columns: Sequence[str]
    categories: Collection[str]
    size: int
    unit: str

    def batches(self, columns: Sequence[str], advance: Advance) -> Iterator[pa.RecordBatch]:
        """All rows of some columns, in order; ``advance`` gets how much was read since it was called last."""
        ...


def open_files(places: Iterable[str], texts: Collection[str] = ()) -> DataFiles:
    """One CSV file, or Parquet files: each place is a file, a folder of Parquet files or a pattern.

    In a CSV file the columns ``texts`` are taken as they are written, not as numbers. BaselineError names the
    file and what is allowed.
    """
    paths = [path for place in places for path in _paths(place)]
    suffixes = {path.suffix.lower() for path in paths}
    if suffixes <= set(_PARQUET):
        return _ParquetFiles(paths)
    if suffixes <= set(_CSV) and len(paths) == 1:
        return _CsvFile(paths[0], texts)
    raise BaselineError(
        f"data must be one .csv file or .parquet files (got {', '.join(map(str, paths[:5]))})"
    )


def chunks(
    files: DataFiles, signals: Mapping[str, Key], categorical: Collection[str], advance: Advance
) -> Iterator[Chunk]:
    """The rows of the files for ``fit_chunks``; ``signals`` maps columns to signals.

    Of the columns ``categorical`` the values are categories, whatever their type is.
    """
    categories = {*categorical, *files.categories}
    for batch in files.batches(list(signals), advance):
        yield {key: _values(batch.column(name), name, name in categories) for name, key in signals.items()}


class _ParquetFiles:
    unit = "rows"

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self.size = 0
        self.columns: Sequence[str] = ()
        self.categories: Collection[str] = frozenset()
        for path in paths:
            with _readable(path), _parquet(path) as file:
                self.size += file.metadata.num_rows
                columns = _without_index(file.schema_arrow)
                self.categories = {*self.categories, *_pandas_categories(file.schema_arrow)}
            _refuse_repeated(columns, path)
            self.columns = self.columns or columns
            if differing := sorted(set(self.columns) ^ set(columns)):
                raise BaselineError(f"{path}: column {differing[0]!r} is not in all of the files")

    def batches(self, columns: Sequence[str], advance: Advance) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            with _readable(path), _parquet(path) as file:
                rows = max(1, min(CHUNK_ROWS, _BATCH_VALUES // len(columns)))
                for batch in file.iter_batches(batch_size=rows, columns=columns):
                    yield batch
                    advance(batch.num_rows)


class _CsvFile:
    unit = "bytes"

    def __init__(self, path: Path, texts: Collection[str]) -> None:
        self._path = path
        self.size = path.stat().st_size
        self.categories: Collection[str] = ()
        with _readable(path), pa_csv.open_csv(path, _read_options(), None, _convert_options({})) as reader:
            inferred = reader.schema
            self.columns: Sequence[str] = inferred.names
        _refuse_repeated(self.columns, path)
        self._types = {field.name: _csv_type(field.type, field.name in texts) for field in inferred}

    def batches(self, columns: Sequence[str], advance: Advance) -> Iterator[pa.RecordBatch]:
        options = _convert_options({name: self._types[name] for name in columns})
        with _readable(self._path), pa.OSFile(str(self._path)) as file:
            read = 0
            with pa_csv.open_csv(file, _read_options(), None, options) as reader:
                for batch in reader:
                    yield batch
                    read, before = file.tell(), read
                    advance(read - before)


def _parquet(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, buffer_size=_PARQUET_BUFFER, pre_buffer=False)


def _read_options() -> pa_csv.ReadOptions:
    return pa_csv.ReadOptions(block_size=_CSV_BLOCK)


def _convert_options(types: Mapping[str, pa.DataType]) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),  # none: all
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def _csv_type(inferred: pa.DataType, as_text: bool) -> pa.DataType:
    """The type to read a column with, of which the first block says ``inferred``."""
    if as_text:
        return pa.string()
    # A fraction may come later in a column that begins with whole numbers, or with nothing.
    return pa.float64() if pt.is_integer(inferred) or pt.is_null(inferred) else inferred


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        text = str(error).splitlines()[0]
        hint = "; take it as texts with --categorical" if "CSV conversion error" in text else ""
        raise BaselineError(f"{path}: {text}{hint}") from error


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


def _without_index(schema: pa.Schema) -> list[str]:
    """The columns without those that hold the index of a pandas frame."""
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    return [name for name in schema.names if name not in index]


def _pandas_categories(schema: pa.Schema) -> set[str]:
    """Columns of type category in a pandas frame; for Arrow those of numbers are plain numbers."""
    columns = (schema.pandas_metadata or {}).get("columns", ())
    return {column["field_name"] for column in columns if column["pandas_type"] == "categorical"}


def _refuse_repeated(names: Iterable[str], path: Path) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise BaselineError(f"{path}: the column name {name!r} occurs {count} times")


def _values(array: pa.Array, name: str, as_category: bool) -> Numbers | Counts:
    """A column as numbers, or as counts of its categories; BaselineError when it can be neither."""
    if pt.is_dictionary(array.type):
        array, as_category = array.dictionary_decode(), True
    if as_category or _is_categorical(array.type):
        return _counts(array, name)
    if pt.is_temporal(array.type) and not pt.is_time(array.type):
        return _seconds(array)
    if pt.is_integer(array.type) or pt.is_floating(array.type) or pt.is_decimal(array.type):
        return _floats(array)
    if pt.is_null(array.type):
        return np.full(len(array), np.nan)
    raise BaselineError(
        f"column {name!r} must hold numbers, dates, texts or truth values (got {array.type}); "
        "leave it out with --ignore"
    )


def _is_categorical(kind: pa.DataType) -> bool:
    return any(
        check(kind)
        for check in (
            pt.is_boolean, pt.is_string, pt.is_large_string, pt.is_string_view,
            pt.is_binary, pt.is_large_binary, pt.is_fixed_size_binary, pt.is_binary_view,
        )
    )  # fmt: skip


def _counts(array: pa.Array, name: str) -> Counts:
    counted: Any = pc.value_counts(array)
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return category_counts(pairs, f"column {name!r}")


def _seconds(array: pa.Array) -> Numbers:
    """Dates and times in seconds since 1970, durations in seconds."""
    if pt.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    return _floats(array.view(pa.int64())) / _SECONDS[array.type.unit]


def _floats(array: pa.Array) -> Numbers:
    floats: Numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats
