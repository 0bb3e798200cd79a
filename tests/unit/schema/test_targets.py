"""Targets of the registry: both forms, and that every error says where and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from modelplane_schema.registry import Registry, RegistryError, dump_registry, parse_registry

WHOLE: dict[str, Any] = {
    "hosts": ["10.0.0.5:8443", "[::1]:8443", "[fe80::1%eth0]:80"],
    "scheme": "https",
    "metrics_path": "/internal/metrics",
    "basic_auth": {"username": "prometheus", "password_file": "targets/password"},
    "tls": {"ca_file": "targets/ca.pem", "cert_file": "targets/cert.pem", "key_file": "targets/key.pem",
            "server_name": "models.example.org"},
    "labels": {"cluster": "eu"},
}  # fmt: skip


def registry(*targets: Any) -> Registry:
    models = [
        {"name": f"m{position}", "framework": "pytorch", "owner": "vision", "tenants": ["a"],
         "targets": declared, "versions": [{"version": "v1"}]}
        for position, declared in enumerate(targets)
    ]  # fmt: skip
    content = {"apiVersion": "modelplane/v1", "tenants": [{"id": "a"}], "models": models}
    return parse_registry(yaml.safe_dump(content), "plane.yaml")


def discovery(**way: Any) -> dict[str, Any]:
    return {"discovery": way}


def test_a_list_says_the_same_as_hosts() -> None:
    short, long = (registry(declared).models[0] for declared in (["a:1", "b:2"], {"hosts": ["a:1", "b:2"]}))
    assert short.scrape == long.scrape
    assert (short.expected_replicas, long.expected_replicas) == (2, 2)


def test_no_targets_are_none_expected() -> None:
    assert registry([]).models[0].expected_replicas is None


@pytest.mark.parametrize(
    "targets",
    [
        WHOLE,
        {"hosts": ["a:1"], "authorization": {"credentials_file": "targets/token"}},
        discovery(dns={"names": ["_metrics._tcp.models.example.org"]}),
        discovery(dns={"names": ["models.example.org"], "type": "A", "port": 8000}),
        discovery(kubernetes={"label_selector": "app=resnet50", "port": "metrics", "namespaces": ["vision"]}),
        discovery(
            kubernetes={"role": "endpointslice", "label_selector": "app in (a, b)", "port": 8000,
                        "kubeconfig_file": "targets/kubeconfig"}
        ),
        discovery(file={"paths": ["/etc/prometheus/discovered/resnet50-*.json"]}),
        discovery(http={"url": "http://inventory.example.org/targets"}),
    ],
)  # fmt: skip
def test_every_shape_is_read_and_survives_being_written(targets: dict[str, Any]) -> None:
    declared = registry(targets)
    assert parse_registry(dump_registry(declared)) == declared


def test_how_many_processes_discovery_finds_is_not_known_before() -> None:
    found = registry(discovery(dns={"names": ["models.example.org"], "type": "A", "port": 8000}))
    assert found.models[0].expected_replicas is None


KEYS = "hosts, discovery, scheme, metrics_path, basic_auth, authorization, tls, labels"
BROKEN: list[tuple[Any, str]] = [
    ("a:1", f": must be a list of HOST:PORT, or a mapping with the keys {KEYS} (got 'a:1')"),
    (None, f": must be a list of HOST:PORT, or a mapping with the keys {KEYS}"),
    (["user@host:1"], "[0]: must be HOST:PORT, for example 10.0.0.5:8000 (got 'user@host:1')"),
    *(([host], "[0]: must be HOST:PORT, with an IPv6 address in brackets, for example [2001:db8::5]:8000")
      for host in ("2001:db8::5:8000", "::1:80", "2001:db8::5", "a:80:90", "[a]:80", "[::1:80", "::1]:80")),
    ({}, ": must have either hosts or discovery"),
    ({**WHOLE, **discovery(http={"url": "http://a"})}, ": must have either hosts or discovery"),
    ({**WHOLE, "hosts": ["a"]}, ".hosts[0]: must be HOST:PORT, for example 10.0.0.5:8000 (got 'a')"),
    ({**WHOLE, "hosts": ["a:1", "a:1"]}, ": hosts: 'a:1' occurs more than once"),
    ({**WHOLE, "scheme": "http"}, ": tls needs scheme: https"),
    ({**WHOLE, "scheme": "ftp"}, ".scheme: must be 'http' or 'https' (got 'ftp')"),
    ({**WHOLE, "metrics_path": "metrics"},
     ".metrics_path: must be a path that starts with a slash, without a query, for example /metrics"),
    ({**WHOLE, "path": "/x"}, ".path: is called metrics_path"),
    ({**WHOLE, "colour": "red"}, f".colour: is not a known key; allowed: {KEYS}"),
    ({**WHOLE, "authorization": {"credentials_file": "targets/t"}},
     ": must have basic_auth or authorization, not both"),
    ({**WHOLE, "authorization": {"type": "basic", "credentials_file": "targets/t"}},
     ".authorization: type must not be Basic: use basic_auth"),
    ({**WHOLE, "basic_auth": {"username": "u", "password_file": "targets/p", "password": "s3cret"}},
     ".basic_auth.password: must stand in a file: use password_file"),
    ({**WHOLE, "basic_auth": {"username": "u", "password_file": "/etc/s3cret"}},
     ".basic_auth.password_file: must be a path below targets/ beside the registry, for example"),
    ({**WHOLE, "basic_auth": {"username": "u", "password_file": "targets/../s3cret"}},
     ".basic_auth.password_file: must be a path below targets/ beside the registry, for example"),
    ({**WHOLE, "tls": {"cert_file": "targets/c"}}, ".tls: must have both cert_file and key_file, or neither"),
    ({**WHOLE, "labels": {"model_name": "x"}},
     ".labels.model_name: the key is a label that the exporter or Prometheus sets; choose another (got"),
    ({**WHOLE, "labels": {"job": "x"}},
     ".labels.job: the key is a label that the exporter or Prometheus sets; choose another (got 'job')"),
    ({**WHOLE, "labels": {"__scheme__": "x"}},
     ".labels.__scheme__: the key must be letters, digits and _, and not begin with a digit or with __"),
    (discovery(), ".discovery: must have exactly one of dns, kubernetes, file, http"),
    (discovery(http={"url": "http://a"}, file={"paths": ["/a.json"]}),
     ".discovery: must have exactly one of dns, kubernetes, file, http"),
    (discovery(consul={}), ".discovery.consul: is not a known key; allowed: dns, kubernetes, file, http"),
    (discovery(http={"url": "http://u:s3cret@a"}),
     ".discovery.http.url: must not hold credentials, such as a user or a parameter token=: a secret"),
    (discovery(dns={"names": ["a.example.org"], "type": "A"}),
     ".discovery.dns: must have a port when type is A or AAAA, and none when it is SRV"),
    (discovery(dns={"names": ["a b"]}),
     ".discovery.dns.names[0]: must be a name that DNS knows, for example resnet50.models.example.org"),
    (discovery(kubernetes={"label_selector": "app=a", "port": 0}),
     ".discovery.kubernetes.port: must be the name of a port, for example metrics, or its number (got 0)"),
    (discovery(kubernetes={"label_selector": "app=a", "port": "80"}),
     ".discovery.kubernetes.port: must be the name of a port, for example metrics, or its number (got"),
    (discovery(file={"paths": ["a.json"]}),
     ".discovery.file.paths[0]: must be the absolute path of a .json, .yml or .yaml file as Prometheus"),
]  # fmt: skip


@pytest.mark.parametrize(("targets", "problem"), BROKEN)
def test_what_is_wrong_is_said_with_its_place_and_without_secrets(targets: Any, problem: str) -> None:
    with pytest.raises(RegistryError) as refused:
        registry(targets)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"plane.yaml: models[0].targets{problem}")
    assert "s3cret" not in str(refused.value)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(RegistryError) as refused:
        registry({**WHOLE, "hosts": ["a"], "basic_auth": {}, "tls": {"key_file": 3}, "labels": {"le": "x"}})
    assert len(str(refused.value).splitlines()) == 5


def test_two_models_may_share_a_process_that_is_scraped_in_one_way() -> None:
    registry(WHOLE, WHOLE)
    registry(["a:1"], {"hosts": ["a:1", "b:1"]})
    with pytest.raises(RegistryError) as refused:
        registry(["a:1", "b:1", "c:1"], {"hosts": ["b:1", "c:1"], "labels": {"cluster": "eu"}})
    assert str(refused.value) == (
        "plane.yaml: models[1].targets: b:1, c:1 would be scraped twice, because models[0] has other "
        "settings; give both the same"
    )
