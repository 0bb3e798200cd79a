"""Run the plane on this machine: the bundle's files, served by processes found on PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from modelplane_alerts.integrations import OLDEST_VERSION, Version, parse_version
from modelplane_provisioning.bundle import credentials, grafana
from modelplane_provisioning.bundle.files import (
    REGISTRY_PATH,
    bundle_files,
    retention_days,
)
from modelplane_provisioning.bundle.layout import count_boards, entity_boards
from modelplane_provisioning.bundle.scrape_config import Hosts
from modelplane_provisioning.bundle.site import GRAFANA_PORT, Site, Times, local_site
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.clients.plane import STATE_FILE, Plane
from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.compose import grafana_on_host
from modelplane_provisioning.data_folder import DATABASE
from modelplane_provisioning.local.ports import GRAFANA_BINARIES, Ports, choose_ports
from modelplane_provisioning.processes import (
    PATIENCE_SECONDS,
    Process,
    ProcessError,
    answers,
)
from modelplane_schema.registry import Registry

_RESTART_PAUSE_SECONDS = 2
_POLL_SECONDS = 0.5
_MOST_RESTARTS = 5
_RULES_FOLDER = "prometheus/rules/"

# Binary names by distribution: Debian prefixes Alertmanager's.
PROMETHEUS_BINARIES = ("prometheus",)
ALERTMANAGER_BINARIES = ("prometheus-alertmanager", "alertmanager")
_GRAFANA_HOME = Path("/usr/share/grafana")


def find_binary(part: str, names: Sequence[str]) -> str:
    """Path of the first of ``names`` on PATH; ProcessError says how to install it."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise ProcessError(
        f"{part} is missing: none of {', '.join(names)} is on PATH; "
        f"on Debian: apt-get install --no-install-recommends {names[0]}"
    )


class Stack:
    """A plane's processes. ``data`` holds the bundle, logs and databases; it is made when absent."""

    def __init__(
        self,
        registry: Registry,
        registry_directory: Path,
        data: Path,
        times: Times,
        targets: Hosts,
        ports: Ports | None = None,
    ) -> None:
        registry = grafana.for_new_grafana(registry)  # its Grafana is no other's
        self._data = data.resolve()
        self._bundle = self._data / "bundle"
        ports, logs = ports or choose_ports(), self._data / "logs"
        prometheus = prometheus_process(self._bundle, self._data, ports, retention_days(registry), logs)
        site = local_site(
            str(self._bundle),
            str(self._data),
            prometheus=f"127.0.0.1:{ports.prometheus}",
            alertmanager=f"127.0.0.1:{ports.alertmanager}",
            backend=f"127.0.0.1:{ports.backend}",
            alertmanager_version=alertmanager_version(find_binary("Alertmanager", ALERTMANAGER_BINARIES)),
            grafana_port=ports.grafana or GRAFANA_PORT,
        )
        root_url = grafana.root_url(registry, site)
        self._files = local_files(registry, self._bundle, site, times, targets)
        self._trust = grafana.trust(registry, site, "plugin")
        self._registry = registry
        self._registry_directory = registry_directory
        self.processes = [
            prometheus,
            alertmanager_process(self._bundle, self._data, ports, logs),
            backend_process(self._bundle, site, ports, times.scrape_interval_seconds, logs),
        ]
        if ports.grafana is not None:
            boards = count_boards(self._files)
            self.processes.append(grafana_process(self._bundle, self._data, ports, root_url, logs, boards))
        self.plane = Plane(
            prometheus_url=f"http://{site.prometheus}",
            alertmanager_url=f"http://{site.alertmanager}",
            backend_url=f"http://{site.backend}",
            grafana_url=f"http://127.0.0.1:{ports.grafana}" if ports.grafana else None,
            registry=str(self._bundle / REGISTRY_PATH),
            credentials=str(self._bundle / "secrets"),
            scrape_interval_seconds=times.scrape_interval_seconds,
            logs={process.name: str(process.log) for process in self.processes},
        )

    def start(self, progress: Callable[[str], None]) -> None:
        """Write the bundle, start every part and wait until all can be used; ProcessError otherwise."""
        write_bundle(self._bundle, self._files, self._registry, self._registry_directory, self._trust)
        for process in self.processes:
            progress(f"starting {process.name}")
            process.start()
        for process in self.processes:
            progress(f"waiting for {process.name}")
            process.wait_ready()
        self.plane.save(self._data)

    def stop(self) -> None:
        """Stop every part, the last one started first."""
        for process in reversed(self.processes):
            process.stop()
        (self._data / STATE_FILE).unlink(missing_ok=True)

    @property
    def compose_path(self) -> Path:
        """A Compose file that opens Grafana on this plane."""
        return self._bundle / "compose.yaml"

    @property
    def dashboards_path(self) -> Path:
        """The folder of generated boards."""
        return self._bundle / "grafana" / "dashboards"

    @property
    def database(self) -> Path:
        """The folder of Prometheus' database."""
        return self._data / DATABASE

    @property
    def rules(self) -> list[str]:
        """The rule files, as text."""
        return [text.decode() for path, text in self._files.items() if path.startswith(_RULES_FOLDER)]


def local_files(
    registry: Registry, bundle: Path, site: Site, times: Times, targets: Hosts
) -> dict[str, bytes]:
    """The files of a plane on this machine, by path below the folder ``bundle``."""
    files = bundle_files(registry, site, times, targets, per_entity=entity_boards(bundle))
    compose = grafana_on_host(str(bundle), grafana.root_url(registry, site), count_boards(files))
    return {**files, "compose.yaml": compose.encode()}


