"""The files that Grafana mounts, as far as they can spoil what it shows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelplane_provisioning.doctor.finding import Finding, Problem
from modelplane_provisioning.doctor.parts import Parts
from modelplane_schema.uids import MAX_UID

FILES_CAN_BE_READ = "Grafana can read the bundle's files"
_BOARDS = "grafana/dashboards"
_PROVISIONING = ("grafana/provisioning/dashboards", "grafana/provisioning/datasources")
_AGAIN = "bundle again, and mount the bundle's own folders"


def check_files(parts: Parts) -> Finding:
    """Each board is a file that Grafana reads, with a uid of its own, and there is what provisions them."""
    folder = parts.bundle
    paths = sorted((folder / _BOARDS).rglob("*.json"))
    uids: dict[str, list[str]] = defaultdict(list)
    problems: list[Problem] = []
    for path in paths:
        name = str(path.relative_to(folder))
        try:
            uids[str(_uid(path))].append(name)
        except (OSError, ValueError, AttributeError) as error:
            text = f"{name} is no board that Grafana can read: {error}"
            problems.append(Problem("error", f"board-broken:{name}", text, _AGAIN))
    problems += [*_empty_folders(folder), *_bad_uids(uids)]
    return Finding(FILES_CAN_BE_READ, f"{len(paths)} boards in {folder}", tuple(problems))


def _uid(path: Path) -> str | None:
    content = json.loads(path.read_bytes())
    uid: str | None = content.get("uid") or content.get("metadata", {}).get("name")
    return uid


def _empty_folders(folder: Path) -> Iterator[Problem]:
    for name, pattern in ((_BOARDS, "**/*.json"), *((each, "*.yaml") for each in _PROVISIONING)):
        if not any((folder / name).glob(pattern)):
            text = f"{folder / name} is empty or absent, so that Grafana has nothing from it"
            yield Problem("error", f"folder-empty:{name}", text, _AGAIN)


def _bad_uids(uids: Mapping[str, list[str]]) -> Iterator[Problem]:
    for uid, names in uids.items():
        if len(names) > 1:
            text = f"the uid {uid!r} is in {' and in '.join(names)}"
            advice = "Grafana then writes no board of that folder any more: remove or rename one of them"
            yield Problem("error", f"uid-twice:{uid}", text, advice)
        if len(uid) > MAX_UID:
            text = f"the uid {uid!r} in {names[0]} is longer than {MAX_UID} letters"
            yield Problem("error", f"uid-long:{uid}", text, "Grafana leaves the board out: shorten it")
