"""Run the plane on this machine: the bundle's files, served by processes found on PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelplane_alerts.integrations import OLDEST_VERSION, Version, parse_version
from modelplane_provisioning import credentials, grafana
from modelplane_provisioning.bundle import (
    REGISTRY_FILE,
    Targets,
    bundle_files,
    retention_days,
    write_bundle,
)
from modelplane_provisioning.compose import grafana_on_host
from modelplane_provisioning.data_folder import DATABASE
from modelplane_provisioning.plane import STATE_FILE, Plane, PlaneError
from modelplane_provisioning.processes import (
    PATIENCE_SECONDS,
    Process,
    ProcessError,
    answers,
    free_port,
    port_is_free,
)
from modelplane_provisioning.site import GRAFANA_PORT, Site, Times, local_site
from modelplane_schema.registry import Registry

_RESTART_PAUSE_SECONDS = 2
_POLL_SECONDS = 0.5
_MOST_RESTARTS = 5
_RULES_FOLDER = "prometheus/rules/"

# Binary names by distribution: Debian prefixes Alertmanager's.
PROMETHEUS_BINARIES = ("prometheus",)
ALERTMANAGER_BINARIES = ("prometheus-alertmanager", "alertmanager")
GRAFANA_BINARIES = ("grafana",)
_GRAFANA_HOME = Path("/usr/share/grafana")


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on loopback; ``grafana`` is None when Grafana is not started."""

    prometheus: int
    alertmanager: int
    backend: int
    grafana: int | None


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


def choose_ports() -> Ports:
    """The customary port of each part when it is free, else any free one."""
    grafana = _port(GRAFANA_PORT) if shutil.which(GRAFANA_BINARIES[0]) else None
    return Ports(_port(9090), _port(9093), _port(8090), grafana)


def _port(customary: int) -> int:
    return customary if port_is_free(customary) else free_port()


class Stack:
    """A plane's processes. ``data`` holds the bundle, logs and databases; it is made when absent."""

    def __init__(
        self, registry: Registry, registry_directory: Path, data: Path, times: Times, targets: Targets
    ) -> None:
        self._data = data.resolve()
        self._bundle = self._data / "bundle"
        ports, logs = choose_ports(), self._data / "logs"
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
        self._files = bundle_files(registry, site, times, targets)
        self._files["compose.yaml"] = grafana_on_host(str(self._bundle), root_url).encode()
        self._trust = grafana.trust(registry, site, "plugin")
        self._registry = registry
        self._registry_directory = registry_directory
        self.processes = [
            prometheus,
            alertmanager_process(self._bundle, self._data, ports, logs),
            backend_process(self._bundle, site, ports, times.scrape_interval_seconds, logs),
        ]
        if ports.grafana is not None:
            self.processes.append(grafana_process(self._bundle, self._data, ports.grafana, root_url, logs))
        self.plane = Plane(
            prometheus_url=f"http://{site.prometheus}",
            alertmanager_url=f"http://{site.alertmanager}",
            backend_url=f"http://{site.backend}",
            grafana_url=f"http://127.0.0.1:{ports.grafana}" if ports.grafana else None,
            registry=str(self._bundle / REGISTRY_FILE),
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


def refuse_second(data: Path) -> None:
    """PlaneError when a plane already runs from a folder."""
    if not (data / STATE_FILE).exists():
        return
    running = Plane.load(data)
    if answers(f"{running.prometheus_url}/-/ready"):
        raise PlaneError(
            f"a plane already runs from {data} (Prometheus at {running.prometheus_url}); "
            "stop it first, or choose another folder with --data"
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
    """Our backend on loopback, with the bundle's tokens and registry."""
    prefix = "MODELPLANE_DATASOURCE_"
    env = {
        prefix + "HOST": "127.0.0.1",
        prefix + "PORT": str(ports.backend),
        prefix + "PROMETHEUS_URL": f"http://{site.prometheus}",
        prefix + "ALERTMANAGER_URLS": f"http://{site.alertmanager}",
        prefix + "SCRAPE_INTERVAL_SECONDS": str(scrape_interval),
        prefix + "DATABASE_URL": site.database_url,
        prefix + "TOKEN_FILE": str(bundle / "secrets" / credentials.TOKENS_FILE),
        prefix + "REGISTRY_FILE": str(bundle / REGISTRY_FILE),
    }
    argv = [sys.executable, "-m", "modelplane_datasource"]
    url = f"http://127.0.0.1:{ports.backend}/healthz"
    return Process("backend", argv, logs / "backend.log", env, url)


def grafana_process(bundle: Path, data: Path, port: int, root_url: str, logs: Path) -> Process:
    """Grafana from PATH, provisioned from the bundle, with its plugin and no other."""
    home = ["--homepath", str(_GRAFANA_HOME)] if _GRAFANA_HOME.is_dir() else []
    password = bundle / "secrets" / credentials.GRAFANA_PASSWORD_FILE
    env = {
        "GF_PATHS_PROVISIONING": str(bundle / "grafana" / "provisioning"),
        "GF_PATHS_DATA": str(data / "grafana"),
        "GF_PATHS_LOGS": str(logs),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_SECURITY_ADMIN_PASSWORD": f"$__file{{{password}}}",
        **grafana.settings("plugin", str(bundle / "grafana" / "plugins"), root_url),
    }
    argv = [find_binary("Grafana", GRAFANA_BINARIES), "server", *home]
    return Process(
        "grafana", argv, logs / "grafana.log", env, ready_url=f"http://127.0.0.1:{port}/api/health"
    )
