"""Write a bundle into its folder: checked before the first byte, and only files of ours are touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from modelplane_alerts.checks.conventions import Scope, problems
from modelplane_alerts.render import cluster_labels
from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.credentials import GrafanaTrust
from modelplane_provisioning.bundle.layout import (
    BUNDLE,
    DATA,
    EMPTY_FOLDERS,
    RULES_FOLDER,
    SECRETS,
    prepare_folders,
)
from modelplane_provisioning.bundle.registry_files import registry_files
from modelplane_provisioning.bundle.target import refuse_another_target
from modelplane_schema.errors import UserError
from modelplane_schema.owned_files import MANIFEST, Changes, planned_changes, write_owned
from modelplane_schema.registry import Registry

T = TypeVar("T")


class BundleError(UserError, RuntimeError):
    """The bundle cannot be written; a line for each problem says where and what to do."""


def plan_bundle(
    out: Path,
    files: Mapping[str, bytes],
    registry: Registry,
    registry_directory: Path,
    trust: GrafanaTrust = credentials.NO_TRUST,
) -> Changes:
    """What ``write_bundle`` would change now. Errors as for ``write_bundle``."""
    return _checked(out, files, registry, registry_directory, trust)[1]


def write_bundle(
    out: Path,
    files: Mapping[str, bytes],
    registry: Registry,
    registry_directory: Path,
    trust: GrafanaTrust = credentials.NO_TRUST,
) -> Changes:
    """Write ``files`` and the secrets below ``out``, and remove what only an earlier bundle had.

    A part that runs from the bundle meets each file as it was or as it is, and folders that stay. The secrets
    of receivers are looked for below ``registry_directory``. Nothing is written when anything is wrong:
    BundleError with all reasons, or the one UserError that there is.
    """
    everything, _ = _checked(out, files, registry, registry_directory, trust)
    # Before what is ours is looked for: a copy that no receiver names any more is then known, and goes.
    credentials.take_over(out / SECRETS)
    return write_owned(BUNDLE, everything, out, prepare=partial(prepare_folders, out, trust))


def left_lines(out: Path, changes: Changes) -> list[str]:
    """A line for each file that stays although the registry asks for it no more."""
    return [
        f"{out / path}: belongs to the bundle no more, and stays, as it is not what modelplane wrote; "
        "remove it if nobody needs it"
        for path in changes.left
    ]


class _Checks:
    """Makes several checks, and raises what they raised at once."""

    def __init__(self) -> None:
        self._errors: list[UserError] = []

    def outcome(self, check: Callable[[], T]) -> T | None:
        """What a check returns, None when it raises a UserError."""
        try:
            return check()
        except UserError as error:
            self._errors.append(error)
            return None

    def finish(self) -> None:
        """The error of the checks, BundleError for several."""
        if len(self._errors) > 1:
            raise BundleError("\n".join(map(str, self._errors)))
        for error in self._errors:
            raise error


def _checked(
    out: Path,
    files: Mapping[str, bytes],
    registry: Registry,
    registry_directory: Path,
    trust: GrafanaTrust,
) -> tuple[Mapping[str, bytes], Changes]:
    """The files with the secrets of receivers, and what would change."""
    checks = _Checks()
    copies = checks.outcome(lambda: _secret_copies(registry, registry_directory))
    everything = {**files, **(copies or {})}
    checks.outcome(lambda: _check_rules(files, registry))
    checks.outcome(lambda: _refuse_another_users(out))
    checks.outcome(lambda: _refuse_no_folders(out, everything))
    checks.outcome(lambda: refuse_another_target(out, files))
    changes = checks.outcome(lambda: planned_changes(BUNDLE, everything, out))
    checks.outcome(lambda: credentials.check_credentials(out / SECRETS, trust))
    checks.finish()
    return everything, changes or Changes((), ())


def _secret_copies(registry: Registry, folder: Path) -> dict[str, bytes]:
    """The files that the registry names, by the path below the bundle where a part finds them."""
    contents = registry_files(registry, folder)
    return {f"{SECRETS}/{credentials.copy_path(path)}": content for path, content in contents.items()}


def _check_rules(files: Mapping[str, bytes], registry: Registry) -> None:
    rules = tuple(
        (PurePosixPath(path).name, content)
        for path, content in files.items()
        if path.startswith(f"{RULES_FOLDER}/")
    )
    listed = _rule_problems(rules, tuple(cluster_labels(registry)))
    if listed:
        raise BundleError("\n".join(listed))


@lru_cache(maxsize=4)  # a registry that is applied again and again has the same rules
def _rule_problems(rules: tuple[tuple[str, bytes], ...], labels: tuple[str, ...]) -> tuple[str, ...]:
    texts = {name: content.decode() for name, content in rules}
    return tuple(str(problem) for problem in problems(texts, Scope(labels)))


def _refuse_no_folders(out: Path, files: Mapping[str, bytes]) -> None:
    """BundleError for what is in the place of a folder that is made beside the files.

    What is in the place of a folder of ``files`` is found where their owner is.
    """
    empty = {DATA, *EMPTY_FOLDERS} - {str(folder) for path in files for folder in PurePosixPath(path).parents}
    places = (out / folder for folder in sorted(empty))
    problems = [
        f"{place}: must be a folder; move away what is there"
        for place in places
        if os.path.lexists(place) and not place.is_dir()
    ]
    if problems:
        raise BundleError("\n".join(problems))


def _refuse_another_users(out: Path) -> None:
    """BundleError for a bundle of another user, whose parts could not read what we write."""
    try:
        owner = (out / MANIFEST).stat().st_uid
    except OSError:
        return
    # What root writes is given to the user of the containers.
    if os.geteuid() not in (0, owner) and owner != 0:
        raise BundleError(
            f"{out}: is a bundle of the user with the number {owner}, and you have {os.geteuid()}; run "
            "modelplane as that user, or name another folder with --out"
        )
