"""The file with what dead worker processes left; module ``directory`` says when it is replaced."""

from __future__ import annotations

import json
import logging
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TextIO

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import Version, version_of
from modelplane_exporter.layout.signals import SignalKey
from modelplane_exporter.rate_limited_log import rate_limited
from modelplane_exporter.workers.file_format import AnyKey, SampleKey, StateKey, key_from_json, key_to_json
from modelplane_exporter.workers.file_lock import guard


@dataclass(frozen=True, slots=True)
class Archive:
    """What dead workers left: sums by key, each with the time (seconds since 1970) it last changed.

    A state is one big integer of 64-bit digits, its calls in flight 0. ``files`` are the names of
    files that are included and may still be there.
    """

    files: frozenset[str] = frozenset()
    states: Mapping[StateKey, tuple[int, float]] = field(default_factory=dict)
    baselines: Mapping[tuple[Version, str], Baseline] = field(default_factory=dict)
    samples: Mapping[SampleKey, tuple[float, float]] = field(default_factory=dict)

    def unchanged_since(self, time: float) -> set[AnyKey]:
        """The keys that last changed before ``time``."""
        changes = chain[tuple[AnyKey, tuple[float, float]]](self.states.items(), self.samples.items())
        return {key for key, (_, changed) in changes if changed < time}

    def unloaded(self) -> set[AnyKey]:
        """The keys of signals whose baseline the last worker that had it has unloaded."""
        return {
            key
            for key in self.states
            if isinstance(key, SignalKey)
            and (version_of(key.identity), key.fingerprint) not in self.baselines
        }


class ArchiveFile:
    """The archive in place; it is parsed again only when another process replaced it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = Archive()
        self._descriptor: int | None = None

    def load(self) -> Archive:
        """The archive; empty when nothing was compacted yet, or what is there is damaged. OSError."""
        if self.is_current():
            return self._archive
        try:
            with open(self._reopened(), encoding="utf-8", closefd=False) as lines:
                self._archive = read_archive(lines)
        except FileNotFoundError:
            pass
        except ValueError as error:  # the machine crashed; its counters start again, as after any restart
            rate_limited.log(
                logging.ERROR, (__name__, "archive"), "%s is damaged and not counted: %s", self._path, error
            )
        return self._archive

    def replace(self, archive: Archive) -> None:
        """Replace it at once, or leave it as it is: OSError. One process at a time."""
        write_archive(self._path, archive)
        self._reopened()
        self._archive = archive

    def is_current(self) -> bool:
        """Whether what was loaded is in place. It is kept open, so its inode cannot be another file's."""
        try:
            placed = self._path.stat()
        except FileNotFoundError:
            return self._descriptor is None
        return self._descriptor is not None and os.path.samestat(placed, os.fstat(self._descriptor))

    def forget(self) -> None:
        """Close it; the next ``load`` parses it again."""
        self._archive = Archive()
        with guard:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _reopened(self) -> int:
        self.forget()
        with guard:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return self._descriptor


def write_archive(path: Path, archive: Archive) -> None:
    """Replace the archive at once, or leave it as it is: OSError. One process at a time."""
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as lines:
        head = {"files": sorted(archive.files), "records": _size(archive)}
        print(json.dumps(head), file=lines)
        for key, (state, changed) in archive.states.items():
            print(json.dumps(["state", key_to_json(key), hex(state), changed]), file=lines)
        for (version, fingerprint), baseline in archive.baselines.items():
            print(json.dumps(["baseline", version, fingerprint, baseline.to_json()]), file=lines)
        for sample_key, (value, changed) in archive.samples.items():
            print(json.dumps(["sample", sample_key, value, changed]), file=lines)
    new.replace(path)


def _size(archive: Archive) -> int:
    return len(archive.states) + len(archive.baselines) + len(archive.samples)


def read_archive(lines: TextIO) -> Archive:
    """Parse an archive, one record a line so that no step takes long; ValueError when it is damaged."""
    try:
        head = json.loads(lines.readline())
        states: dict[StateKey, tuple[int, float]] = {}
        baselines: dict[tuple[Version, str], Baseline] = {}
        samples: dict[SampleKey, tuple[float, float]] = {}
        for line in lines:
            kind, key, value, changed = json.loads(line)
            if kind == "state":
                states[key_from_json(key)] = (int(value, 16), changed)
            elif kind == "baseline":
                baselines[Version(*key), value] = Baseline.from_json(changed)
            else:
                samples[SampleKey(key[0], tuple(key[1]))] = (value, changed)
        archive = Archive(frozenset(head["files"]), states, baselines, samples)
        if _size(archive) != head["records"]:
            raise ValueError("records are missing")
        return archive
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError(f"unexpected content: {error}") from error
