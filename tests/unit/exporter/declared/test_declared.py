"""An exporter with declared values."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter_support.declared_calls import ARGUMENTS, BASELINE, FULL, HEAD, RESULT
from exporter_support.odd_objects import Hostile, run
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.declared import Declared, DeclaredError


def exporter_of(registry: CollectorRegistry, text: str, **options: Any) -> ModelMetricsExporter:
    declared = Declared.parse(text, "shop.yaml")
    return ModelMetricsExporter("shop", "v1", "a", "sklearn", declared=declared, registry=registry, **options)


def sample(registry: CollectorRegistry, name: str, tenant_id: str = "a", **labels: str) -> float | None:
    identity = {"model_name": "shop", "model_version": "v1", "tenant_id": tenant_id, "framework": "sklearn"}
    return registry.get_sample_value(name, {**identity, **labels})


def test_a_decorated_function_counts_what_is_declared(registry: CollectorRegistry) -> None:
    @exporter_of(registry, FULL, baseline=BASELINE)
    def recommend(rows: list[int], features: dict[str, float]) -> dict[str, object]:
        return RESULT

    assert recommend([1, 2, 3], features={"age": 41}) is RESULT
    assert recommend(**ARGUMENTS) is RESULT
    assert sample(registry, "model_prediction_confidence_sum") == pytest.approx(1.66)
    assert sample(registry, "model_inference_items_total") == 6
    tokens = {
        kind: sample(registry, "model_inference_tokens_total", kind=kind)
        for kind in ("input", "cached_input", "output", "reasoning")
    }
    assert tokens == {"input": 14, "cached_input": 0, "output": 10, "reasoning": 4}
    assert sample(registry, "model_business_events_total", event="recommended") == 2
    assert sample(registry, "model_business_events_total", event="added_to_basket") == 4
    for kind, signal, place in [
        ("input", "age", "01"), ("output", "prediction", "cat"), ("business", "basket_value", "01"),
    ]:  # fmt: skip
        labels = {"kind": kind, "signal": signal, "baseline": BASELINE.label, "bin": place}
        assert sample(registry, "model_signal_observations_total", "__all__", **labels) == 2, signal
    assert sample(registry, "model_invalid_observations_total", reason="value_missing") in (None, 0)


def test_async_functions_and_methods_have_declared_values_too(registry: CollectorRegistry) -> None:
    exporter = exporter_of(registry, HEAD + "items: arguments.self.size\nconfidence: result")

    class Service:
        size = 5

        @exporter
        def predict(self, x: int) -> float:
            return 0.5

        @exporter
        async def apredict(self, x: int) -> float:
            return 0.25

    assert Service().predict(1) == 0.5
    assert asyncio.run(Service().apredict(x=1)) == 0.25
    assert sample(registry, "model_inference_items_total") == 10
    assert sample(registry, "model_prediction_confidence_sum") == 0.75


def test_a_call_that_fails_observes_nothing_and_raises_what_it_raised(registry: CollectorRegistry) -> None:
    @exporter_of(registry, HEAD + "confidence: result.p\nitems: length(arguments.rows)")
    def predict(rows: list[int]) -> object:
        raise KeyError(rows)

    with pytest.raises(KeyError):
        predict([1])
    with pytest.raises(TypeError):
        predict([1], 2)  # type: ignore[call-arg]
    assert sample(registry, "model_inference_requests_total", outcome="failure") == 2
    assert sample(registry, "model_prediction_confidence_count") == 0
    assert sample(registry, "model_invalid_observations_total", reason="confidence_missing") in (None, 0)


def test_broken_values_are_counted_and_the_result_is_untouched(registry: CollectorRegistry) -> None:
    @exporter_of(registry, FULL, baseline=BASELINE)
    def recommend(rows: object, features: object) -> object:
        return hostile

    hostile = Hostile()
    assert recommend(3.5, "no features") is hostile
    assert sample(registry, "model_inference_requests_total", outcome="success") == 1
    counted = sample(registry, "model_invalid_observations_total", reason="value_wrong_type")
    assert counted is not None
    assert counted >= 8
    assert sample(registry, "model_prediction_confidence_count") == 0


def test_the_exporter_takes_a_path_and_wants_the_signals_at_start(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(FULL, encoding="utf-8")
    with pytest.raises(DeclaredError, match=f"{path}: features needs a baseline"):
        ModelMetricsExporter("shop", "v1", "a", "sklearn", declared=path, registry=registry)
    ModelMetricsExporter("shop", "v2", "a", "sklearn", declared=path, baseline=BASELINE, registry=registry)
    exposed = generate_latest(registry).decode()
    for event in ("recommended", "added_to_basket"):
        line = rf'^model_business_events_total{{event="{event}",.*model_version="v2".*}} 0.0$'
        assert re.search(line, exposed, re.MULTILINE), event


def test_confidence_that_is_not_declared_is_still_read(registry: CollectorRegistry) -> None:
    @exporter_of(registry, HEAD + "items: length(arguments.rows)")
    def predict(rows: list[int]) -> dict[str, float]:
        return {"confidence": 0.5}

    predict([1, 2])
    assert sample(registry, "model_prediction_confidence_sum") == 0.5
    assert sample(registry, "model_inference_items_total") == 2


@pytest.mark.slow
@pytest.mark.parametrize(("module", "package"), [("jmespath", "JMESPath"), ("yaml", "PyYAML")])
def test_what_is_missing_says_what_to_install(module: str, package: str) -> None:
    run(f"""
import sys
sys.modules[{module!r}] = None
import modelplane_exporter
try:
    import modelplane_exporter.declared
except ModuleNotFoundError as error:
    assert str(error) == (
        "declared values need {package}; add it with: pip install 'modelplane[declared]'"
    ), error
else:
    raise AssertionError("no error")
""")
