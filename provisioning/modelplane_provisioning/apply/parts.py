"""The parts of a running plane: how each is made to read its files, and what it has not taken yet."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import yaml

from modelplane_provisioning.apply.loaded_rules import loaded_groups, written_groups
from modelplane_provisioning.bundle.credentials import TOKENS
from modelplane_provisioning.bundle.files import REGISTRY_PATH
from modelplane_provisioning.bundle.layout import (
    BOARDS_FOLDER,
    RULES_FOLDER,
    SECRETS,
    TARGETS_FOLDER,
)
from modelplane_provisioning.clients.grafana import GrafanaClient, GrafanaError, expected
from modelplane_provisioning.clients.plane import Connection, understood
from modelplane_provisioning.clients.plane_errors import NoRouteError, NotGrantedError, PlaneError
from modelplane_provisioning.grafana_apply.kubernetes_api import board_path
from modelplane_schema.uids import OPERATORS

Files = Mapping[str, bytes]
_PROVIDERS = "grafana/provisioning/dashboards/modelplane.yaml"
_ALERTMANAGER_FILE = "alertmanager/alertmanager.yml"


class Part(Protocol):
    """One part of a running plane."""

    name: str

    def reload(self) -> None:
        """Have it read its files again; PlaneError when it refuses."""

    def lag(self) -> str:
        """What it has not taken yet, empty when it has all; PlaneError when it cannot be asked."""


class PrometheusPart:
    """Prometheus with its rules and targets. ``files`` are ours, ``removed`` are those that went."""

    name = "prometheus"

    def __init__(
        self, connection: Connection, files: Files, removed: tuple[str, ...], retention_days: int = 0
    ) -> None:
        """``retention_days`` is for how long it must keep samples."""
        self._connection = connection
        self._retention_days = retention_days
        self._groups = written_groups(files)
        self._targets = {address for path, content in files.items() for address in _addresses(path, content)}
        self._rule_files = _names([*files, *removed], RULES_FOLDER)

    def reload(self) -> None:
        """By its lifecycle API."""
        try:
            self._connection.post("/-/reload", None)
        except NotGrantedError as error:
            raise PlaneError(
                f"{self._connection.url} takes no reloads, for it runs without --web.enable-lifecycle: start "
                "it with that, or send it SIGHUP and run apply again"
            ) from error

        self._check_retention()

    def _check_retention(self) -> None:
        """PlaneError when it keeps samples for less than an SLO needs, which no reload changes."""
        try:
            with understood(self._connection):
                flags = self._connection.get("/api/v1/status/flags")["data"]
                flag = flags.get("storage.tsdb.retention.time", "")
        except NoRouteError:
            return
        days, needed = _days(flag), self._retention_days
        if 0 < days < needed:
            raise PlaneError(
                f"it keeps samples for {days:g} days, and an SLO of the registry needs {needed}: "
                "start it again from what is written now"
            )

    def lag(self) -> str:
        """Rules that it has otherwise than they are written, or targets of files that it has not read yet."""
        with understood(self._connection):
            return self._rules_lag() or self._targets_lag()

    def _rules_lag(self) -> str:
        runtime = self._connection.get("/api/v1/status/runtimeinfo")["data"]
        if not runtime["reloadConfigSuccess"]:
            return "its last reload failed; its log says why"
        groups = loaded_groups(self._connection.get("/api/v1/rules")["data"]["groups"], self._rule_files)
        different = sorted(
            name for name in groups.keys() | self._groups.keys() if groups.get(name) != self._groups.get(name)
        )
        if different:
            return (
                f"{len(different)} groups of rules are not as they are written, the first is {different[0]}; "
                "does it read another folder?"
            )
        return ""

    def _targets_lag(self) -> str:
        targets = self._connection.get("/api/v1/targets", {"state": "active"})["data"]["activeTargets"]
        loaded = {address for target in targets for address in _loaded_address(target["discoveredLabels"])}
        missing, old = self._targets - loaded, loaded - self._targets
        if missing or old:
            first = ", ".join(sorted(missing or old)[:3])
            kept = ", and it keeps what a job had until the job's discovery answers" if old else ""
            return (
                f"{len(missing)} targets are not there yet, {len(old)} are still there ({first}); where it "
                f"is not told of changed files it looks for them every 5 minutes{kept}"
            )
        return ""


def _days(duration: str) -> float:
    """Days of a duration as Prometheus prints it, such as 4w3d; 0 for none."""
    units = {"y": 365, "w": 7, "d": 1, "h": 1 / 24}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([ywdh])", duration))


def _addresses(path: str, content: bytes) -> Iterator[str]:
    if path.startswith(f"{TARGETS_FOLDER}/"):
        for group in json.loads(content):
            yield from group["targets"]


def _loaded_address(labels: Mapping[str, str]) -> Iterator[str]:
    """The address of a target that is in a file of ours."""
    file = PurePosixPath(labels.get("__meta_filepath", ""))
    if file.match("targets/mp-model-*.json") or file.match("targets/jobs/mp-model-*.json"):
        yield labels["__address__"]


def _names(paths: list[str], folder: str) -> frozenset[str]:
    return frozenset(PurePosixPath(path).name for path in paths if path.startswith(f"{folder}/"))


class AlertmanagerPart:
    """Alertmanager, which says what it has read by the hash of its configuration."""

    name = "alertmanager"

    def __init__(self, connection: Connection, files: Files) -> None:
        self._connection = connection
        # The first six bytes of the MD5, as a number: Alertmanager's md5HashAsMetricValue.
        digest = hashlib.md5(files[_ALERTMANAGER_FILE], usedforsecurity=False).digest()
        self._hash = float(int.from_bytes(digest[:6], "little"))

    def reload(self) -> None:
        """By its API, which also says why a configuration is refused."""
        self._connection.post("/-/reload", None)

    def lag(self) -> str:
        """Whether it has another configuration."""
        text = self._connection.text("/metrics")
        metric = re.search(r"^alertmanager_config_hash (\S+)$", text, re.MULTILINE)
        if metric is None:
            return "it does not say which configuration it has"
        return "" if float(metric[1]) == self._hash else "it has another configuration; is that its folder?"


class BackendPart:
    """The backend, which looks at its registry and its token file every second."""

    name = "backend"

    def __init__(self, connection: Connection, files: Files, out: Path) -> None:
        self._connection = connection
        contents = {
            "registry": files[REGISTRY_PATH],
            "tokens": (out / SECRETS / TOKENS.path).read_bytes(),
        }
        self._digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}

    def reload(self) -> None:
        """It does so by itself."""

    def lag(self) -> str:
        """The files of which it has another content."""
        metrics = self._connection.text("/metrics")
        info = r'^modelplane_datasource_config_info\{file="(\w+)",sha256="(\w+)"\} 1'
        loaded = dict(re.findall(info, metrics, re.MULTILINE))
        if "modelplane_datasource_" not in metrics:
            return "it is not the backend; is that its address, and not that of a page in front of it?"
        if not loaded:
            return "it is of a version that reads its files at start only: start it again"
        stale = [name for name, digest in self._digests.items() if loaded.get(name) != digest]
        return f"it has other {' and '.join(stale)}; its log says why" if stale else ""


class GrafanaPart:
    """Grafana with its provisioned boards: those of ``files`` are there, ``removed`` ones are not.

    All are looked at, for an earlier run may have written what Grafana has not taken since.
    """

    name = "grafana"

    def __init__(self, client: GrafanaClient, files: Files, removed: tuple[str, ...]) -> None:
        self._client = client
        self._boards = {_uid(path): json.loads(files[path]) for path in _boards(files)}
        self._removed = [_uid(path) for path in _boards(removed)]
        providers = yaml.safe_load(files[_PROVIDERS])["providers"]
        self._scan_seconds = max(provider["updateIntervalSeconds"] for provider in providers)

    def reload(self) -> None:
        """As its server admin; data sources first, because boards name them."""
        try:
            for kind in ("datasources", "plugins", "dashboards"):
                answer = self._client.request("POST", f"/api/admin/provisioning/{kind}/reload")
                expected(answer, self._client.login, f"reload its {kind}")
        except GrafanaError as error:
            raise PlaneError(f"{error}; boards it finds by itself within {self._scan_seconds} s") from error

    def lag(self) -> str:
        """A board that is not as it is written."""
        for uid, board in self._boards.items():
            present = self._board(uid)
            if present is None:
                return f"the board {uid} is not there"
            if _comparable(present) != _comparable(board):
                return f"the board {uid} is not as it is written: did somebody change it in Grafana?"
        surplus = next((uid for uid in self._removed if self._board(uid) is not None), None)
        return f"the board {surplus} is still there" if surplus else ""

    def _board(self, uid: str) -> Any:
        """What is stored of a board, None where it is not there."""
        answer = self._client.request("GET", board_path(OPERATORS, uid))
        content = expected(answer, self._client.login, f"read the board {uid}", 404)
        return content["spec"] if answer.is_success else None


def _boards(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path.startswith(f"{BOARDS_FOLDER}/")]


def _uid(path: str) -> str:
    return PurePosixPath(path).stem


def _comparable(board: Mapping[str, Any]) -> dict[str, Any]:
    """A board without what Grafana counts."""
    return {key: value for key, value in board.items() if key not in ("id", "version", "uid")}
