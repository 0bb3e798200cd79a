"""Write a bundle under a running plane, have its parts read it, and wait until each has."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelplane_provisioning.apply.difference import difference_lines, without_secrets
from modelplane_provisioning.apply.parts import Part
from modelplane_provisioning.apply.rendered import Rendered
from modelplane_provisioning.bundle.layout import BUNDLE, COMPOSE_FILE, PLUGINS_FOLDER, SECRETS
from modelplane_provisioning.bundle.writer import left_lines
from modelplane_provisioning.clients.plane_errors import NoAnswerError
from modelplane_schema.errors import UserError
from modelplane_schema.files import read_if_present
from modelplane_schema.owned_files import Changes, our_files

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 60.0

Say = Callable[[str], None]
Parts = Callable[[Rendered, Changes], Sequence[Part]]


class ApplyError(UserError, RuntimeError):
    """Parts have not taken what was written; a line for each says why and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What writing changes, and how that is said."""

    changes: Changes
    lines: tuple[str, ...]


def plan(rendered: Rendered) -> Plan:
    """What ``apply`` would change; a UserError with every reason why it would refuse."""
    changes = rendered.changes()
    paths = our_files(BUNDLE, rendered.out).difference(changes.left)
    present = {path: read_if_present(rendered.out / path) for path in paths}
    before = without_secrets({path: content for path, content in present.items() if content is not None})
    lines = difference_lines(before, rendered.files) if before else ["all is new"]
    secrets = [path for path in (*changes.written, *changes.removed) if path.startswith(f"{SECRETS}/")]
    if secrets:
        lines.append(f"secrets that the registry names: {len(secrets)} changed")
    lines += left_lines(rendered.out, changes)
    return Plan(changes, tuple(lines))


def apply(
    rendered: Rendered,
    parts: Parts,
    say: Say,
    patience: float = PATIENCE_SECONDS,
    *,
    is_quiet: bool = False,
) -> None:
    """Write what is rendered, reload ``parts`` and wait up to ``patience`` seconds for all of them.

    With ``is_quiet`` nothing is said of what is written when that is nothing. ApplyError names each part that
    has not taken it. Whatever is written before that is whole, and to apply it again is safe.
    """
    planned = plan(rendered)
    for line in planned.lines or ([] if is_quiet else ["nothing changes"]):
        say(line)
    changes = rendered.write()
    if planned.lines or not is_quiet:
        say(f"{rendered.out}: {len(changes.written)} files written, {len(changes.removed)} removed")
    failures = _taken_by(parts(rendered, changes), say, patience)
    if COMPOSE_FILE in changes.written:
        say(
            f"{COMPOSE_FILE} is new: containers take it with: docker compose -f "
            f"{rendered.out / COMPOSE_FILE} up -d"
        )
    if any(path.startswith(f"{PLUGINS_FOLDER}/") for path in changes.written):
        say("the plugin is new: Grafana loads it when it starts again")
    if failures:
        raise ApplyError("\n".join(failures))


def _taken_by(parts: Sequence[Part], say: Say, patience: float) -> list[str]:
    """Reload all parts, then wait for each; the problems."""
    problems = {part.name: _reloaded(part) for part in parts}
    deadline = time.monotonic() + patience
    for part in parts:
        problem = problems[part.name] or _wait(part, deadline)
        problems[part.name] = problem
        if not problem:
            say(f"{part.name}: has taken it")
    return [f"{name}: has not taken it: {problem}" for name, problem in problems.items() if problem]


def _reloaded(part: Part) -> str:
    try:
        part.reload()
    except UserError as error:
        return str(error)
    return ""


def _wait(part: Part, deadline: float) -> str:
    """What a part has not taken at the end, empty when it has all. For one that is down nobody waits."""
    while True:
        try:
            problem = part.lag()
        except NoAnswerError as error:
            return str(error)
        except UserError as error:
            problem = str(error)
        if not problem or time.monotonic() >= deadline:
            return problem
        time.sleep(POLL_SECONDS)
