"""The images, the base image and the plugin that a plane in containers needs: names, releases and digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

REGISTRY = "docker.io"
MIRROR_VARIABLE = "MODELPLANE_MIRROR"


@dataclass(frozen=True, slots=True)
class Image:
    """An image of somebody else's. ``repository`` and ``tag`` are those of the registry ``docker.io``.

    ``digest`` is ``sha256:`` and 64 hexadecimal digits of the index of all platforms, None where it is not
    known: ``modelplane images pin`` asks for it.
    """

    repository: str
    tag: str
    purpose: str
    digest: str | None = None

    @property
    def name(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def release(self) -> str:
        """The version that the tag names."""
        return self.tag.removeprefix("v")

    def reference(self, digests: Mapping[str, str], registry: str = REGISTRY) -> str:
        """What an engine pulls; ``digests`` by name outweigh that of the table."""
        digest = digests.get(self.name, self.digest)
        return f"{registry}/{self.name}" + (f"@{digest}" if digest else "")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin of Grafana's catalogue."""

    name: str
    release: str


PROMETHEUS = Image("prom/prometheus", "v3.5.0", "Prometheus, the release with long-term support")
ALERTMANAGER = Image("prom/alertmanager", "v0.33.1", "Alertmanager")
GRAFANA = Image("grafana/grafana", "12.4.0", "Grafana, unless you have one (`--no-grafana`)")
PYTHON = Image("library/python", "3.11-slim-bookworm", "the base of the images of backend and examples")
VICTORIA_METRICS = Image(
    "victoriametrics/victoria-metrics", "v1.145.0", "VictoriaMetrics, in the place of Prometheus"
)
BUNDLED = (PROMETHEUS, ALERTMANAGER, GRAFANA, PYTHON)
OPTIONAL = (VICTORIA_METRICS,)
IMAGES = (*BUNDLED, *OPTIONAL)
INFINITY = Plugin("yesoreyeram-infinity-datasource", "3.11.1")


def package_requirement(*extras: str) -> str:
    """This release of modelplane as pip is asked for it."""
    return f"modelplane[{','.join(extras)}]=={version('modelplane')}"
