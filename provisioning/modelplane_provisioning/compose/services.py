"""The containers of the plane, before anything is taken away from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.files import REGISTRY_FILE, REGISTRY_FOLDER
from modelplane_provisioning.bundle.site import CONTAINERS
from modelplane_provisioning.compose.hardening import Service
from modelplane_provisioning.images import table as images
from modelplane_provisioning.images.table import MIRROR_VARIABLE, REGISTRY, Image, package_requirement

GRAFANA_PLUGINS = "/etc/grafana/plugins"
_PROVISIONING = "/etc/grafana/provisioning"
# Below the bundle: what the images that are not somebody else's are built from.
BUILD_FOLDER = "image"
_MIRROR = f"${{{MIRROR_VARIABLE}:-{REGISTRY}}}"
_REGISTRY_FOLDER = "/etc/modelplane"

# What tenants get to see of shared cost is the operator's choice.
_COST_POLICIES = {
    "MODELPLANE_DATASOURCE_IDLE_POLICY": "keep",
    "MODELPLANE_DATASOURCE_SHARED_POLICY": "keep",
}


@dataclass(frozen=True, slots=True)
class ExampleContainer:
    """One example service: its script below ``examples/services`` and the port it serves metrics on."""

    script: str
    port: int

    @property
    def service(self) -> str:
        """Name of its service, under which Prometheus reaches it."""
        return "example-" + self.script.removesuffix(".py").replace("_", "-")


@dataclass(frozen=True, slots=True)
class Images:
    """References of images; ``digests`` maps ``repository:tag`` to a digest."""

    digests: Mapping[str, str]

    def of(self, image: Image) -> str:
        """The reference, from the mirror that the environment names."""
        return image.reference(self.digests, _MIRROR)


def prometheus(references: Images, retention_days: int, link: str) -> Service:
    """``link`` is the address by which people's browsers reach it."""
    return {
        "image": references.of(images.PROMETHEUS),
        "command": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--storage.tsdb.retention.time={retention_days}d",
            "--enable-feature=exemplar-storage",
            # Whoever can reach the port can also end it: it is published on loopback alone.
            "--web.enable-lifecycle",
            f"--web.external-url={link}",
        ],
        "ports": ["127.0.0.1:9090:9090"],
        "volumes": [
            mount("./prometheus", "/etc/prometheus"),
            mount("./data/prometheus", "/prometheus", read_only=False),
            _secrets(credentials.PROMETHEUS.name),
        ],
        # It writes the samples in memory to disk before it ends.
        "stop_grace_period": "2m",
    }


def alertmanager(references: Images, link: str) -> Service:
    """``link`` is the address by which people's browsers reach it."""
    return {
        "image": references.of(images.ALERTMANAGER),
        "command": [
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
            "--cluster.listen-address=",
            f"--web.external-url={link}",
        ],
        "ports": ["127.0.0.1:9093:9093"],
        "volumes": [
            mount("./alertmanager", "/etc/alertmanager"),
            mount("./data/alertmanager", "/alertmanager", read_only=False),
            _secrets(credentials.ALERTMANAGER.name),
        ],
    }


def backend(references: Images, scrape_interval_seconds: int) -> Service:
    """The API, and the store of alerts."""
    return {
        **_built("backend", references, "backend", "postgresql"),
        "environment": {
            "MODELPLANE_DATASOURCE_HOST": "0.0.0.0",  # noqa: S104 - inside the container
            "MODELPLANE_DATASOURCE_PORT": "8090",
            "MODELPLANE_DATASOURCE_PROMETHEUS_URL": f"http://{CONTAINERS.prometheus}",
            "MODELPLANE_DATASOURCE_ALERTMANAGER_URLS": f"http://{CONTAINERS.alertmanager}",
            "MODELPLANE_DATASOURCE_SCRAPE_INTERVAL_SECONDS": str(scrape_interval_seconds),
            "MODELPLANE_DATASOURCE_DATABASE_URL": CONTAINERS.database_url,
            "MODELPLANE_DATASOURCE_TOKEN_FILE": f"/run/secrets/{credentials.TOKENS.file}",
            "MODELPLANE_DATASOURCE_REGISTRY_FILE": f"{_REGISTRY_FOLDER}/{REGISTRY_FILE}",
            # Compose reads them from the environment and from .env beside compose.yaml, which is not ours.
            **{name: f"${{{name}:-{default}}}" for name, default in _COST_POLICIES.items()},
        },
        "ports": ["127.0.0.1:8090:8090"],
        "volumes": [
            mount("./data/backend", "/data", read_only=False),
            mount(f"./{REGISTRY_FOLDER}", _REGISTRY_FOLDER),
            _secrets(credentials.TOKENS.part),
        ],
    }


