"""Receivers, mail server and mute times of the registry: what is accepted, and what each refusal says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from modelplane_schema.registry import RegistryError, dump_registry, parse_registry

FILE = "receivers/secret"
PAGER = {"type": "pagerduty", "routing_key_file": FILE}
WEEKEND = {"weekdays": ["saturday", "sunday"]}
ACCEPTED: list[dict[str, Any]] = [
    {"type": "webhook", "url": "https://hooks.example.org/x?channel=ml"},
    {
        "type": "webhook",
        "url_file": FILE,
        "credentials_file": "receivers/deep/er/token",
        "keeps_alerts": False,
    },
    {"type": "email", "to": "a@example.org, b@example.org", "severities": ["critical"]},
    {"type": "slack", "api_url_file": FILE, "channel": "#ml"},
    {"type": "mattermost", "webhook_url_file": FILE},
    {"type": "teams", "webhook_url_file": FILE},
    {**PAGER, "severities": ["critical", "warning"]},
    {"type": "incidentio", "url": "https://api.example.org/alerts", "alert_source_token_file": FILE},
]
CONTENT: dict[str, Any] = {
    "apiVersion": "modelplane/v1",
    "urls": {"prometheus": "https://prometheus.example.org"},
    "platform": {
        "receivers": copy.deepcopy(ACCEPTED),
        "smtp": {"smarthost": "mail.example.org:587", "from": "p@example.org"},
        "dead_mans_switch": {"url_file": FILE},
    },
    "owners": [{"id": "vision", "name": "Vision team", "receivers": copy.deepcopy(ACCEPTED)}],
    "tenants": [{"id": "a", "receivers": copy.deepcopy(ACCEPTED)}],
    "models": [
        {"name": "m", "framework": "jax", "owner": "vision", "tenants": ["a"], "versions": [{"version": "1"}]}
    ],
}
MISPLACED = "must be a path below receivers/ beside the registry, for example receivers/vision-token"
NO_CREDENTIALS = (
    "must not hold credentials, such as a user or a parameter token=: "
    "a secret goes into a file that the registry names"
)


def problems(changes: dict[str, Any]) -> list[str]:
    """What is wrong with the content once each ``place`` of ``changes`` holds another value."""
    content: Any = copy.deepcopy(CONTENT)
    for place, value in changes.items():
        holder = content
        *path, last = (int(step) if step.isdigit() else step for step in place.split("."))
        for step in path:
            holder = holder[step]
        holder[last] = value
    with pytest.raises(RegistryError) as refused:
        parse_registry(yaml.safe_dump(content), "plane.yaml")
    return [line.removeprefix("plane.yaml: ") for line in str(refused.value).splitlines()]


def test_every_receiver_is_accepted_and_survives_being_written() -> None:
    registry = parse_registry(yaml.safe_dump(CONTENT))
    for recipient in (registry.platform, *(registry.owners or ()), *registry.tenants):
        assert [receiver.type for receiver in recipient.receivers] == [entry["type"] for entry in ACCEPTED]
    assert (registry.owners or ())[0].title == "Vision team"
    assert parse_registry(dump_registry(registry)) == registry


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    ["operator-token", "receivers", "receivers/", "receivers/../operator-token", "/etc/shadow", "receivers//",
     "../receivers/a", "./receivers/a", "secrets/token", "receivers/a/", "Receivers/a", "receivers\\a", "",
     "receivers/a\n", "https://hooks.slack.com/services/T0/B0/s3cret"],
)  # fmt: skip
def test_a_secret_outside_its_folder_is_refused_and_not_repeated(path: str) -> None:
    for place in (
        "tenants.0.receivers.1.credentials_file",
        "owners.0.receivers.3.api_url_file",
        "platform.dead_mans_switch.url_file",
    ):
        (problem,) = problems({place: path})
        assert problem.endswith(f"{place.rpartition('.')[2]}: {MISPLACED}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    ["https://user:s3cret@example.org/", "https://s3cret@example.org", "https://example.org/?token=s3cret",
     "https://example.org/?a=1&api_key=s3cret", "https://example.org/?accessToken=s3cret",
     "https://example.org/?X-Amz-Signature=s3cret", "https://example.org/?sig=s3cret", "ftp://user:s3cret@x",
     "https://example.org/?PASSWORD=s3cret", "user:s3cret@example.org", "https://s3cret\\@example.org"],
)  # fmt: skip
def test_credentials_in_any_url_are_refused_and_not_repeated(url: str) -> None:
    for place in ("urls.grafana", "urls.runbooks", "urls.prometheus", "platform.receivers.0.url"):
        (problem,) = problems({place: url})
        assert problem.endswith(f": {NO_CREDENTIALS}")


@pytest.mark.parametrize(
    "url", ["https://example.org/@team/x", "https://example.org/?monkey=1&to=a@b.c", "http://[::1]:3000/a"]
)
def test_urls_without_credentials_are_accepted(url: str) -> None:
    content = {**CONTENT, "urls": {"grafana": url}}
    assert parse_registry(yaml.safe_dump(content)).urls.grafana == url


@pytest.mark.parametrize("url", ["example.org", "https://", "http://[::1", "https://a b", "javascript:x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    assert problems({"urls.prometheus": url}) == [
        "urls.prometheus: must be a URL that starts with http:// or https://"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("receivers.0", {"type": "webhook"}, ": must have either url or url_file"),
        ("receivers.0", {"type": "webhook", "url": "http://a", "url_file": FILE}, ": must have either"),
        ("receivers.0", {"type": "fax"}, ": 'type' must be one of 'webhook', 'email', 'slack', 'mattermost'"),
        ("receivers.0", {"url": "http://a"}, ": must have the key 'type'"),
        ("receivers.0", {"type": "slack"}, ".api_url_file: is required"),
        ("receivers.0", {**PAGER, "api_url": "s3cret"}, ".api_url: is not a known key"),
        ("receivers.0", {**PAGER, "severities": []}, ".severities: must have at least 1 item"),
        ("receivers.0", {**PAGER, "severities": ["page"]}, ".severities[0]: must be 'critical', "),
        ("receivers.0", {**PAGER, "severities": ["info", "info"]}, ": severities: 'info' occurs more"),
        ("receivers.2.to", "team", ": must be an e-mail address, for example team@example.org: 'team' is"),
        ("receivers.2.to", "{{ x }}@example.org", ": must be an e-mail address"),
        ("receivers.3.channel", "{{ .x }}", ": must not contain {{, which begins a template"),
        ("receivers.0.url", "https://x/{{.y}}", ": must not contain {{, which begins a template"),
        ("smtp", {"smarthost": "mail", "from": "a@b.c"}, ".smarthost: must be HOST:PORT, for example mail."),
        ("smtp", {"smarthost": "m:25", "from": "a@b.c", "username": "u"}, ": must have both username and"),
        ("smtp", {"smarthost": "m:25", "from": "a"}, ".from: must be an e-mail address"),
        ("dead_mans_switch", {}, ": must have either url or url_file"),
        ("mute", [{}], "[0]: must have weekdays or times: it would mute for ever"),
        ("mute", [{"weekdays": ["Sunday"]}], "[0].weekdays[0]: must be 'monday', 'tuesday'"),
        ("mute", [{"times": [{"from": "22:00", "to": "06:00"}]}],
         "[0].times[0]: to must be after from (22:00); a night is two entries: one to 24:00, one from 00:00"),
        ("mute", [{"times": [{"from": "9:00", "to": "25:00"}]}], "[0].times[0].from: must be a time of day"),
        ("mute", [{"times": [{"from": True, "to": "24:00"}]}], "[0].times[0].from: must be a valid string"),
        ("mute", [{**WEEKEND, "location": "Mars/Base"}], "[0].location: must be a time zone that this"),
    ],
)  # fmt: skip
def test_errors_name_the_place_and_what_is_allowed(place: str, value: Any, problem: str) -> None:
    first = problems({f"platform.{place}": value})[0]
    where = place.replace(".0", "[0]").replace(".2", "[2]").replace(".3", "[3]")
    assert first.startswith(f"platform.{where}{problem}")
    assert "s3cret" not in first


def test_times_without_quotes_are_times() -> None:
    """YAML reads 22:00 as a number in base 60."""
    text = yaml.safe_dump({**CONTENT, "platform": {}, "owners": [{"id": "vision"}], "tenants": [{"id": "a"}]})
    text += "platform: {mute: [{times: [{from: 22:00, to: 24:00}, {from: 00:00, to: 06:30}]}]}\n"
    registry = parse_registry(text.replace("platform: {}\n", ""))
    times = [(time.from_, time.to) for time in registry.platform.mute[0].times]
    assert times == [("22:00", "24:00"), ("00:00", "06:30")]


def test_no_mute_withholds_an_end_from_a_receiver_that_keeps_alerts() -> None:
    webhook = {"type": "webhook", "url": "https://hooks.example.org"}
    receivers = [PAGER, {**PAGER, "severities": ["critical"]}, webhook, {**webhook, "keeps_alerts": False}]
    owners = [{"id": "vision", "receivers": receivers, "mute": [WEEKEND]}]
    withheld = "(%s) that an alert has ended, which it would keep open; give it severities: [critical]"
    assert problems({"owners": owners}) == [
        f"owners[0]: mute: would withhold from receivers[0] {withheld % 'pagerduty'}",
        f"owners[0]: mute: would withhold from receivers[2] {withheld % 'webhook'}, "
        "or keeps_alerts: false if it only passes messages on",
    ]
    everything = [{**WEEKEND, "severities": ["critical", "warning", "info"]}]
    (problem,) = problems({"owners": [{"id": "vision", "receivers": receivers[1:2], "mute": everything}]})
    assert problem.endswith("leave critical out of mute")


def test_all_people_that_do_not_exist_or_exist_twice_are_told_at_once() -> None:
    model = CONTENT["models"][0]
    models = [model, {**model, "tenants": ["a", "b", "c"]}, {**model, "name": "n", "owner": "audio"}]
    assert problems({
        "urls.grafana": "grafana",
        "tenants": [{"id": "a"}, {"id": " a"}],
        "models": models,
    }) == [
        "urls.grafana: must be a URL that starts with http:// or https://",
        "tenants[1].id: 'a' occurs more than once, first at [0]",
        "models[1].name: 'm' occurs more than once, first at [0]",
        "models[2].owner: 'audio' is not the id of an owner; allowed: vision",
    ]  # fmt: skip
    assert problems({"owners": [{"id": "x"}, {"id": "x"}], "models": models[1:2]}) == [
        "owners[1].id: 'x' occurs more than once, first at [0]",
        "models[0].tenants: 'b' is not the id of a tenant; allowed: a",
        "models[0].tenants: 'c' is not the id of a tenant; allowed: a",
    ]
    many = [{"id": f"tenant-{number:03}"} for number in range(1000)]
    (problem,) = problems({"tenants": many})
    assert problem.endswith("tenant-008, tenant-009 and 990 more")


def test_owners_need_not_be_declared_and_none_is_known_once_they_are() -> None:
    content = {key: value for key, value in CONTENT.items() if key != "owners"}
    assert parse_registry(yaml.safe_dump(content)).owners is None
    assert problems({"owners": []}) == ["models[0].owner: 'vision' is not the id of an owner; allowed: "]


def test_mail_without_a_mail_server_is_named_for_everybody() -> None:
    assert problems({"platform": {}}) == [
        f"{place}.receivers[2]: e-mail needs a mail server; declare platform.smtp"
        for place in ("owners[0]", "tenants[0]")
    ]