def refuse_second(data: Path) -> None:
    """PlaneError when a plane already runs from a folder."""
    if not (data / STATE_FILE).exists():
        return
    running = Plane.load(data)
    if answers(f"{running.prometheus_url}/-/ready"):
        raise PlaneError(
            f"a plane already runs from {data} (Prometheus at {running.prometheus_url}); "
            f"bring it to a changed registry with `modelplane apply --data {data}`; else stop it first, or "
            "choose another folder with --data"
        )


class Supervisor:
    """Restarts processes that end, a bounded number of times."""

    def __init__(self, processes: Sequence[Process], report: Callable[[str], None]) -> None:
        self._processes = processes
        self._report = report
        self._restarts = dict.fromkeys((process.name for process in processes), 0)

    def run(self, until: Callable[[], bool]) -> None:
        """Watch until ``until()`` holds; ProcessError when a process keeps ending."""
        while not until():
            for process in self._processes:
                if not process.alive:
                    self._restart(process)
            time.sleep(_POLL_SECONDS)

    def _restart(self, process: Process) -> None:
        self._restarts[process.name] += 1
        if self._restarts[process.name] > _MOST_RESTARTS:
            raise ProcessError(
                f"{process.name} ended {_MOST_RESTARTS + 1} times, the last time with status "
                f"{process.returncode}. {process.log_excerpt()}"
            )
        self._report(f"{process.name} ended with status {process.returncode}; starting it again")
        time.sleep(_RESTART_PAUSE_SECONDS)
        process.start()


def alertmanager_version(binary: str) -> Version:
    """The version of an Alertmanager; the oldest one that we know for a build that does not say."""
    answer = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    version = re.search(r"version (\d+\.\d+)", answer.stdout + answer.stderr)
    return parse_version(version[1]) if version else OLDEST_VERSION


def prometheus_process(bundle: Path, data: Path, ports: Ports, retention: int, logs: Path) -> Process:
    """Prometheus on loopback with the bundle's configuration."""
    argv = [
        find_binary("Prometheus", PROMETHEUS_BINARIES),
        f"--config.file={bundle}/prometheus/prometheus.yml",
        f"--storage.tsdb.path={data / DATABASE}",
        f"--storage.tsdb.retention.time={retention}d",
        f"--web.listen-address=127.0.0.1:{ports.prometheus}",
        "--web.enable-lifecycle",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{ports.prometheus}/-/ready"
    return Process("prometheus", argv, logs / "prometheus.log", ready_url=url)


def alertmanager_process(bundle: Path, data: Path, ports: Ports, logs: Path) -> Process:
    """Alertmanager on loopback, without a cluster."""
    argv = [
        find_binary("Alertmanager", ALERTMANAGER_BINARIES),
        f"--config.file={bundle}/alertmanager/alertmanager.yml",
        f"--storage.path={data}/alertmanager",
        f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{ports.alertmanager}/-/ready"
    return Process("alertmanager", argv, logs / "alertmanager.log", ready_url=url)


def backend_process(bundle: Path, site: Site, ports: Ports, scrape_interval: int, logs: Path) -> Process:
    """Our backend, with the bundle's tokens and registry."""
    prefix = "MODELPLANE_DATASOURCE_"
    env = {
        prefix + "HOST": ports.address,
        prefix + "PORT": str(ports.backend),
        prefix + "PROMETHEUS_URL": f"http://{site.prometheus}",
        prefix + "ALERTMANAGER_URLS": f"http://{site.alertmanager}",
        prefix + "SCRAPE_INTERVAL_SECONDS": str(scrape_interval),
        prefix + "DATABASE_URL": site.database_url,
        prefix + "TOKEN_FILE": str(bundle / "secrets" / credentials.TOKENS.path),
        prefix + "REGISTRY_FILE": str(bundle / REGISTRY_PATH),
    }
    argv = [sys.executable, "-m", "modelplane_datasource"]
    url = f"http://127.0.0.1:{ports.backend}/healthz"
    return Process("backend", argv, logs / "backend.log", env, url)


def grafana_process(
    bundle: Path, data: Path, ports: Ports, root_url: str, logs: Path, boards: int = 0
) -> Process:
    """Grafana from PATH, provisioned from the bundle with so many boards, with its plugin and no other."""
    home = ["--homepath", str(_GRAFANA_HOME)] if _GRAFANA_HOME.is_dir() else []
    password = bundle / "secrets" / credentials.GRAFANA_PASSWORD.path
    env = {
        "GF_PATHS_PROVISIONING": str(bundle / "grafana" / "provisioning"),
        "GF_PATHS_DATA": str(data / "grafana"),
        "GF_PATHS_LOGS": str(logs),
        "GF_SERVER_HTTP_ADDR": ports.address,
        "GF_SERVER_HTTP_PORT": str(ports.grafana),
        "GF_SECURITY_ADMIN_PASSWORD": f"$__file{{{password}}}",
        **grafana.settings(
            "plugin", str(bundle / "grafana" / "plugins"), str(bundle / "grafana" / "dashboards"), root_url
        ),
    }
    argv = [find_binary("Grafana", GRAFANA_BINARIES), "server", *home]
    url, patience = (
        f"http://127.0.0.1:{ports.grafana}/api/health",
        max(PATIENCE_SECONDS, grafana.seconds_for_boards(boards)),
    )
    return Process("grafana", argv, logs / "grafana.log", env, url, patience)
