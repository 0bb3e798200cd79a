"""What the browser makes of a dashboard's JSON: variables with values, repeated panels, queries; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

_VARIABLE = re.compile(
    r"\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}|\[\[(?P<old>\w+)(?::(?P<old_format>\w+))?\]\]|\$(?P<bare>\w+)",
    re.ASCII,
)
_ALL = "$__all"
Panel = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Selected:
    """The chosen values of a variable. ``all_value`` stands for all of them where All is chosen.

    ``is_multiple`` is whether several may be chosen: their values are then escaped in PromQL.
    """

    values: tuple[str, ...]
    all_value: str = ""
    is_multiple: bool = False

    def text(self, form: str, is_pattern: bool) -> str:
        """What stands in a query for the variable."""
        if self.all_value:
            text = self.all_value
        elif is_pattern and self.is_multiple:
            escaped = [re.escape(value) for value in self.values]
            text = escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
        else:
            text = ",".join(self.values)
        return quote(text, safe="") if form == "percentencode" else text


Values = Mapping[str, Selected]


class Target(NamedTuple):
    """A query as it is sent. ``values`` are those of its panel, which a repeat may narrow."""

    panel: str
    uid: str
    kind: str
    content: Mapping[str, Any]
    values: Values


def variable_values(
    dashboard: Mapping[str, Any], chosen: Mapping[str, str], offered: Mapping[str, Sequence[str]]
) -> dict[str, Selected]:
    """The values of a dashboard's variables when it is opened.

    ``chosen`` are values of menus without All, and ``offered`` what menus offer, for All without a value of
    its own and for repeats.
    """
    values = {}
    for variable in dashboard.get("templating", {}).get("list", ()):
        name, is_multiple = variable["name"], bool(variable.get("multi") or variable.get("includeAll"))
        current = (variable.get("current") or {}).get("value", "")
        current = tuple(map(str, current)) if isinstance(current, list) else (str(current),)
        if _ALL in current:
            options = tuple(offered.get(name, ()))
            values[name] = Selected(options, variable.get("allValue") or "", is_multiple=True)
        elif name in chosen and variable.get("type") == "query":
            values[name] = Selected((chosen[name],), is_multiple=is_multiple)
        else:
            values[name] = Selected(current, is_multiple=is_multiple)
    return values


def targets(dashboard: Mapping[str, Any], values: Values) -> Iterator[Target]:
    """Every query of every panel that is not hidden, repeats expanded."""
    for panel, narrowed in _panels(dashboard.get("panels", ()), values):
        title = interpolated(panel.get("title", ""), narrowed, is_pattern=False)
        for target in panel.get("targets") or ():
            if target.get("hide"):
                continue
            source = target.get("datasource") or panel.get("datasource") or {}
            uid = interpolated(str(source.get("uid", "")), narrowed, is_pattern=False)
            content = {key: _resolved(key, value, narrowed) for key, value in target.items()}
            yield Target(title, uid, str(source.get("type", "")), content, narrowed)


def _resolved(key: str, value: Any, values: Values) -> Any:
    """A key of a query with variables replaced; those of a data source's uid and of ours are left to it."""
    if not isinstance(value, str) or key in ("refId", "datasource"):
        return value
    return interpolated(value, values, is_pattern=key == "expr")


def interpolated(text: str, values: Values, *, is_pattern: bool) -> str:
    """``text`` with the variables of the dashboard replaced; Grafana's own stay for its back end."""

    def replaced(match: re.Match[str]) -> str:
        name = match["braced"] or match["old"] or match["bare"]
        if name not in values:
            return match[0]
        return values[name].text(match["format"] or match["old_format"] or "", is_pattern)

    return _VARIABLE.sub(replaced, text)


def _panels(panels: Sequence[Panel], values: Values) -> Iterator[tuple[Panel, Values]]:
    """Panels with the values that they see; a row repeats what lies below it, up to the next row."""
    below = [values]
    for panel in panels:
        if panel.get("type") == "row":
            below = list(_repeated(panel, values))
            for narrowed in below:
                yield from _panels(panel.get("panels") or (), narrowed)
            continue
        for of_row in below:
            for narrowed in _repeated(panel, of_row):
                yield panel, narrowed


def _repeated(panel: Panel, values: Values) -> Iterator[Values]:
    """The values for each copy of a panel or row: one of the repeated variable in each."""
    name = panel.get("repeat")
    if not name or name not in values:
        yield values
        return
    variable = values[name]
    for value in variable.values:
        yield {**values, name: Selected((value,), is_multiple=variable.is_multiple)}
