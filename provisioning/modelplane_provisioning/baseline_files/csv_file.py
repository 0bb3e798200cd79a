"""Training data in a CSV file: its delimiter, its columns, and what their texts mean.

What a column holds is told from the first block. Numbers are read by Arrow, which is quick; every other text
is read as one that comes with a call.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv

from modelplane_exporter.baseline import BaselineError
from modelplane_exporter.baseline.fit_categorical import Counts
from modelplane_exporter.baseline.fit_numeric import Numbers, Times
from modelplane_exporter.baseline.fitting import Chunk, Key
from modelplane_exporter.baseline.model import MAX_CATEGORIES
from modelplane_exporter.baseline.texts import (
    MISSING_TEXTS,
    is_identifier,
    is_missing,
    is_number,
    is_time,
    is_whole_number,
)
from modelplane_provisioning.baseline_files.columns import counts_of, floats_of, numbers_in
from modelplane_provisioning.baseline_files.streams import (
    Advance,
    Head,
    head_of,
    opened,
    readable,
    refuse_repeated,
)

# What a column holds is told from the first block.
_BLOCK = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t"}  # what can be typed in a shell
_ROWS_LOOKED_AT = 50
# Arrow takes blanks for a number that it cannot read; of a file with fixed widths all are of one length.
_BLANKS = tuple(" " * width for width in range(1, 33))
# How pandas writes, and names, a column without a name: the index of a frame.
_UNNAMED = re.compile(r"(Unnamed: \d+(_level_\d+)?)?")
_DECIMAL_COMMA, _DECIMAL_POINT = re.compile(r"[+-]?\d+,\d+"), re.compile(r"[+-]?\d*\.\d+")

# Numbers as Arrow reads them, numbers that are written in other ways, times, and texts.
Content = Literal["numbers", "spelled", "times", "texts"]


class Dialect(NamedTuple):
    """How a CSV file is written."""

    encoding: str
    delimiter: str
    decimal: str


class CsvFile:
    """A CSV file, compressed or not; see ``DataFiles``."""

    unit = "bytes"

    def __init__(self, path: Path, encoding: str | None = None, delimiter: str | None = None) -> None:
        self._path = path
        self.size = path.stat().st_size
        head = head_of(path, encoding)
        self._dialect = _dialect(path, head, delimiter)
        names = self._names()
        self.columns: Sequence[str] = [name for name in names if not _UNNAMED.fullmatch(name)]
        refuse_repeated(self.columns, path)
        texts = self._first_texts()
        self._contents = {
            name: _content(of_column, self._dialect.decimal) for name, of_column in texts.items()
        }
        self._classes = {name for name, of_column in texts.items() if _are_classes(of_column)}
        unnamed = [str(place) for place, name in enumerate(names, 1) if name not in self.columns]
        self.notices: Sequence[str] = (*head.notices, *_unnamed_notice(path, unnamed))

    def has_classes(self, column: str) -> bool:
        """See ``DataFiles``."""
        return column in self._classes

    def chunks(
        self, signals: Mapping[str, Key], categorical: Collection[str], advance: Advance
    ) -> Iterator[Chunk]:
        """See ``DataFiles``."""
        contents: dict[str, Content] = {
            name: "texts" if name in categorical else self._contents[name] for name in signals
        }
        for batch in self._batches(contents, advance):
            yield {
                key: self._values(batch.column(name), name, contents[name]) for name, key in signals.items()
            }

    def _values(self, array: pa.Array, name: str, content: Content) -> Numbers | Times | Counts:
        if content == "numbers":
            return floats_of(array)
        if content == "texts":
            return counts_of(array, name)
        numbers = numbers_in(array, name, self._dialect.decimal if content == "spelled" else ".")
        return Times(numbers) if content == "times" else numbers

    def _batches(self, contents: Mapping[str, Content], advance: Advance) -> Iterator[pa.RecordBatch]:
        types = {
            name: pa.float64() if content == "numbers" else pa.string() for name, content in contents.items()
        }
        with readable(self._path), opened(self._path) as stream:
            read = 0
            with self._reader(stream.file, types) as reader:
                for batch in reader:
                    yield batch
                    read, before = stream.raw.tell(), read
                    advance(read - before)

    def _names(self) -> list[str]:
        with readable(self._path), opened(self._path) as stream, self._reader(stream.file, {}) as reader:
            names: list[str] = reader.schema.names
            return names

    def _first_texts(self) -> dict[str, list[str]]:
        """The distinct texts of each column in the first block, blank ones among them."""
        if not self.columns:
            return {}
        types = dict.fromkeys(self.columns, pa.string())
        with readable(self._path), opened(self._path) as stream, self._reader(stream.file, types) as reader:
            for batch in reader:
                return {name: _distinct(batch.column(name)) for name in self.columns}
        return {name: [] for name in self.columns}

    def _reader(self, file: pa.NativeFile, types: Mapping[str, pa.DataType]) -> pa_csv.CSVStreamingReader:
        encoding, delimiter, decimal = self._dialect
        return pa_csv.open_csv(
            file,
            pa_csv.ReadOptions(block_size=_BLOCK, encoding=_arrow_name(encoding)),
            pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pa_csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),  # none: all
                null_values=[*sorted(MISSING_TEXTS), *_BLANKS],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,  # a call does not tell what was quoted
                decimal_point=decimal,
            ),
        )


def _arrow_name(encoding: str) -> str:
    # Arrow leaves out a byte order mark by itself, and is quickest if it need not ask Python.
    return "utf8" if encoding.lower().replace("-", "") in ("utf8", "utf8sig") else encoding


def _dialect(path: Path, head: Head, delimiter: str | None) -> Dialect:
    if delimiter is None:
        delimiter = "\t" if {".tsv", ".tab"} & set(path.suffixes) else _delimiter(head)
    delimiter = _NAMED_DELIMITERS.get(delimiter, delimiter)
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise BaselineError(f"--delimiter must be one ASCII character, or tab (got {delimiter!r})")
    texts = [text.strip() for row in _rows(head, delimiter)[1:] for text in row]
    has_comma = any(map(_DECIMAL_COMMA.fullmatch, texts))
    decimal = "," if delimiter != "," and has_comma and not any(map(_DECIMAL_POINT.fullmatch, texts)) else "."
    return Dialect(head.encoding, delimiter, decimal)


def _delimiter(head: Head) -> str:
    """That which splits all of the first rows into the same number of columns, else the header into most."""
    return max(_DELIMITERS, key=lambda delimiter: _columns(_rows(head, delimiter)))


def _columns(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Into how many columns all rows are split, 0 if they differ, and into how many the header is."""
    widths = [len(row) for row in rows] or [0]
    alike = widths[0] > 1 and len(set(widths)) == 1
    return widths[0] if alike else 0, widths[0]