def grafana(references: Images, settings: Mapping[str, str], api: ApiAccess) -> Service:
    """``settings`` is its environment. With Infinity the image is built: no start fetches a plugin."""
    return {
        **(_with_infinity(references) if api == "infinity" else {"image": references.of(images.GRAFANA)}),
        "environment": {
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"/run/secrets/{credentials.GRAFANA_PASSWORD.file}",
            "GF_SECURITY_SECRET_KEY__FILE": f"/run/secrets/{credentials.GRAFANA_SECRET_KEY.file}",
            **settings,
        },
        "ports": ["127.0.0.1:3000:3000"],
        "volumes": [
            mount("./grafana/provisioning", _PROVISIONING),
            mount("./grafana/dashboards", CONTAINERS.grafana_dashboards),
            *([mount("./grafana/plugins", GRAFANA_PLUGINS)] if api == "plugin" else []),
            mount("./data/grafana", "/var/lib/grafana", read_only=False),
            _secrets(credentials.GRAFANA.name),
        ],
    }


def example(container: ExampleContainer, references: Images) -> Service:
    """It serves metrics of a model, and calls it."""
    return {
        **_built("examples", references, "demo"),
        "command": ["python", f"examples/services/{container.script}"],
        # Libraries keep caches in the home folder, which an unknown user does not have.
        "environment": {"MODELPLANE_EXPORTER_PORT": str(container.port), "HOME": "/tmp"},  # noqa: S108
    }


def _built(target: str, references: Images, *extras: str) -> Service:
    """An image of the published package with its extras, or of the checkout MODELPLANE_SOURCE."""
    requirement = package_requirement(*extras)
    return {
        "image": f"modelplane-{target}:{requirement.partition('==')[2]}",
        "build": {
            "context": f"${{MODELPLANE_SOURCE:-./{BUILD_FOLDER}}}",
            "dockerfile": "${MODELPLANE_SOURCE:+provisioning/}Dockerfile",
            "target": target,
            "args": {
                "PYTHON_IMAGE": references.of(images.PYTHON),
                "REQUIREMENT": requirement,
                # What the environment, or .env, says of where pip finds packages.
                **{name: f"${{{name}:-}}" for name in ("PIP_INDEX_URL", "PIP_NO_INDEX")},
            },
        },
    }


def _with_infinity(references: Images) -> Service:
    return {
        "image": f"modelplane-grafana:{images.GRAFANA.release}-infinity-{images.INFINITY.release}",
        "build": {
            "context": f"./{BUILD_FOLDER}",
            "target": "grafana",
            "args": {
                "GRAFANA_IMAGE": references.of(images.GRAFANA),
                "PLUGIN": images.INFINITY.name,
                "PLUGIN_RELEASE": images.INFINITY.release,
            },
        },
    }


def mount(source: str, target: str, *, read_only: bool = True) -> dict[str, Any]:
    """A folder of the bundle at ``target``.

    One that is absent is an error: by itself Docker makes an empty one, in which Grafana would miss every
    board.
    """
    bind = {"create_host_path": False}
    return {"type": "bind", "source": source, "target": target, "read_only": read_only, "bind": bind}


def _secrets(part: str) -> dict[str, Any]:
    return mount(f"./secrets/{part}", "/run/secrets")
