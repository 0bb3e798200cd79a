"""What breaks the data contract is logged once, with the field and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from modelplane_exporter import Baseline, ModelMetricsExporter
from modelplane_exporter.contract_log import VIOLATIONS
from modelplane_exporter.settings import SIGNAL_SERIES
from modelplane_schema.metrics import INVALID_REASONS

pytest.importorskip("numpy")
Violate = Callable[[ModelMetricsExporter], object]
INSTRUMENT = Path(__file__).parents[3] / "docs" / "instrument.md"


LABELS = {"model_name": "m", "model_version": "v1", "tenant_id": "t", "framework": "pytorch"}


def make(registry: CollectorRegistry, **options: Any) -> ModelMetricsExporter:
    baseline = Baseline.fit("m", {"x": [1.0, 2.0, 3.0] * 100, "c": ["a", "b", "c"] * 100})
    arguments: dict[str, Any] = {
        "model_name": "m", "model_version": "v1", "tenant_id": "t", "framework": "pytorch",
        "baseline": baseline, "registry": registry,
    }  # fmt: skip
    return ModelMetricsExporter(**{**arguments, **options})


def tracked(act: Callable[[Any], object]) -> Violate:
    def violate(exporter: ModelMetricsExporter) -> None:
        with exporter.track() as call:
            act(call)

    return violate


def returned(result: object) -> Violate:
    return lambda exporter: exporter(lambda: result)()


def nothing(name: str) -> None:
    """A model of the tenant ``name``."""


def after_the_block(exporter: ModelMetricsExporter) -> None:
    with exporter.track() as call:
        pass
    call.items(2)


def never_entered(exporter: ModelMetricsExporter) -> None:
    exporter.track().items(2)


class Case(NamedTuple):
    """What is done, the field, part of the problem and of the remedy, and the reason that counts it."""

    violate: Violate
    field: str
    problem: str
    remedy: str
    reason: str | None


CASES = {
    "no key": Case(
        returned({"score": 0.5}), "confidence", "lacks the key", "confidence=None", "confidence_missing"
    ),
    "no mapping": Case(
        returned([0.5]), "confidence", "is no mapping", "confidence=None", "confidence_missing"
    ),
    "text": Case(
        returned({"confidence": "high"}), "confidence", "no number", "from 0 to 1", "confidence_not_a_number"
    ),
    "NaN": Case(
        returned({"confidence": math.nan}),
        "confidence",
        "no number",
        "from 0 to 1",
        "confidence_not_a_number",
    ),
    "per cent": Case(
        returned({"confidence": 93.0}),
        "confidence",
        "outside of 0 to 1",
        "not per cent",
        "confidence_out_of_range",
    ),
    "logits": Case(
        tracked(lambda call: call.confidence([2.5, -1])),
        "confidence",
        "outside of 0 to 1",
        "not a logit",
        "confidence_out_of_range",
    ),
    "items": Case(
        tracked(lambda call: call.items(-1)), "items", "not a whole number", "len(rows)", "items_invalid"
    ),
    "tokens": Case(
        tracked(lambda call: call.tokens(output=2.5)),
        "tokens",
        "not a whole number",
        "each kind",
        "tokens_invalid",
    ),
    "row of another length": Case(
        tracked(lambda call: call.features([1.0, 2.0, 3.0])),
        "signals",
        "(input: a row must have 2 values)",
        "array of shape",
        "signal_wrong_shape",
    ),
    "unknown feature": Case(
        tracked(lambda call: call.features({"X": 1, "c": "a"})),
        "signals",
        "(input: the baseline has x, c)",
        "modelplane baseline show",
        "signal_unknown",
    ),
    "text for a number": Case(
        tracked(lambda call: call.features({"x": object(), "c": "a"})),
        "values",
        "another type",
        "numbers where",
        "value_wrong_type",
    ),
    "no such signal": Case(
        tracked(lambda call: call.prediction("y")),
        "signals",
        "(output: the baseline has none of this kind)",
        "modelplane baseline show",
        "signal_unknown",
    ),
    "activations": Case(
        lambda exporter: exporter.activations({"layer": 1.0}),
        "signals",
        "activation: the baseline has none",
        "modelplane baseline show",
        "signal_unknown",
    ),
    "event": Case(
        lambda exporter: exporter.event("x" * 300),
        "event",
        "cannot be used",
        "256 characters",
        "value_wrong_type",
    ),
    "event of a call": Case(
        tracked(lambda call: call.event("click", -1)),
        "event",
        "cannot be used",
        "whole number",
        "value_wrong_type",
    ),
    "feedback": Case(
        lambda exporter: exporter.feedback(cast("bool", "yes")),
        "feedback",
        "cannot be used",
        "True or False",
        "value_wrong_type",
    ),
    "reported": Case(
        tracked(lambda call: call.invalid("value_missing")),
        "declared values",
        "is missing",
        "default",
        "value_missing",
    ),
    "after the block": Case(after_the_block, "call", "not running", "exporter.track()", None),
    "never entered": Case(never_entered, "call", "not running", "exporter.track()", None),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_violation_is_logged_once_and_counted_each_time(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    violate, field, problem, remedy, reason = CASES[case]
    exporter = make(registry, confidence="confidence" if case in list(CASES)[:5] else None)
    for _ in range(3):
        violate(exporter)
    generate_latest(registry)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    head, _, to_do = record.message.partition(" To do: ")
    assert head.startswith(f"m v1: {field}: ")
    assert problem in head
    assert remedy in to_do
    assert record.message.endswith("logged once)")
    counted = registry.get_sample_value(
        "model_invalid_observations_total", {**LABELS, "reason": reason or ""}
    )
    if reason is None:
        assert "model_invalid_observations_total" not in to_do
        assert counted is None
    else:
        assert f'model_invalid_observations_total{{reason="{reason}"}}' in to_do
        assert counted is not None
        assert counted % 3 == 0


def test_a_call_says_at_once_what_is_wrong(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """Without waiting for a scrape."""
    exporter = make(registry)
    for violate in (returned({"score": 1}), returned({"confidence": "high"}), CASES["items"].violate):
        violate(exporter)
    fields = [record.message.split(": ")[1] for record in caplog.records]
    assert fields == ["confidence", "confidence", "items"]


def test_values_without_a_baseline_are_logged_once_for_each_kind_of_signal(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = make(registry, baseline=None, confidence=None)
    for _ in range(2):
        with exporter.track() as call:
            call.features({"x": 1})
            call.prediction("a")
        exporter.activations({"layer": 1.0})
    messages = [record.message for record in caplog.records]
    assert ["(input)" in messages[0], "(output)" in messages[1]] == [True, True]
    assert len(messages) == 3
    assert all("the exporter has no baseline" in message for message in messages)
    assert all("give the exporter baseline=" in message for message in messages)
    counted = {**LABELS, "reason": "signal_unknown"}
    assert registry.get_sample_value("model_invalid_observations_total", counted) == 6


def test_what_goes_to_overflow_is_logged_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = make(registry, tenant_id=lambda name: name, max_tenants=2, confidence=None)
    predict = exporter(nothing)
    for name in "abcde":
        predict(name)
    for number in range(110):
        exporter.event(f"event-{number}", tenant_id="a")
    assert ["max_tenants" in record.message for record in caplog.records] == [True, False]
    assert "the model has too many kinds of events" in caplog.records[1].message
    assert 'counted in model_series_overflow_total{label="event"}' in caplog.records[1].message

    caplog.clear()
    monkeypatch.setenv(SIGNAL_SERIES.name, "60")
    by_tenant = make(
        CollectorRegistry(), tenant_id=lambda name: name, signals_by_tenant=True, confidence=None
    )
    for name in "abcdefgh":
        with by_tenant.track(tenant_id=name) as call:
            call.features({"x": 1.0, "c": "a"})
    (record,) = caplog.records
    assert record.message.startswith("m v1: signals_by_tenant: the budget has no room")
    assert SIGNAL_SERIES.name in record.message


def test_another_exporter_says_it_again(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a cell of a notebook is run again, or another version has the same fault."""
    for version in ("v1", "v1", "v2"):
        exporter = make(registry, model_version=version)
        for _ in range(2):
            exporter(lambda: {"confidence": Decimal("NaN")})()
            exporter(lambda: {"confidence": True})()
    heads = [record.message.partition(":")[0] for record in caplog.records]
    assert heads == ["m v1", "m v1", "m v2"]


def test_a_line_holds_no_data(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    secret = "4111-1111-1111-1111"
    exporter = make(registry, tenant_id=lambda request: request["tenant"])
    exporter(lambda request: {"confidence": secret})({secret: 1})
    exporter(lambda request: {secret: 1})({"tenant": secret * 100})
    with exporter.track(tenant_id=secret.encode()) as call:  # type: ignore[arg-type]
        call.features({secret: secret})
        call.event(secret * 100)
    generate_latest(registry)
    assert len(caplog.records) >= 6
    assert secret not in caplog.text


def test_every_reason_of_the_schema_has_a_line_and_a_place_in_the_docs() -> None:
    assert {violation.reason for violation in VIOLATIONS.values()} - {""} == set(INVALID_REASONS)
    assert set(INVALID_REASONS) <= set(VIOLATIONS)
    page = INSTRUMENT.read_text(encoding="utf-8")
    assert [reason for reason in INVALID_REASONS if f"| `{reason}` |" not in page] == []
