"""The bundle for servers that are there already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from modelplane_alerts.embedding import GUEST_LABEL, guest_configuration, labelled_rules
from modelplane_alerts.integrations import parse_version
from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.files import REGISTRY_PATH, bundle_files, registry_targets
from modelplane_provisioning.bundle.site import PRODUCTION_TIMES, Site
from modelplane_provisioning.bundle.yaml_text import to_yaml
from modelplane_provisioning.existing.readme import readme
from modelplane_provisioning.images import table as images
from modelplane_schema.errors import UserError
from modelplane_schema.registry import Registry
from modelplane_schema.uids import ALERTMANAGER_DATASOURCE_UID, PROMETHEUS_DATASOURCE_UID

SCRAPE_FILE = "prometheus/scrape.yml"
VICTORIA_SCRAPE_FILE = "victoriametrics/scrape.yml"
ROUTES_FILE = "alertmanager/modelplane.yml"
ENVIRONMENT_FILE = "backend.env"
_RULES = "prometheus/rules/"
_COPIED = ("prometheus/targets/", "grafana/dashboards/", "grafana/plugins/", "grafana/provisioning/")
_DATASOURCES = "grafana/provisioning/datasources/modelplane.yaml"
# Jobs of our own Prometheus and Alertmanager, which are not there.
_OTHER_SERVERS = ("prometheus", "alertmanager")


# What VictoriaMetrics calls otherwise, and what it limits by flags alone.
_VICTORIA_NAMES = {"body_size_limit": "max_scrape_size"}
_UNKNOWN_LIMITS = ("label_name_length_limit", "label_value_length_limit")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_URL = re.compile(r"https?://[^\s/@?#]+(/[^\s?#@]*)?")
_HOST_AND_PORT = re.compile(r"([^\s:/@\[\]]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}")
_FOLDER = re.compile(r"/[^\s*?\[\]{}$,\"']*")


class ExistingServersError(UserError, ValueError):
    """Servers cannot be reached as it was said; a line for each option that is wrong."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that are there, as the backend and Grafana reach them.

    ``folder`` is where the servers see the bundle, an absolute path; ``prometheus`` and ``alertmanager`` are
    URLs, and ``backend`` is ``host:port``. ExistingServersError for anything else.
    """

    folder: str
    prometheus: str
    alertmanager: str
    backend: str

    def __post_init__(self) -> None:
        problems = [
            f"--{name} {url}: must be a URL that starts with http:// or https://, without a user or a query"
            for name, url in (("prometheus", self.prometheus), ("alertmanager", self.alertmanager))
            if not _URL.fullmatch(url)
        ]
        if not _HOST_AND_PORT.fullmatch(self.backend):
            problems.append(f"--backend {self.backend}: must be HOST:PORT, for example monitoring:8090")
        if not _FOLDER.fullmatch(self.folder):
            problems.append(
                f"--seen-at {self.folder}: must be an absolute path without spaces, as /etc/modelplane"
            )
        if problems:
            raise ExistingServersError("\n".join(problems))


def existing_site(servers: Servers) -> Site:
    """Where the parts find each other and the files of the bundle."""
    folder = servers.folder.rstrip("/")
    return Site(
        prometheus=_address(servers.prometheus),
        alertmanager=_address(servers.alertmanager),
        backend=servers.backend,
        backend_link=f"http://{servers.backend}",
        prometheus_directory=f"{folder}/prometheus",
        prometheus_secrets=f"{folder}/secrets/{credentials.PROMETHEUS.name}",
        alertmanager_secrets=f"{folder}/secrets/{credentials.ALERTMANAGER.name}",
        grafana="",
        grafana_root="",
        grafana_secrets=f"{folder}/secrets/{credentials.GRAFANA.name}",
        grafana_dashboards=f"{folder}/grafana/dashboards",
        database_url=f"sqlite:///{folder}/data/backend/modelplane.db",
        alertmanager_version=parse_version(images.ALERTMANAGER.release),
        starts_grafana=False,
    )


def _address(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def existing_files(registry: Registry, servers: Servers, api: ApiAccess = "plugin") -> dict[str, bytes]:
    """Map relative path to content, without ``secrets/``."""
    site = existing_site(servers)
    common = bundle_files(registry, site, PRODUCTION_TIMES, registry_targets(registry), api)
    rules = {
        path.removeprefix(_RULES): text.decode() for path, text in common.items() if path.startswith(_RULES)
    }
    jobs = _jobs(yaml.safe_load(common["prometheus/prometheus.yml"]))
    texts = {
        SCRAPE_FILE: to_yaml({"scrape_configs": jobs}),
        VICTORIA_SCRAPE_FILE: to_yaml(_for_victoria_metrics(jobs)),
        ROUTES_FILE: to_yaml(guest_configuration(common["alertmanager/alertmanager.yml"].decode())),
        ENVIRONMENT_FILE: _environment(site, servers),
        "README.md": readme(servers.folder, servers.prometheus),
        **{f"{_RULES}{name}": text for name, text in labelled_rules(rules, GUEST_LABEL).items()},
    }
    files = {path: content for path, content in common.items() if path.startswith(_COPIED)}
    texts[_DATASOURCES] = _datasources(yaml.safe_load(common[_DATASOURCES]), servers)
    files[REGISTRY_PATH] = common[REGISTRY_PATH]
    return files | {path: text.encode() for path, text in texts.items()}


def _jobs(prometheus: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of models and backend; intervals are those of the server that reads them."""
    return [job for job in prometheus["scrape_configs"] if job["job_name"] not in _OTHER_SERVERS]


def _for_victoria_metrics(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The jobs as it takes them; its files for ``scrape_config_files`` have no key above the list."""
    return [
        {_VICTORIA_NAMES.get(name, name): value for name, value in job.items() if name not in _UNKNOWN_LIMITS}
        for job in jobs
    ]


def _datasources(content: dict[str, Any], servers: Servers) -> str:
    """With the whole URLs of servers, which may have a path and be https, for those who see the servers."""
    urls = {
        PROMETHEUS_DATASOURCE_UID: servers.prometheus,
        ALERTMANAGER_DATASOURCE_UID: servers.alertmanager,
    }
    sources = [
        {**source, "url": urls.get(source["uid"], source["url"])} if source.get("orgId", 1) == 1 else source
        for source in content["datasources"]
    ]
    return to_yaml({**content, "datasources": sources})


def _environment(site: Site, servers: Servers) -> str:
    """Settings of the backend, for ``docker run --env-file`` and for systemd's ``EnvironmentFile``."""
    host, _, port = servers.backend.rpartition(":")
    listens = host if host in _LOOPBACK else "0.0.0.0"  # noqa: S104 - tokens say who may ask
    folder = servers.folder.rstrip("/")
    settings = {
        "HOST": listens,
        "PORT": port,
        "PROMETHEUS_URL": servers.prometheus,
        "ALERTMANAGER_URLS": servers.alertmanager,
        "SCRAPE_INTERVAL_SECONDS": PRODUCTION_TIMES.scrape_interval_seconds,
        "DATABASE_URL": site.database_url,
        "TOKEN_FILE": f"{folder}/secrets/{credentials.TOKENS.path}",
        "REGISTRY_FILE": f"{folder}/{REGISTRY_PATH}",
    }
    return "".join(f"MODELPLANE_DATASOURCE_{name}={value}\n" for name, value in settings.items())
