"""``modelplane rules check``: our conventions, and what promtool, vmalert and amtool say."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from modelplane_alerts.checks.conventions import registry_problems
from modelplane_alerts.integrations import Version, version_problems
from modelplane_alerts.render import cluster_labels, rule_files
from modelplane_alerts.routing import Routing, alertmanager_config, expected_receivers
from modelplane_provisioning.local.stack import alertmanager_version
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.alerts import Severity
from modelplane_schema.errors import UserError
from modelplane_schema.metrics import TENANT_ID
from modelplane_schema.receivers import SEVERITIES, Recipient
from modelplane_schema.registry import Registry, Tenant

# What checks rule files where it is on PATH, and with what arguments.
RULE_CHECKERS = {
    "promtool": ("check", "rules", "--lint=all", "--lint-fatal", "modelplane-alerts.yml",
                 "modelplane-config.yml", "modelplane-rules.yml"),
    "vmalert": ("-dryRun", "-rule=modelplane-*.yml"),
}  # fmt: skip
# amtool reads the whole file for each route.
MOST_ROUTES = 24
_CONFIGURATION = "alertmanager.yml"


class RuleCheckError(UserError):
    """A program that checks cannot be had; the message says how to install it."""


class Outcome(NamedTuple):
    """What a checker says: a line for each problem, and what it looked at or why it did not."""

    checker: str
    summary: str
    problems: Sequence[str] = ()


def check_rules(registry: Registry, config: Mapping[str, Any] | None = None) -> Iterator[Outcome]:
    """The outcome of each checker; RuleCheckError without promtool, MixinError for impossible settings."""
    if shutil.which("promtool") is None:
        raise RuleCheckError("promtool is not on PATH; on Debian: apt-get install prometheus")
    problems = registry_problems(registry, config)
    files = rule_files(registry, config)
    yield Outcome("conventions", f"of {len(files)} rule files", [str(problem) for problem in problems])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        for checker, arguments in RULE_CHECKERS.items():
            if shutil.which(checker) is not None:
                yield Outcome(checker, f"{len(files)} rule files", _complaints(folder, checker, *arguments))
        yield _routes_outcome(registry, folder)


def _routes_outcome(registry: Registry, folder: Path) -> Outcome:
    amtool = shutil.which("amtool")
    if amtool is None:
        return Outcome(
            "amtool",
            "not on PATH, routes are not checked; on Debian: apt-get install prometheus-alertmanager",
        )
    version = alertmanager_version(amtool)
    too_old = list(version_problems(registry, version))
    if too_old:
        return Outcome("amtool", f"too old, routes are not checked: {'; '.join(too_old)}")
    (folder / _CONFIGURATION).write_text(_configuration(registry, version), encoding="utf-8")
    complaints = _complaints(folder, "amtool", "check-config", _CONFIGURATION)
    cases = _cases(registry)
    wrong = [] if complaints else [text for case in cases for text in _route_problems(registry, folder, case)]
    return Outcome("amtool", f"the configuration and {len(cases)} routes", [*complaints, *wrong])


def _configuration(registry: Registry, version: Version) -> str:
    routing = Routing(
        "http://localhost:8090", "/secrets/alertmanager-token", "/secrets", version,
        cluster_labels=cluster_labels(registry),
    )  # fmt: skip
    return alertmanager_config(registry, routing)


Case = tuple[Recipient, Severity]


def _cases(registry: Registry) -> list[Case]:
    """People and severities, evenly chosen from all where there are many."""
    people = [recipient for place, recipient in registry.recipients if place != "platform"]
    cases = [(person, severity) for person in people for severity in SEVERITIES]
    step = -(-len(cases) // MOST_ROUTES)
    return cases[::step] if step > 1 else cases


def _route_problems(registry: Registry, folder: Path, case: Case) -> list[str]:
    person, severity = case
    audience, label = ("tenant", TENANT_ID) if isinstance(person, Tenant) else ("owner", "owner")
    name = str(getattr(person, "id", ""))
    labels = {"alertname": "A", "severity": severity, "audience": audience, label: name}
    command = ["amtool", "config", "routes", "test", f"--config.file={_CONFIGURATION}"]
    done = _run(folder, *command, *(f"{key}={value}" for key, value in labels.items()))
    expected = ",".join(expected_receivers(registry, person, severity))
    if done.returncode == 0 and done.stdout.strip() == expected:
        return []
    return [
        f"alerts of severity {severity} for {audience} {name!r} go to {done.stdout.strip() or 'nobody'} "
        f"instead of {expected}; please report this with the registry {done.stderr.strip()}".rstrip()
    ]


def _complaints(folder: Path, *command: str) -> list[str]:
    done = _run(folder, *command)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
