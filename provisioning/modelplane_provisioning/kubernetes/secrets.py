"""Secrets of the plane: where each lies in the bundle, and the object and key that hold it in the cluster.

Their values stand in no file that is committed: kustomize makes the objects from the files of the bundle's
``secrets/``, which git ignores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.credentials import copy_path
from modelplane_provisioning.kubernetes.objects import (
    MOST_BYTES,
    KubernetesError,
    generator,
    secret_key,
    secret_reference,
)
from modelplane_schema.grafana_section import TenantOrganisation
from modelplane_schema.targets import FILES_FOLDER


@dataclass(frozen=True, slots=True)
class SecretValue:
    """One value: the Secret's ``name`` and ``key``, and its ``file`` below the bundle's ``secrets/``."""

    name: str
    key: str
    file: str


def _value(name: str, secret: credentials.Secret) -> SecretValue:
    return SecretValue(name, secret.file, secret.path)


BACKEND_TOKENS = _value("modelplane-backend-tokens", credentials.TOKENS)
PROMETHEUS_TOKEN = _value("modelplane-prometheus", credentials.PROMETHEUS.secret)
ALERTMANAGER_TOKEN = _value("modelplane-alertmanager", credentials.ALERTMANAGER.secret)
GRAFANA_TOKEN = _value("modelplane-grafana-token", credentials.GRAFANA.secret)
GRAFANA_PASSWORD = _value("modelplane-grafana-admin", credentials.GRAFANA_PASSWORD)
GRAFANA_SECRET_KEY = _value("modelplane-grafana-secret-key", credentials.GRAFANA_SECRET_KEY)
GENERATED = (
    BACKEND_TOKENS,
    PROMETHEUS_TOKEN,
    ALERTMANAGER_TOKEN,
    GRAFANA_TOKEN,
    GRAFANA_PASSWORD,
    GRAFANA_SECRET_KEY,
)
RECEIVERS = "modelplane-receivers"
TARGETS = "modelplane-targets"
# Made by hand: docs/kubernetes.md says how.
DATABASE = SecretValue("modelplane-database", "url", "")
ADMIN_USER_KEY = "admin-user"
# Where files of the common configuration name secrets; in the cluster these are keys of objects.
SECRETS_FOLDER = "/secrets"


def registry_value(path: str) -> SecretValue:
    """The value of a file that the registry names, such as ``receivers/vision-token``."""
    folder, _, below = path.partition("/")
    return SecretValue(TARGETS if folder == FILES_FOLDER else RECEIVERS, secret_key(below), copy_path(path))


def path_reference(path: str) -> dict[str, str]:
    """What a field that takes a secret holds for a path below SECRETS_FOLDER."""
    below = path.removeprefix(f"{SECRETS_FOLDER}/")
    value = ALERTMANAGER_TOKEN if below == ALERTMANAGER_TOKEN.key else registry_value(below)
    return secret_reference(value.name, value.key)


def username_reference(job: str) -> dict[str, str]:
    """The user name of a scrape job, which the operator takes from a Secret as it does the password."""
    return secret_reference(TARGETS, _username_key(job))


def _username_key(job: str) -> str:
    return secret_key(f"username of {job}")


def secret_generators(
    files: Mapping[str, bytes], usernames: Mapping[str, str], organisations: Iterable[TenantOrganisation] = ()
) -> list[dict[str, Any]]:
    """Entries of kustomize's secretGenerator.

    ``files`` maps those that the registry names to what is in them, ``usernames`` scrape jobs to user names;
    Grafana has a token for each of ``organisations``. KubernetesError when one Secret cannot hold all of it.
    """
    unusable = [path for path in files if "=" in path]
    if unusable:
        raise KubernetesError(f"{', '.join(unusable)}: kustomize takes no file with = in its path: rename it")
    tokens = [
        GRAFANA_TOKEN,
        *(_value(GRAFANA_TOKEN.name, _organisation_token(each)) for each in organisations),
    ]
    entries = [_entry(tokens if value == GRAFANA_TOKEN else [value]) for value in GENERATED]
    for name in (RECEIVERS, TARGETS):
        values = {path: value for path in files if (value := registry_value(path)).name == name}
        size = sum(len(files[path]) + len(value.key) for path, value in values.items())
        if size > MOST_BYTES:
            raise KubernetesError(
                f"{name} would hold {size} bytes, and a Secret holds {MOST_BYTES}: share files"
            )
        if values:
            entries.append(_entry([*values.values()]))
            if name == TARGETS and usernames:
                entries[-1]["literals"] = [f"{_username_key(job)}={user}" for job, user in usernames.items()]
    return entries


def _organisation_token(organisation: TenantOrganisation) -> credentials.Secret:
    return credentials.Secret(credentials.GRAFANA.name, organisation.token_file)


def _entry(values: Sequence[SecretValue]) -> dict[str, Any]:
    files = [f"{value.key}={value.file}" for value in values]
    entry = generator(values[0].name, "secrets", files)
    if values[0] == GRAFANA_PASSWORD:
        entry["literals"] = [f"{ADMIN_USER_KEY}=admin"]
    return entry
