"""The file with what dead worker processes left; see module ``directory``."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import Version
from modelplane_exporter.workers.file import SampleKey, StateKey, key_from_json, key_to_json


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
