"""A run that is killed anywhere leaves each board old or new, and the next run completes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_dashboards import MANIFEST

# Forks a child for each moment, for it has no threads and has imported what a child needs. The child is
# killed before or after the nth rename, removal or creation of a temporary file.
_SCRIPT = """
import json, os, random, signal, sys
from pathlib import Path
from modelplane_dashboards.output.writer import check, write

root, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)

def board(name, version):
    uid = f"mp-model-{name}"
    return json.dumps({"uid": uid, "tags": ["modelplane"], "version": version, "rest": "x" * 5000}).encode()

def some_files(version):
    names = chance.sample("abcdefghij", chance.randrange(3, 9))
    return {f"models/mp-model-{name}.json": board(name, chance.choice([version, 0])) for name in names}

def killed_at(moment, after):
    count = [0]
    def mortal(act):
        def wrapped(*arguments, **options):
            count[0] += 1
            if count[0] == moment and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = act(*arguments, **options)
            if count[0] == moment and after:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return wrapped
    Path.replace, Path.unlink, os.open = mortal(Path.replace), mortal(Path.unlink), mortal(os.open)

def present(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.glob("*/mp-*.json")}

def run(out, files, moment, after):
    child = os.fork()
    if not child:
        killed_at(moment, after)
        write(files, out)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

kills = 0
for number in range(rounds):
    out = root / str(number)
    old, new = some_files(1), some_files(2)
    foreign = out / "models" / "mp-marketing.json"
    write(old, out)
    foreign.write_text("theirs")
    for attempt in range(3):  # killed again while it recovers
        kills += run(out, new, chance.randrange(1, 25), chance.random() < 0.5)
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


@pytest.mark.parametrize("seed", range(2))
def test_killed_between_any_two_changes(tmp_path: Path, seed: int) -> None:
    rounds = 30
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path), str(seed), str(rounds), MANIFEST]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) > rounds
