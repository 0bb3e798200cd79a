"""What is generated for Kubernetes is what kustomize, Kubernetes and the Prometheus operator take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes_objects import problems, values_problems
from modelplane_provisioning.kubernetes.boards import tenant_folder
from modelplane_provisioning.kubernetes.objects import secret_key
from modelplane_provisioning.kubernetes.scraping import scrape_configs
from provisioning_support.guest_registry import SECRETS, TARGET_FILES

Object = dict[str, Any]
Build = Callable[[str], list[Object]]
NAMESPACE = "ml-plane"


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["overlays/small", "overlays/production", "secrets"])
def test_kustomize_builds_objects_of_the_schemas(folder: str, build: Build) -> None:
    objects = build(folder)
    assert problems(objects) == []
    assert {each["metadata"]["namespace"] for each in objects} == {NAMESPACE}
    assert all(each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "modelplane" for each in objects)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))


def test_the_files_of_the_base_are_of_the_schemas(base: dict[tuple[str, str], Object]) -> None:
    assert problems(base.values()) == []
    assert {kind for kind, _ in base} == {
        "AlertmanagerConfig", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule",
        "ScrapeConfig", "Service", "ServiceAccount", "ServiceMonitor",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "field"),
    [("Deployment", "template"), ("ScrapeConfig", "staticConfigs"), ("AlertmanagerConfig", "route")],
)
def test_the_schemas_tell_an_unknown_field(
    kind: str, field: str, base: dict[tuple[str, str], Object]
) -> None:
    content = next(each for (of, _), each in base.items() if of == kind)
    wrong = json.loads(json.dumps(content))
    wrong["spec"][f"{field}s"] = wrong["spec"].pop(field)
    assert any(f"'{field}s' was unexpected" in problem for problem in problems([wrong]))


def test_a_route_below_the_first_is_held_against_the_schema(base: dict[tuple[str, str], Object]) -> None:
    wrong = json.loads(json.dumps(base["AlertmanagerConfig", "modelplane"]))
    wrong["spec"]["route"]["routes"][0]["group_wait"] = "1s"
    assert any("'group_wait' was unexpected" in problem for problem in problems([wrong]))


def test_models_with_targets_are_scraped(base: dict[tuple[str, str], Object]) -> None:
    spec = base["ScrapeConfig", "modelplane-models"]["spec"]
    assert spec["jobName"] == "models"
    assert spec["staticConfigs"] == [{"targets": ["10.0.0.5:8000", "resnet:8000"]}]


def test_targets_are_scraped_as_the_registry_says(base: dict[tuple[str, str], Object]) -> None:
    specs = {
        each["spec"]["jobName"]: each["spec"] for (kind, _), each in base.items() if kind == "ScrapeConfig"
    }
    guarded, discovered, named = (specs[f"models/{name}"] for name in ("guarded", "discovered", "named"))
    assert guarded["scheme"] == "HTTPS"
    assert guarded["metricsPath"] == "/m"
    assert guarded["staticConfigs"] == [{"targets": ["guarded:8443"]}]
    assert {"targetLabel": "zone", "replacement": "a"} in guarded["relabelings"]
    assert guarded["basicAuth"].keys() == {"username", "password"}
    (discovery,) = discovered["kubernetesSDConfigs"]
    assert discovery["role"] == "Pod"
    assert discovery["namespaces"] == {"names": ["serving"]}
    assert discovery["selectors"] == [{"role": "Pod", "label": "app=discovered"}]
    assert discovered["authorization"]["credentials"] == {
        "name": "modelplane-targets",
        "key": "discovered-token",
    }
    assert named["dnsSDConfigs"] == [{"names": ["named.serving.svc"], "type": "A", "port": 8000}]
    for spec in (guarded, discovered, named):
        assert {"targetLabel": "job", "replacement": "models"} in spec["relabelings"]


def test_certificates_are_keys_of_secrets() -> None:
    files = {
        "ca_file": "/secrets/targets/ca",
        "cert_file": "/secrets/targets/c/t",
        "key_file": "/secrets/targets/k",
    }
    job = {
        "job_name": "models/m",
        "scheme": "https",
        "file_sd_configs": [{"files": ["/prometheus/targets/jobs/m.json"]}],
        "tls_config": {**files, "server_name": "m.example.org", "insecure_skip_verify": True},
    }
    targets = {"/prometheus/targets/jobs/m.json": b'[{"targets": ["m:1"]}]'}
    (config,) = scrape_configs([job], targets)
    assert problems([config]) == []
    tls = config["spec"]["tlsConfig"]
    assert tls["ca"] == {"secret": {"name": "modelplane-targets", "key": "ca"}}
    assert tls["cert"]["secret"]["key"] == secret_key("c/t")
    assert tls["keySecret"] == {"name": "modelplane-targets", "key": "k"}
    assert (tls["serverName"], tls["insecureSkipVerify"]) == ("m.example.org", True)


def test_the_backend_has_no_right_that_it_does_not_need(base: dict[tuple[str, str], Object]) -> None:
    pod = base["Deployment", "modelplane-backend"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.org/b:1"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["resources"]["limits"]["memory"]
    policy = base["NetworkPolicy", "modelplane-backend"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    sources = [each["podSelector"]["matchLabels"] for each in policy["ingress"][0]["from"]]
    assert sources == [{"app.kubernetes.io/name": name} for name in ("prometheus", "alertmanager", "grafana")]


def test_selectors_meet_the_pods_and_the_service(base: dict[tuple[str, str], Object]) -> None:
    backend = base["Deployment", "modelplane-backend"]["spec"]
    labels = backend["template"]["metadata"]["labels"].items()
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert base[kind, "modelplane-backend"]["spec"][field]["matchLabels"].items() <= labels
    service = base["Service", "modelplane-backend"]
    assert service["spec"]["selector"].items() <= labels
    monitor = base["ServiceMonitor", "modelplane-backend"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_the_overlays_choose_the_store(build: Build) -> None:
    specs = {}
    for overlay in ("small", "production"):
        (backend,) = (each for each in build(f"overlays/{overlay}") if each["kind"] == "Deployment")
        specs[overlay] = backend["spec"]
    urls = {
        overlay: next(
            each
            for each in spec["template"]["spec"]["containers"][0]["env"]
            if each["name"] == "MODELPLANE_DATASOURCE_DATABASE_URL"
        )
        for overlay, spec in specs.items()
    }
    assert urls["small"]["value"] == "sqlite:////data/modelplane.db"
    assert specs["small"]["strategy"] == {"type": "Recreate"}
    assert urls["production"]["valueFrom"]["secretKeyRef"] == {"name": "modelplane-database", "key": "url"}
    assert specs["production"]["replicas"] == 2
    assert any(each["kind"] == "PersistentVolumeClaim" for each in build("overlays/small"))
    assert not any(each["kind"] == "PersistentVolumeClaim" for each in build("overlays/production"))


def test_what_refers_to_a_secret_finds_it(build: Build) -> None:
    keys = {(each["metadata"]["name"], key) for each in build("secrets") for key in each["data"]}
    objects = build("overlays/small")
    references = {(each["name"], each["key"]) for content in objects for each in secret_references(content)}
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    mounted = {each["secret"]["secretName"] for each in volumes if "secret" in each}
    assert references <= keys
    assert {key for name, key in references if name == "modelplane-targets"} == {
        key for name, key in keys if name == "modelplane-targets"
    }
    assert mounted <= {name for name, _ in keys}
    receivers = {key for name, key in keys if name == "modelplane-receivers"}
    assert len(receivers) == len(SECRETS)
    assert {("modelplane-receivers", key) for key in receivers} <= references


def secret_references(node: Any) -> list[dict[str, str]]:
    if isinstance(node, dict):
        references = [node] if node.keys() == {"name", "key"} else []
        return references + [each for value in node.values() for each in secret_references(value)]
    return [each for value in node for each in secret_references(value)] if isinstance(node, list) else []


def test_secrets_stand_in_their_folder_only(bundle: Path) -> None:
    values = [*SECRETS.values(), *TARGET_FILES.values()]
    values += [path.read_text() for path in (bundle / "secrets").glob("*/*-token")]
    for path in bundle.rglob("*"):
        if path.is_file() and bundle / "secrets" not in path.parents:
            content = path.read_text()
            assert not any(value in content for value in values), path
    assert (bundle / ".gitignore").read_text() == "/secrets/\n"


def test_boards_are_config_maps_in_folders_of_each_tenant(bundle: Path, build: Build) -> None:
    maps = [
        each
        for each in build("overlays/small")
        if each["kind"] == "ConfigMap" and each["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    files = {path.name: path.read_text() for path in (bundle / "base/grafana/dashboards").rglob("*.json")}
    assert {name: text for each in maps for name, text in each["data"].items()} == files
    folders = {each["metadata"]["annotations"]["grafana_folder"] for each in maps}
    assert {"Modelplane", "Modelplane models"} < folders
    assert {folder for folder in folders if "/" in folder or "\\" in folder or ".." in folder} == set()
    of_tenants = {folder for folder in folders if folder not in ("Modelplane", "Modelplane models")}
    assert len(of_tenants) == 2


@pytest.mark.parametrize("titles", [("a/b", "a-b", "a:b"), ("x" * 200, "x" * 201), ("..", ".", "...")])
def test_no_two_tenants_share_a_folder(titles: tuple[str, ...]) -> None:
    folders = [tenant_folder(title) for title in titles]
    assert len(set(folders)) == len(titles)
    assert all(len(folder) <= 120 and "/" not in folder for folder in folders)
    assert tenant_folder("North Clinic (EU)") == "Modelplane North Clinic (EU)"


def test_values_are_fields_of_the_operators_servers(bundle: Path) -> None:
    values = yaml.safe_load((bundle / "kube-prometheus-stack/values.yaml").read_text())
    production = yaml.safe_load((bundle / "kube-prometheus-stack/production.yaml").read_text())
    of_the_chart = {"storageSpec", "podAntiAffinity"}
    for content in (values, production):
        for name, kind in (("prometheus", "Prometheus"), ("alertmanager", "Alertmanager")):
            spec = content[name][f"{name}Spec"]
            fields = {
                field: value
                for field, value in spec.items()
                if field not in of_the_chart and not field.endswith("SelectorNilUsesHelmValues")
            }
            assert values_problems(kind, fields) == []
    assert values["prometheus"]["prometheusSpec"]["retention"] == "31d"


def test_grafana_gets_the_whole_plugin(bundle: Path, build: Build) -> None:
    values = yaml.safe_load((bundle / "kube-prometheus-stack/values.yaml").read_text())["grafana"]
    (mount,) = values["extraConfigmapMounts"]
    (plugin,) = (each for each in build("overlays/small") if each["metadata"]["name"] == mount["configMap"])
    data = {**plugin.get("data", {}), **plugin.get("binaryData", {})}
    assert {item["key"] for item in mount["items"]} == set(data)
    folder = bundle / "base/grafana/plugins/modelplane-monitoring-app"
    assert {item["path"] for item in mount["items"]} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    assert mount["mountPath"].startswith(values["grafana.ini"]["paths"]["plugins"])
    assert "GF_PATHS_PLUGINS" not in values["env"]


def test_grafana_has_the_password_and_the_key_that_are_generated(bundle: Path) -> None:
    values = yaml.safe_load((bundle / "kube-prometheus-stack" / "values.yaml").read_bytes())["grafana"]
    generated = yaml.safe_load((bundle / "secrets" / "kustomization.yaml").read_bytes())["secretGenerator"]
    files = {
        (entry["name"], key): bundle / "secrets" / path
        for entry in generated
        for key, _, path in (file.partition("=") for file in entry["files"])
    }
    admin, key = values["admin"], values["envValueFrom"]["GF_SECURITY_SECRET_KEY"]["secretKeyRef"]
    password = files[admin["existingSecret"], admin["passwordKey"]]
    secret_key_file = files[key["name"], key["key"]]
    assert {password.name, secret_key_file.name} == {"grafana-admin-password", "grafana-secret-key"}
    assert password.read_bytes() != secret_key_file.read_bytes()
