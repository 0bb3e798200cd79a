"""What Grafana takes for a variable."""

from __future__ import annotations

import re

# The pattern that Grafana looks for in every string of a query.
_VARIABLE = re.compile(
    r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}", re.ASCII
)


def variables_in(text: str) -> set[str]:
    """Names of the variables that Grafana would replace in ``text``."""
    return {next(group for group in groups if group) for groups in _VARIABLE.findall(text)}
