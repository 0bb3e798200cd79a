"""Merge our routes into somebody else's Alertmanager configuration, whose comments and order stay."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from modelplane_alerts.embedding import GUEST_LABEL, GUEST_PREFIX
from modelplane_schema.documents import parse_yaml, raised_as
from modelplane_schema.errors import UserError

_NAMED_LISTS = ("receivers", "time_intervals")
_WIDE = 10_000  # columns: no line is broken that was not


class MergeError(UserError, ValueError):
    """A configuration cannot be merged; the message names the file and says what is wrong with it."""


def guest_of(content: Any, source: str) -> Mapping[str, Any]:
    """What ``guest_configuration`` made, read from a file; MergeError for anything else."""
    route = content.get("route") if isinstance(content, dict) else None
    receiver = route.get("receiver") if isinstance(route, dict) else None
    if not str(receiver).startswith(GUEST_PREFIX) or not isinstance(content.get("receivers"), list):
        raise MergeError(
            f"{source}: is not what modelplane bundle --target existing writes as alertmanager/modelplane.yml"
        )
    guest: dict[str, Any] = content
    return guest


def merge_routes(text: str, guest: Mapping[str, Any], source: str) -> str:
    """The configuration ``text`` with ``guest``, a route with its receivers and time intervals.

    Our route stands first and ends there, so that no other sees our alerts, and ours sees no others. What an
    earlier merge wrote is replaced. MergeError names ``source``.
    """
    yaml, content = _parse(text, source)
    _replace(content["route"], "routes", "receiver", [guest["route"]], source)
    for name in _NAMED_LISTS:
        _replace(content, name, "name", guest.get(name, []), source)
    merged = io.StringIO()
    yaml.dump(content, merged)
    return merged.getvalue()


def inhibition_warnings(text: str, source: str) -> Iterator[str]:
    """Inhibitions that hold for our alerts, too, and would let one tenant silence another."""
    (label,) = GUEST_LABEL
    _, content = _parse(text, source)
    for position, rule in enumerate(_list(content, "inhibit_rules", source)):
        if not isinstance(rule, CommentedMap):
            raise MergeError(f"{source}: inhibit_rules[{position}] must be a mapping")
        sides = ("source_matchers", "target_matchers", "source_match", "target_match")
        matchers = [str(matcher) for side in sides for matcher in rule.get(side) or ()]
        if not any(matcher.startswith(label) for matcher in matchers):
            yield (
                f"{source}: inhibit_rules[{position}] holds for alerts of modelplane, too: one tenant's "
                f'alert could silence another\'s; add {label}!="{GUEST_LABEL[label]}" to its target_matchers'
            )


def _parse(text: str, source: str) -> tuple[YAML, CommentedMap]:
    with raised_as(MergeError):
        parse_yaml(text, source, texts_only=True)  # which says better what is wrong
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    try:
        content = yaml.load(text)
    # ruamel leaves dates and the like to Python's own conversions.
    except (YAMLError, ValueError, RecursionError) as error:
        raise MergeError(f"{source}: is not valid YAML: {' '.join(str(error).split())}") from error
    route = content.get("route") if isinstance(content, CommentedMap) else None
    if not isinstance(route, CommentedMap) or not route.get("receiver"):
        raise MergeError(f"{source}: has no route with a receiver, as each Alertmanager configuration has")
    receivers = _list(content, "receivers", source)
    offset = 0 if receivers.fa.flow_style() else receivers.lc.col or 0
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml, content


def _replace(
    content: CommentedMap, name: str, key: str, ours: Sequence[Mapping[str, Any]], source: str
) -> None:
    """Make ``ours`` the entries of ours in a list, whose ``key`` says whose they are.

    They come first: a comment belongs to what stands before it, and would go with the last of ours.
    """
    if not ours and name not in content:
        return
    entries = _list(content, name, source)
    for position in reversed(range(len(entries))):
        entry = entries[position]
        if isinstance(entry, CommentedMap) and str(entry.get(key, "")).startswith(GUEST_PREFIX):
            del entries[position]
    for entry in reversed(ours):
        entries.insert(0, _commented(entry))
    if not entries:
        del content[name]


def _list(content: CommentedMap, name: str, source: str) -> CommentedSeq:
    if name not in content:
        content.insert(0, name, CommentedSeq())
    elif content[name] is None:
        content[name] = CommentedSeq()
    entries = content[name]
    if not isinstance(entries, CommentedSeq):
        raise MergeError(f"{source}: {name} must be a list")
    return entries


def _commented(value: Any) -> Any:
    """Plain values as ruamel's, which it writes in block style."""
    if isinstance(value, Mapping):
        return CommentedMap({key: _commented(each) for key, each in value.items()})
    return CommentedSeq([_commented(each) for each in value]) if isinstance(value, list) else value
