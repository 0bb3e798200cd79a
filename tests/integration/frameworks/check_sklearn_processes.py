"""Measured models and decorated functions in other processes, as joblib, pools and Ray send them."""

from __future__ import annotations

import base64
import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
from checking import Series, main
from prometheus_client import REGISTRY
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.frameworks import sklearn as wrapper

ROWS, LABELS = load_iris(return_X_y=True)
# Runs where neither this package nor the script can be imported.
BLOCKED = """
import sys
sys.path = [path for path in sys.path if "modelplane" not in path]
for name in ("modelplane_exporter", "modelplane_schema"):
    sys.modules[name] = None
"""


def fitted() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)


def fresh_process(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "MODELPLANE_EXPORTER_PORT": "off"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_processes_get_the_bare_methods() -> None:
    series, bare = Series(), fitted()
    model = wrapper.wrap(bare, **series.options)
    chunks, wanted = [ROWS[:9], ROWS[9:]], [9, 141]
    for context in ("fork", "spawn"):
        with multiprocessing.get_context(context).Pool(2) as pool:
            assert [len(part) for part in pool.map(model.predict, chunks)] == wanted
        with ProcessPoolExecutor(1, multiprocessing.get_context(context)) as executor:
            assert len(executor.submit(model.predict_proba, ROWS[:3]).result()) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # joblib forks beside its own threads
        for backend in ("loky", "threading"):
            parts = joblib.Parallel(2, backend=backend)(joblib.delayed(model.predict)(c) for c in chunks)
            assert [len(part) for part in parts] == wanted
    assert series.requests() == 2  # of the threads


def check_copies_of_methods_are_bare() -> None:
    series, bare = Series(), fitted()
    model = wrapper.wrap(bare, **series.options)
    path = Path(tempfile.mkdtemp(), "method")
    joblib.dump(model.predict, path)
    twins = [joblib.load(path), copy.deepcopy(model.predict)]
    twins += [library.loads(library.dumps(model.predict)) for library in (pickle, cloudpickle)]
    for twin in twins:
        assert type(twin.__self__) is Pipeline
        assert twin.__self__ is not bare
        assert np.array_equal(twin(ROWS), bare.predict(ROWS))
    assert copy.copy(model.predict).__self__ is bare
    twin = pickle.loads(pickle.dumps(model.get_params))  # noqa: S301
    assert twin().keys() == bare.get_params().keys()
    assert series.requests() == 0


def check_a_dump_loads_where_nothing_of_ours_is_installed() -> None:
    model = wrapper.wrap(fitted(), **Series().options)
    folder = Path(tempfile.mkdtemp())
    joblib.dump(model, folder / "joblib")
    joblib.dump({"models": [model, model]}, folder / "held")
    (folder / "pickle").write_bytes(pickle.dumps(model))
    (folder / "method").write_bytes(pickle.dumps(model.predict))
    (folder / "cloudpickle").write_bytes(cloudpickle.dumps(model))
    code = (
        BLOCKED
        + """
import joblib, pickle
from pathlib import Path
from sklearn.datasets import load_iris
rows, labels = load_iris(return_X_y=True)
folder = Path(sys.argv[1])
first, second = joblib.load(folder / "held")["models"]
assert first is second
loaded = [joblib.load(folder / "joblib"), first]
loaded += [pickle.loads((folder / name).read_bytes()) for name in ("pickle", "cloudpickle")]
for model in loaded:
    assert type(model).__name__ == "Pipeline"
    assert (model.predict(rows) == labels).mean() > 0.9
assert len(pickle.loads((folder / "method").read_bytes())(rows)) == 150
print(len(loaded))
"""
    )
    assert fresh_process(code, str(folder)) == "4\n"


def check_a_decorated_function_is_measured_where_it_comes_to() -> None:
    exporter = ModelMetricsExporter(
        "shipped", "v1", "user-A", "sklearn", registry=Series().registry, tenants=["user-B"]
    )

    @exporter
    def predict(score: float) -> dict[str, float]:
        return {"confidence": score}

    @exporter
    async def predict_later(score: float) -> dict[str, float]:
        return {"confidence": score}

    class Actor:
        model = exporter(fitted().predict_proba)

        @exporter
        def __call__(self, score: float) -> dict[str, float]:
            with exporter.track() as call:
                call.confidence(score)
            return predict(score)

    sent = base64.b64encode(cloudpickle.dumps((predict, predict_later, Actor()))).decode()
    code = """
import asyncio, base64, sys
import cloudpickle
from prometheus_client import REGISTRY

sent = base64.b64decode(sys.argv[1])
for _ in range(2):
    predict, predict_later, actor = cloudpickle.loads(sent)
    assert predict(0.5) == actor(0.5) == asyncio.run(predict_later(0.5)) == {"confidence": 0.5}
    assert len(actor.model([[1, 2, 3, 4]])) == 1
labels = {"model_name": "shipped", "model_version": "v1", "tenant_id": "user-A", "framework": "sklearn"}
value = REGISTRY.get_sample_value
print(value("model_inference_requests_total", {**labels, "outcome": "success"}))
print(value("model_inference_requests_total", {**labels, "tenant_id": "user-B", "outcome": "success"}))
"""
    output = fresh_process(code, sent)
    assert output == "12\n0\n", output
    same, _, _ = cloudpickle.loads(base64.b64decode(sent))
    same(0.5)  # in this process it counts where the exporter does
    assert REGISTRY.get_sample_value("model_info") is None
    series = exporter._arguments["registry"]
    labels = {"model_name": "shipped", "model_version": "v1", "tenant_id": "user-A", "framework": "sklearn"}
    assert series.get_sample_value("model_inference_requests_total", {**labels, "outcome": "success"}) == 1


if __name__ == "__main__":
    main(globals())
