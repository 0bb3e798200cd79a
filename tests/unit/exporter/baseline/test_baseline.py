"""The baseline file: what is written can be read, and nothing malformed gets further than one clear error."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_exporter.baseline import Baseline, BaselineError, CategoricalSignal, NumericSignal
from modelplane_provisioning.processes import PATIENCE_SECONDS

NUMERIC = NumericSignal("input", "age", (1.5, 3.0), (1.0, 2.0, None), (0.5, 0.25, 0.0, 0.25), 1.25, 0.5, 8)
CATEGORICAL = CategoricalSignal("output", "label", ("cat", "dog", ""), (0.5, 0.25, 0.125, 0.125, 0.0), 8)
HASHED = CategoricalSignal("business", "customer", ("0f" * 8,), (1.0, 0.0, 0.0), 8, hashed=True)
BASELINE = Baseline("resnet50", "v1", (NUMERIC, CATEGORICAL, HASHED), "2026-01-02T03:04:05Z", "00ff" * 8)
CONTENT: dict[str, Any] = json.loads(BASELINE.to_json())

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def changed(**fields: Any) -> str:
    return json.dumps({**CONTENT, **fields})


def with_signal(signal: NumericSignal | CategoricalSignal, **fields: Any) -> Baseline:
    return Baseline("m", None, (dataclasses.replace(signal, **fields),), "2026-01-02T03:04:05Z", "00ff")


def test_a_file_gives_the_same_baseline(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    BASELINE.save(path)
    assert Baseline.load(path) == BASELINE
    assert [path] == list(tmp_path.iterdir())
    assert CONTENT["fingerprint"] == BASELINE.fingerprint
    assert CONTENT["format"] == "modelplane-baseline/1"


def test_the_fingerprint_tells_signals_apart_not_names_or_times() -> None:
    other = dataclasses.replace(
        BASELINE, model_name="other", model_version=None, created="2027-01-01T00:00:00Z"
    )
    assert other.fingerprint == BASELINE.fingerprint
    assert other.label == BASELINE.fingerprint[:8]
    assert dataclasses.replace(BASELINE, salt="11" * 8).fingerprint != BASELINE.fingerprint
    shifted = dataclasses.replace(NUMERIC, mean=1.2500000001)
    assert dataclasses.replace(BASELINE, signals=(shifted,)).fingerprint != BASELINE.fingerprint


def test_bins_and_bounds() -> None:
    assert NUMERIC.bins == ("00", "01", "02", "__missing__")
    assert NUMERIC.upper_bounds == (1.5, 3.0, math.inf)
    assert CATEGORICAL.bins == ("cat", "dog", "", "__other__", "__missing__")
    assert BASELINE.of_kind("output") == (CATEGORICAL,)
    assert not dataclasses.replace(NUMERIC, stddev=0.0).has_deviation


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        BASELINE.save(tmp_path / "none" / "baseline.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OSError, match=r"folder\.json"):
        BASELINE.save(tmp_path / "folder.json")
    assert [tmp_path / "folder.json"] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
        ("[]", "the file must be a JSON object"),
        (changed(format="modelplane-baseline/2"), "format must be 'modelplane-baseline/1'"),
        (changed(signals={}), "signals must be a list"),
        (changed(signals=[]), "signals must name at least one signal"),
        (changed(signals=[1]), r"signals\[0\] must be a JSON object"),
        (changed(signals=[{"type": ["numeric"]}]), r"signals\[0\].type must be one of numeric, categorical"),
        (changed(signals=[{"type": "numeric"}]), r"signals\[0\] must have exactly the keys type, centers"),
        (changed(model_name=None), "model_name must be a non-empty text"),
        (changed(model_version=""), "model_version must be a non-empty text"),
        (changed(created=5), "created must be a non-empty text"),
        (changed(salt="xyz"), "salt must be up to 128 hexadecimal digits"),
        (changed(salt=""), "salt must be up to 128 hexadecimal digits, at least 2 with a hashed signal"),
        (changed(salt=[]), "salt must be"),
        (changed(fingerprint="0" * 64), "fingerprint does not match the signals"),
        (changed(signals=[*CONTENT["signals"], CONTENT["signals"][0]]), "input 'age' occurs 2 times"),
    ],
)
def test_a_malformed_file_is_one_clear_error(text: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=error) as raised:
        Baseline.load(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"none.json: cannot be read: .*No such file"):
        Baseline.load(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BaselineError, match=r"binary.json: cannot be read"):
        Baseline.load(tmp_path / "binary.json")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"kind": "feature"}, "kind must be one of input, activation, output, business"),
        ({"kind": ["input"]}, "kind must be one of"),
        ({"name": ""}, "name must be a non-empty text"),
        ({"name": "\ud800"}, "name must be a non-empty text"),
        ({"observations": 0}, "observations must be a whole number from 1 on"),
        ({"observations": True}, "observations must be"),
        ({"observations": 10**400}, "observations must be"),
        ({"edges": (3.0, 1.5)}, "edges must be up to 9 ascending numbers"),
        ({"edges": (1.5, 1.5)}, "edges must be"),
        ({"edges": (1.5, math.nan)}, "edges must be"),
        ({"edges": (1.5, 10**400)}, "edges must be"),
        ({"edges": 5}, "edges must be"),
        ({"edges": tuple(range(10))}, "edges must be"),
        ({"centers": (1.0, 2.0)}, "centers must have 3 numbers or nulls"),
        ({"centers": (1.0, "2", None)}, "centers must have"),
        ({"centers": None}, "centers must have"),
        ({"ratios": (0.5, 0.5)}, "ratios must have 4 numbers, one for each bin"),
        ({"ratios": "abcd"}, "ratios must have"),
        ({"ratios": (0.5, 0.5, 0.5, 0.5)}, "ratios must be shares that add up to 1"),
        ({"ratios": (1.5, -0.5, 0.0, 0.0)}, "ratios must be shares"),
        ({"ratios": (1e308, 1e308, 1e308, 0.0)}, "ratios must be shares"),
        ({"mean": None}, "mean and stddev must be numbers"),
        ({"mean": math.inf}, "mean and stddev must be numbers"),
        ({"stddev": -1.0}, "stddev not negative"),
    ],
)
def test_a_numeric_signal_is_checked(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(BaselineError, match=error):
        with_signal(NUMERIC, **fields)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"categories": ("a", "a", "b")}, "categories must be up to 20 distinct texts"),
        ({"categories": ("a", "b", "__other__")}, "other than __other__ and __missing__"),
        ({"categories": ("a", "b", 3)}, "categories must be"),
        ({"categories": ("a", "b", ["c"])}, "categories must be"),
        ({"categories": None}, "categories must be"),
        ({"categories": tuple(f"{i}" for i in range(21))}, "categories must be up to 20"),
        ({"hashed": 1}, "hashed must be true or false"),
    ],
)
def test_a_categorical_signal_is_checked(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(BaselineError, match=error):
        with_signal(CATEGORICAL, **fields)


@pytest.mark.slow
@given(st.data(), JSON)
def test_whatever_a_file_holds_at_any_place_it_is_read_or_refused(data: st.DataObject, value: Any) -> None:
    content = copy.deepcopy(CONTENT)
    place: Any = content
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = value
    try:
        read = Baseline.from_json(json.dumps(content))
    except BaselineError:
        return
    # Only what the fingerprint does not cover can change.
    assert read.signals == BASELINE.signals


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BaselineError):
        Baseline.from_json(text)


def test_reading_needs_no_numpy(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    BASELINE.save(path)
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from modelplane_exporter.baseline import Baseline\n"
        f"print(Baseline.load({str(path)!r}).label)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert (done.stdout.strip(), done.stderr) == (BASELINE.label, "")
