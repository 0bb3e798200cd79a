"""Which files of a bundle's folder are ours, and in which order they are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from modelplane_dashboards import PerEntity, is_our_board, recognised_boards
from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.credentials import GrafanaTrust
from modelplane_schema.files import remove_temporaries
from modelplane_schema.owned_files import Owner, our_files
from modelplane_schema.receivers import SECRETS_FOLDER
from modelplane_schema.uids import PLUGIN_APP_ID

SECRETS = "secrets"
RECEIVER_SECRETS = f"{SECRETS}/{credentials.RECEIVERS}"
# Grafana logs an error for a folder of provisioning that is absent, and Alertmanager's container mounts one.
EMPTY_FOLDERS = ("grafana/provisioning/alerting", RECEIVER_SECRETS)
BOARDS_FOLDER = "grafana/dashboards"
PLUGINS_FOLDER = "grafana/plugins"
RULES_FOLDER = "prometheus/rules"
TARGETS_FOLDER = "prometheus/targets"
COMPOSE_FILE = "compose.yaml"
# These name other files, so that they come after them; what starts the parts comes last.
_RANKS = {
    "prometheus/prometheus.yml": 1,
    "alertmanager/alertmanager.yml": 1,
    "grafana/provisioning/*/*": 1,
    COMPOSE_FILE: 2,
}
# The databases. A manifest names nothing there, nor the secrets that are made once.
DATA = "data"
# What a Grafana of the bundle has stored.
_GRAFANA_DATABASE = f"{DATA}/grafana/grafana.db"
# What a version without a manifest wrote, besides boards. A copy of the registry may be the registry itself.
_EARLIER = (
    COMPOSE_FILE,
    "alertmanager/alertmanager.yml",
    "prometheus/prometheus.yml",
    f"{RULES_FOLDER}/modelplane-*.yml",
    f"{TARGETS_FOLDER}/mp-model-*.json",
    "grafana/provisioning/*/modelplane.yaml",
    f"{PLUGINS_FOLDER}/{PLUGIN_APP_ID}/**/*",
    f"{SECRETS}/{SECRETS_FOLDER}/**/*",
    f"{RECEIVER_SECRETS}/**/*",
)


def entity_boards(out: Path) -> PerEntity:
    """Whether to make boards of each tenant and model: where some are, however many come, for none may go."""
    patterns = (f"{BOARDS_FOLDER}/*/mp-tenant-*.json", f"{BOARDS_FOLDER}/*/mp-model-*.json")
    present = (PurePosixPath(path) for path in our_files(BUNDLE, out))
    return "always" if any(path.match(pattern) for path in present for pattern in patterns) else "auto"


def count_boards(paths: Iterable[str]) -> int:
    """How many of a bundle's files are boards."""
    return sum(path.startswith(f"{BOARDS_FOLDER}/") for path in paths)


def prepare_folders(out: Path, trust: GrafanaTrust) -> None:
    """Make what is made once: generated secrets, and folders that may stay empty."""
    remove_temporaries(out / SECRETS / secret.path for secret in credentials.SECRETS)
    # Bundles of earlier versions gave Grafana no key.
    stored = (out / _GRAFANA_DATABASE).exists()
    key = credentials.GRAFANA_DEFAULT_SECRET_KEY if stored else None
    credentials.ensure_credentials(out / SECRETS, trust, key)
    for folder in EMPTY_FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)


def _may_own(path: str) -> bool:
    of_secrets = path.startswith(f"{SECRETS}/")
    return not path.startswith(f"{DATA}/") and (not of_secrets or _is_copied_secret(path))


def _is_copied_secret(path: str) -> bool:
    return path.removeprefix(f"{SECRETS}/") not in {secret.path for secret in credentials.SECRETS}


def _earlier_files(out: Path) -> frozenset[str]:
    """What a version without a manifest wrote: a bundle is known by the file with the tokens' hashes."""
    tokens = credentials.TOKENS
    if not any((out / SECRETS / path).is_file() for path in (tokens.path, tokens.file)):
        return frozenset()
    written = (path for pattern in _EARLIER for path in out.glob(pattern) if _is_regular_file(path))
    boards = (f"{BOARDS_FOLDER}/{path}" for path in recognised_boards(out / BOARDS_FOLDER))
    return frozenset((*(path.relative_to(out).as_posix() for path in written), *boards))


def _is_ours(path: Path) -> bool:
    """A board that somebody replaced by one of another kind is theirs."""
    is_board = path.match(f"{BOARDS_FOLDER}/*/mp-*.json")
    return _is_regular_file(path) and (not is_board or is_our_board(path))


def _is_regular_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _rank(path: str) -> int:
    return next((rank for pattern, rank in _RANKS.items() if PurePosixPath(path).match(pattern)), 0)


def _is_private(path: str) -> bool:
    return path.startswith(f"{SECRETS}/")


BUNDLE = Owner(
    name="files of the bundle",
    about="Files that modelplane wrote here, and may replace and remove. Do not edit.",
    may_own=_may_own,
    earlier_files=_earlier_files,
    is_ours=_is_ours,
    rank=_rank,
    is_private=_is_private,
)
