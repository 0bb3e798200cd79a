"""Training data in Parquet files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from modelplane_exporter.baseline import BaselineError
from modelplane_exporter.baseline.fit_columns import CHUNK_ROWS, are_classes
from modelplane_exporter.baseline.fitting import Chunk, Key
from modelplane_provisioning.baseline_files.columns import values_of
from modelplane_provisioning.baseline_files.streams import Advance, readable, refuse_repeated

# Values of all columns that are read at once.
_BATCH_VALUES = 4 << 20
# Without a buffer a column of a whole row group is read at once.
_BUFFER = 1 << 20


class ParquetFiles:
    """Parquet files with the same columns; see ``DataFiles``."""

    unit = "rows"
    notices: Sequence[str] = ()

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._categories: Collection[str] = frozenset()
        self.size = 0
        self.columns: Sequence[str] = ()
        for path in paths:
            with readable(path), _opened(path) as file:
                self.size += file.metadata.num_rows
                columns = _without_index(file.schema_arrow)
                self._categories = {*self._categories, *_pandas_categories(file.schema_arrow)}
            refuse_repeated(columns, path)
            self.columns = self.columns or columns
            if differing := sorted(set(self.columns) ^ set(columns)):
                raise BaselineError(f"{path}: column {differing[0]!r} is not in all of the files")

    def has_classes(self, column: str) -> bool:
        """Whether the first rows hold few whole numbers."""
        first = next(self._batches([column], lambda amount: None), None)
        if first is None or not pt.is_integer(first.column(0).type):
            return False
        present = first.column(0).drop_null()
        return len(present) > 0 and are_classes(present.to_numpy(zero_copy_only=False))

    def chunks(
        self, signals: Mapping[str, Key], categorical: Collection[str], advance: Advance
    ) -> Iterator[Chunk]:
        """See ``DataFiles``."""
        categories = {*categorical, *self._categories}
        for batch in self._batches(list(signals), advance):
            yield {
                key: values_of(batch.column(name), name, name in categories) for name, key in signals.items()
            }

    def _batches(self, columns: Sequence[str], advance: Advance) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            with readable(path), _opened(path) as file:
                rows = max(1, min(CHUNK_ROWS, _BATCH_VALUES // len(columns)))
                for batch in file.iter_batches(batch_size=rows, columns=columns):
                    yield batch
                    advance(batch.num_rows)


def _opened(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def _without_index(schema: pa.Schema) -> list[str]:
    """The columns without those that hold the index of a pandas frame."""
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    return [name for name in schema.names if name not in index]


def _pandas_categories(schema: pa.Schema) -> set[str]:
    """Columns of type category in a pandas frame; for Arrow those of numbers are plain numbers."""
    columns = (schema.pandas_metadata or {}).get("columns", ())
    return {column["field_name"] for column in columns if column["pandas_type"] == "categorical"}