def _rows(head: Head, delimiter: str) -> list[list[str]]:
    """The first rows that are not empty."""
    try:
        rows = [row for row in csv.reader(io.StringIO(head.text, newline=""), delimiter=delimiter) if row]
    except csv.Error:  # a field that never ends
        return []
    return rows[:_ROWS_LOOKED_AT] if head.is_whole else rows[:-1][:_ROWS_LOOKED_AT]


def _content(distinct: Sequence[str], decimal: str) -> Content:
    """What a column holds; of one without any value it is not known, and a number is the likeliest."""
    texts = _present(distinct)
    if texts and all(map(is_time, texts)):
        return "times"
    if any(map(is_identifier, texts)) or not all(is_number(text.replace(decimal, ".")) for text in texts):
        return "texts"
    if len(texts) < len(distinct):  # blanks, which Arrow takes for no number and not for none
        return "spelled"
    try:
        pa.array([text.replace(decimal, ".") for text in texts], pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return "spelled"
    return "numbers"


def _distinct(column: pa.Array) -> list[str]:
    return [text for text in column.unique().to_pylist() if text is not None]


def _present(texts: Sequence[str]) -> list[str]:
    """The texts without those that stand for no value."""
    return [text for text in texts if not is_missing(text)]


def _are_classes(distinct: Sequence[str]) -> bool:
    texts = _present(distinct)
    return 0 < len(texts) <= MAX_CATEGORIES and all(map(is_whole_number, texts))


def _unnamed_notice(path: Path, places: Sequence[str]) -> list[str]:
    if not places:
        return []
    columns = f"column {places[0]} has" if len(places) == 1 else f"columns {', '.join(places)} have"
    return [f"{path}: {columns} no name, as the index of a frame, and so was left out"]
