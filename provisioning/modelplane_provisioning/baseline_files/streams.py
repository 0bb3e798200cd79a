"""Files of training data as streams: what they are compressed with, and how their text is encoded."""

from __future__ import annotations

import codecs
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from modelplane_exporter.baseline import BaselineError

Advance = Callable[[int], None]

HEAD_BYTES = 1 << 20
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_FALLBACK = "cp1252"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Head(NamedTuple):
    """The text at the start of a file, and how the file is encoded.

    ``is_whole`` says that the text is all of the file; else it may end within a line.
    """

    text: str
    is_whole: bool
    encoding: str
    notices: tuple[str, ...]


class Stream(NamedTuple):
    """A file that is open; ``file`` gives what it holds, ``raw.tell()`` how many bytes of it were read."""

    file: Any
    raw: Any


def format_of(path: Path) -> str:
    """The suffix that names a file's format, without that of its compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in _CODECS else suffix


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """The file, decompressed if its name says so."""
    codec = _CODECS.get(path.suffix.lower())
    with pa.OSFile(str(path)) as raw:
        if codec is None:
            yield Stream(raw, raw)
        else:
            with pa.CompressedInputStream(raw, codec) as file:
                yield Stream(file, raw)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Make a BaselineError of what reading a file may raise."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError, EOFError) as error:
        text = str(error).splitlines()[0]
        raise BaselineError(f"{path}: {text}{_hint(text)}") from error


def head_of(path: Path, encoding: str | None) -> Head:
    """The start of a file's text; ``encoding`` is found out where it is None. BaselineError if that fails."""
    with readable(path), opened(path) as stream:
        data: bytes = stream.file.read(HEAD_BYTES)
        is_whole = not stream.file.read(1)
    names = [encoding] if encoding else _candidates(data)
    for name in names:
        text = _decoded(data, name, is_whole)
        if text is not None:
            return Head(text, is_whole, name, () if name == names[0] else (_fallback_notice(path),))
    raise BaselineError(f"{path}: is not {names[0]} text; say how it is encoded with --encoding")


def refuse_repeated(names: Iterable[str], path: Path) -> None:
    """BaselineError when two columns have the same name."""
    for name, count in Counter(names).items():
        if count > 1:
            raise BaselineError(f"{path}: the column name {name!r} occurs {count} times")


def _candidates(data: bytes) -> list[str]:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return [encoding]
    return ["utf-8", _FALLBACK]


def _decoded(data: bytes, encoding: str, is_whole: bool) -> str | None:
    """The text, but for a character that the data end within; None when it is encoded in another way."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError as error:
        raise BaselineError(
            f"--encoding: {encoding!r} is unknown; it must be one of Python's codecs"
        ) from error
    try:
        return decoder.decode(data, final=is_whole)
    except UnicodeDecodeError:
        return None


def _fallback_notice(path: Path) -> str:
    return f"{path}: is not UTF-8, and so was read as Windows-1252; name another with --encoding"


def _hint(text: str) -> str:
    if "UTF8" in text:
        return "; say how it is encoded with --encoding"
    return "; take it as texts with --categorical" if "CSV conversion error" in text else ""
