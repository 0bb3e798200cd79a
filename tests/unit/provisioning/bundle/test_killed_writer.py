"""Writing a bundle that is killed anywhere leaves each file old or new, and the next run completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_provisioning.processes import PATIENCE_SECONDS

# Forks a child for each moment, for it has no threads and has imported what a child needs.
_SCRIPT = """
import json, random, sys
from pathlib import Path
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.bundle.layout import BUNDLE, prepare_folders
from modelplane_provisioning.bundle.credentials import HOLDERS, NO_TRUST, SECRETS, TOKENS
from modelplane_schema.owned_files import MANIFEST, planned_changes, write_owned
from mortal import killed_at

root, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
FOREIGN = {"prometheus/rules/site-rules.yml", "prometheus/targets/theirs.json", "notes.txt"}
GENERATED = {f"secrets/{secret.path}" for secret in SECRETS}

def write(files, out):
    write_owned(BUNDLE, files, out, prepare=lambda: prepare_folders(out, NO_TRUST))

def some_bundle(version):
    names = chance.sample("abcdef", chance.randrange(2, 5))
    targets = {f"prometheus/targets/mp-model-{name}.json": chance.choice([version, 0]) for name in names}
    receivers = [f"secrets/alertmanager/receivers/{name}" for name in chance.sample("xy", 1)]
    always = ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml", "compose.yaml")
    content = {**targets, **dict.fromkeys(receivers, version)}
    content |= {path: chance.choice([version, 0]) for path in always}
    return {path: (str(number) * 5000).encode() for path, number in content.items()}

def present(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}

def known(out):
    tokens = json.loads((out / "secrets" / TOKENS.path).read_text())["tokens"]
    return {entry["sha256"] for entry in tokens}

kills = 0
for number in range(rounds):
    out = root / str(number)
    for path in FOREIGN:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text("theirs")
    old, new = some_bundle(1), some_bundle(2)
    if number % 3:  # others are killed while they write their first
        write(old, out)
    else:
        old = {}
    tokens = {path: content for path, content in present(out).items() if path in GENERATED}
    for attempt in range(3):  # killed again while it recovers
        kills += killed_at(lambda: write(new, out), chance.randrange(1, 30), chance.random() < 0.5)
        files = present(out)
        for path in old.keys() | new.keys():
            assert files.get(path) in (old.get(path), new.get(path)), (seed, number, path)
        missing = old.keys() & new.keys() - files.keys()
        assert not missing, (seed, number, missing)
        assert all(files[path] == b"theirs" for path in FOREIGN), (seed, number)
        for path, content in tokens.items():  # also the hashes that the backend knows
            assert files[path] == content, (seed, number, path)
    write(new, out)
    plan = planned_changes(BUNDLE, new, out)
    assert (plan.written, plan.removed) == ((), ()), (seed, number, plan)
    files = present(out)
    assert set(files) == {*new, *FOREIGN, *GENERATED, MANIFEST}, (seed, number, sorted(files))
    tokens_of_parts = [files[f"secrets/{holder.secret.path}"].decode() for holder in HOLDERS]
    assert {hash_token(token) for token in tokens_of_parts} == known(out), (seed, number)
print(kills)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killed_between_any_two_changes(tmp_path: Path, seed: int) -> None:
    rounds = 15
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path), str(seed), str(rounds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE_SECONDS
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > rounds
