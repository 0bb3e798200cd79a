"""Which extra of modelplane brings what is not installed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata

from modelplane_provisioning.commands import COMMAND_LINE

# Distributions whose name is not that of the module which they bring.
_DISTRIBUTIONS = {
    "_gojsonnet": "gojsonnet",
    "_jsonnet": "jsonnet",
    "jwt": "pyjwt",
    "markdown_it": "markdown-it-py",
    "pynvml": "nvidia-ml-py",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
    "werkzeug": "flask",  # which needs it
    "yaml": "pyyaml",
}


def distribution_of(module: str) -> str:
    """The normalised name of the distribution that brings ``module``, by its full dotted name."""
    top = module.partition(".")[0]
    return _normalised(_DISTRIBUTIONS.get(top, top))


def extras_of(requirements: Iterable[str]) -> dict[str, frozenset[str]]:
    """Extra to the distributions it brings, from requirements as ``importlib.metadata.requires`` has them."""
    extras: defaultdict[str, set[str]] = defaultdict(set)
    for requirement in requirements:
        extra = re.search(r"extra == [\"']([^\"']+)[\"']", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name:
            extras[extra[1]].add(_normalised(name[0]))
    return {extra: frozenset(names) for extra, names in extras.items()}


def advised_extra(
    module: str, of_command: str, extras: Mapping[str, frozenset[str]], is_installed: Callable[[str], bool]
) -> str | None:
    """The extra that brings ``module`` and whatever else a command lacks; None when none brings ``module``.

    That is the extra ``of_command`` where it suffices, else the one that brings the least besides.
    """
    needed = extras.get(of_command, frozenset()).union(COMMAND_LINE)
    missing = {distribution_of(module), *(name for name in needed if not is_installed(name))}
    helpful = [extra for extra, names in extras.items() if names >= missing]
    if of_command in helpful:
        return of_command
    return min(
        helpful, key=lambda extra: (len(extras[extra] - needed), len(extras[extra]), extra), default=None
    )


def installed_extras() -> dict[str, frozenset[str]]:
    """The extras that the installed modelplane offers; none when it runs without having been installed."""
    try:
        return extras_of(metadata.requires("modelplane") or ())
    except metadata.PackageNotFoundError:
        return {}


def is_installed(distribution: str) -> bool:
    """Whether a distribution is installed."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _normalised(name: str) -> str:
    """As the packaging specifications compare names: https://peps.python.org/pep-0503/."""
    return re.sub(r"[-_.]+", "-", name).lower()
