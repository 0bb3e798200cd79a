"""Alerts and their routes as guests: in a Prometheus and an Alertmanager that others use, too.

There our alerts carry a label of their own, which our routes select by, and the mail server stands in our
receivers instead of among the settings of all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import yaml

from modelplane_alerts.yaml_text import dump
from modelplane_schema.promql import LABEL_NAME, Matcher, MatchOp

# What our alerts carry where no namespace tells them apart, and what names of ours begin with.
GUEST_LABEL = {"plane": "modelplane"}
GUEST_PREFIX = "modelplane/"
_MAIL_PREFIX = "smtp_"
_MATCHER = re.compile(rf'({LABEL_NAME.pattern})(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def labelled_rules(files: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """The rule files with ``labels`` on each alert; recorded series stay as they are."""
    return {name: _labelled(text, labels) if "alert:" in text else text for name, text in files.items()}


def _labelled(text: str, labels: Mapping[str, str]) -> str:
    content = yaml.load(text, yaml.CSafeLoader)
    for group in content["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["labels"] = {**rule.get("labels", {}), **labels}
    return dump(content)


def without_global(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """An Alertmanager configuration of ours whose receivers of e-mail name the mail server themselves."""
    server = {
        name.removeprefix(_MAIL_PREFIX): value for name, value in configuration.get("global", {}).items()
    }
    receivers = [
        {**receiver, "email_configs": [{**each, **server} for each in receiver["email_configs"]]}
        if "email_configs" in receiver
        else receiver
        for receiver in configuration["receivers"]
    ]
    rest = {name: value for name, value in configuration.items() if name != "global"}
    return {**rest, "receivers": receivers}


def parse_matcher(text: str) -> Matcher:
    """The matcher that a text of ours stands for; ValueError for another text."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise ValueError(f"not a matcher: {text!r}")
    value = re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], match[3], flags=re.DOTALL)
    return Matcher(match[1], value, cast("MatchOp", match[2]))


def guest_configuration(configuration: str) -> dict[str, Any]:
    """Our Alertmanager configuration as part of another: a route, its receivers and time intervals.

    The route takes the alerts that carry ``GUEST_LABEL``; names of ours begin with ``GUEST_PREFIX``.
    """
    content = without_global(yaml.load(configuration, yaml.CSafeLoader))
    (label,) = GUEST_LABEL
    guest = {
        "route": {"matchers": [str(Matcher(label, GUEST_LABEL[label]))], **_prefixed(content["route"])},
        "receivers": [
            {**receiver, "name": GUEST_PREFIX + receiver["name"]} for receiver in content["receivers"]
        ],
    }
    if "time_intervals" in content:
        guest["time_intervals"] = [
            {**interval, "name": GUEST_PREFIX + interval["name"]} for interval in content["time_intervals"]
        ]
    return guest


def _prefixed(route: Mapping[str, Any]) -> dict[str, Any]:
    prefixed = {**route, "receiver": GUEST_PREFIX + route["receiver"]}
    if "mute_time_intervals" in route:
        prefixed["mute_time_intervals"] = [GUEST_PREFIX + name for name in route["mute_time_intervals"]]
    if "routes" in route:
        prefixed["routes"] = [_prefixed(child) for child in route["routes"]]
    return prefixed
