"""What models report becomes a registry, or is compared with one."""

from __future__ import annotations

import pytest

from modelplane_provisioning.discovery.proposal import missing, proposal, reported_models, unreported
from modelplane_provisioning.discovery.starter import starter
from modelplane_schema.registry import RegistryError, parse_registry

INFO = {"model_name": "resnet50", "model_version": "v1", "framework": "pytorch", "owner": "vision",
        "stage": "production", "instance": "10.0.0.5:8000"}  # fmt: skip
CALL = {"model_name": "resnet50", "model_version": "v1", "framework": "pytorch", "tenant_id": "user-A"}
DECLARED = parse_registry(starter(["user-A"], ["resnet50"]).replace("v1.0.0", "v1"))


def test_a_proposal_is_a_registry_with_all_that_models_say() -> None:
    infos = [
        INFO,
        {**INFO, "instance": "10.0.0.6:8000"},
        {**INFO, "model_version": "v2", "stage": "canary"},
        {**INFO, "model_name": "bert", "framework": "jax", "stage": ""},
    ]
    calls = [CALL, {**CALL, "tenant_id": "user B: & co"}, {**CALL, "model_name": "bert"}]
    registry = parse_registry(proposal(reported_models(infos, calls)))
    bert, resnet = registry.models
    assert [tenant.id for tenant in registry.tenants] == ["user B: & co", "user-A"]
    assert (bert.framework, bert.tenants, bert.owner) == ("jax", ("user-A",), "vision")
    assert resnet.targets == ("10.0.0.5:8000", "10.0.0.6:8000")
    assert [(version.version, version.stage) for version in resnet.versions] == [
        ("v1", "production"), ("v2", "canary"),
    ]  # fmt: skip


def test_what_models_do_not_say_is_made_up_and_marked() -> None:
    infos = [{**INFO, "owner": "", "framework": "My Framework", "stage": "retired"}]
    calls = [{**CALL, "tenant_id": "__unknown__"}]
    text = proposal(reported_models(infos, calls))
    (model,) = parse_registry(text).models
    assert (model.tenants, model.owner, model.framework) == (("everybody",), "platform-team", "python")
    assert "# No tenant has called resnet50 yet: everybody stands for whoever will." in text
    assert "# Nobody is named as owner of resnet50: platform-team is made up." in text


def test_a_name_that_no_registry_can_have_is_refused() -> None:
    with pytest.raises(RegistryError, match=r"the discovered registry: models\[0\].name"):
        proposal(reported_models([{**INFO, "model_name": "x" * 200}], []))


def test_nothing_is_missing_where_all_is_declared() -> None:
    models = reported_models([INFO], [CALL])
    assert [*missing(DECLARED, models), *unreported(DECLARED, models)] == []


def test_what_is_not_declared_and_what_is_not_reported_is_said() -> None:
    infos = [{**INFO, "model_version": "v2", "framework": "jax"}, {**INFO, "model_name": "bert"}]
    models = reported_models(infos, [{**CALL, "model_version": "v2", "tenant_id": "user-B"}])
    assert list(missing(DECLARED, models)) == [
        "tenant 'user-B' calls models and is not declared",
        "model 'bert' is reported and not declared",
        "model 'resnet50': framework 'jax', not 'pytorch', is reported",
        "model 'resnet50': version 'v2' is served and not declared",
    ]
    assert list(unreported(DECLARED, models)) == [
        "model 'resnet50': version 'v1' is declared and not reported"
    ]
    assert list(unreported(DECLARED, {})) == ["model 'resnet50' is declared and not reported"]


def test_a_declared_tenant_that_calls_a_model_of_others_is_said() -> None:
    registry = parse_registry(
        starter(["user-A", "user-B"], ["resnet50"])
        .replace("v1.0.0", "v1")
        .replace("tenants: [user-A, user-B]", "tenants: [user-B]")
    )
    models = reported_models([INFO], [CALL])
    assert list(missing(registry, models)) == [
        "model 'resnet50': tenant 'user-A' calls it and is not among its tenants"
    ]
