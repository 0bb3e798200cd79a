"""A run that is killed anywhere leaves each board old or new, and the next run completes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_schema.owned_files import MANIFEST

# Forks a child for each moment, for it has no threads and has imported what a child needs.
_SCRIPT = """
import json, random, sys
from pathlib import Path
from mortal import killed_at
from modelplane_dashboards.output.writer import check, write

root, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)

def board(name, version):
    uid = f"mp-model-{name}"
    tags = ["modelplane", "modelplane-model"]
    content = {"panels": [], "uid": uid, "tags": tags, "version": version, "rest": "x" * 5000}
    return json.dumps(content).encode()

def some_files(version):
    names = chance.sample("abcdefghij", chance.randrange(3, 9))
    return {f"models/mp-model-{name}.json": board(name, chance.choice([version, 0])) for name in names}

def present(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.glob("*/mp-*.json")}

kills = 0
for number in range(rounds):
    out = root / str(number)
    old, new = some_files(1), some_files(2)
    foreign = out / "models" / "mp-marketing.json"
    write(old, out)
    foreign.write_text("theirs")
    for attempt in range(3):  # killed again while it recovers
        kills += killed_at(lambda: write(new, out), chance.randrange(1, 30), chance.random() < 0.5)
        for path, content in present(out).items():
            if path != "models/mp-marketing.json":
                assert content in (old.get(path), new.get(path)), (seed, number, path)
        missing = old.keys() & new.keys() - present(out).keys()
        assert not missing, (seed, number, missing)
    write(new, out)
    assert check(new, out) == []
    assert present(out) == new | {"models/mp-marketing.json": b"theirs"}, (seed, number)
    left = sorted(p.name for p in out.rglob("*") if p.is_file() and not p.name.startswith("mp-"))
    assert left == [sys.argv[4]], (seed, number, left)
print(json.dumps(kills))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killed_between_any_two_changes(tmp_path: Path, seed: int) -> None:
    rounds = 30
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path), str(seed), str(rounds), MANIFEST]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) > rounds
