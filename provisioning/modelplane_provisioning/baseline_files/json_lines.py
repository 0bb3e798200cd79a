"""Training data in a JSON Lines file: an object for each row. Another pass tells what the columns hold."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelplane_exporter.baseline import BaselineError
from modelplane_exporter.baseline.fit_categorical import Counts
from modelplane_exporter.baseline.fit_columns import CHUNK_ROWS, category_counts
from modelplane_exporter.baseline.fit_numeric import Numbers, Times
from modelplane_exporter.baseline.fitting import Chunk, Key
from modelplane_exporter.baseline.model import MAX_CATEGORIES
from modelplane_exporter.baseline.texts import is_missing, is_time
from modelplane_exporter.baseline.values import to_numbers
from modelplane_provisioning.baseline_files.streams import Advance, head_of, opened, readable

Rows = list[dict[str, Any]]


class JsonLines:
    """A JSON Lines file, compressed or not; see ``DataFiles``."""

    unit = "bytes"

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self._path = path
        self.size = path.stat().st_size
        head = head_of(path, encoding)
        self._encoding = head.encoding
        self.notices: Sequence[str] = head.notices
        self._contents: dict[str, _Content] = {}
        for rows in self._batches(lambda amount: None):
            for name in dict.fromkeys(name for row in rows for name in row):
                content = self._contents.setdefault(name, _Content())
                content.add([row.get(name) for row in rows])
        self.columns: Sequence[str] = list(self._contents)

    def has_classes(self, column: str) -> bool:
        """See ``DataFiles``."""
        content = self._contents[column]
        return content.types == {int} and len(content.whole_numbers) <= MAX_CATEGORIES

    def chunks(
        self, signals: Mapping[str, Key], categorical: Collection[str], advance: Advance
    ) -> Iterator[Chunk]:
        """See ``DataFiles``."""
        for rows in self._batches(advance):
            yield {
                key: self._values([row.get(name) for row in rows], name, name in categorical)
                for name, key in signals.items()
            }

    def _values(self, values: list[Any], name: str, as_category: bool) -> Numbers | Times | Counts:
        content = self._contents[name]
        if content.types & {dict, list}:
            raise BaselineError(
                f"{self._path}: column {name!r} must hold numbers, texts or truth values, nothing nested; "
                "leave it out with --ignore"
            )
        if not as_category and content.types <= {int, float}:
            return to_numbers(values)[0]
        if not as_category and content.types == {str} and content.are_times:
            return Times(to_numbers(values)[0])
        # With the type, because True equals 1, which would be counted as the other.
        typed = Counter(zip(map(type, values), values, strict=True))
        return category_counts(((value, count) for (_, value), count in typed.items()), f"column {name!r}")

    def _batches(self, advance: Advance) -> Iterator[Rows]:
        with readable(self._path), opened(self._path) as stream:
            read, number = 0, itertools.count(1)
            lines = io.TextIOWrapper(stream.file, self._encoding, newline="\n")
            while batch := [*itertools.islice(lines, CHUNK_ROWS)]:
                yield [self._row(line, next(number)) for line in batch if line.strip()]
                read, before = stream.raw.tell(), read
                advance(read - before)

    def _row(self, line: str, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BaselineError(f"{self._path}: row {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise BaselineError(
                f"{self._path}: row {number} must be a JSON object (got {type(row).__name__})"
            )
        return row


class _Content:
    """What a column holds: the types of its values, its whole numbers, and whether its texts are times."""

    def __init__(self) -> None:
        self.types: set[type] = set()
        self.whole_numbers: set[int] = set()
        self.are_times = True

    def add(self, values: Sequence[Any]) -> None:
        """Look at more values."""
        present = [value for value in values if not (value is None or _stands_for_none(value))]
        self.types |= set(map(type, present))
        if len(self.whole_numbers) <= MAX_CATEGORIES:
            self.whole_numbers |= {value for value in present if type(value) is int}
        if self.are_times:
            self.are_times = all(is_time(value) for value in present if type(value) is str)


def _stands_for_none(value: Any) -> bool:
    return type(value) is str and is_missing(value)
