"""Who hears of alerts, as the registry declares it: receivers of each kind, and times in which they rest.

Secrets stand in files below ``receivers/`` beside the registry, and nowhere else. Needs pydantic (extra
``registry``).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from modelplane_schema.alerts import Severity
from modelplane_schema.fields import (
    Declaration,
    Name,
    Url,
    no_duplicates,
    no_template,
    path_below,
    raise_all,
)

SECRETS_FOLDER = "receivers"
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_MINUTES_OF_A_DAY = 1440


def _addresses(text: str) -> str:
    for address in text.split(","):
        _address(address.strip())
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"[^@\s,<>{}]+@[^@\s,<>{}]+", text):
        raise ValueError(f"must be an e-mail address, for example team@example.org: {text!r} is none")
    return text


def _smarthost(text: str) -> str:
    if not re.fullmatch(r"[^\s:/@]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}", text):
        raise ValueError("must be HOST:PORT, for example mail.example.org:587")
    return text


def _clock(value: Any) -> Any:
    """YAML takes 22:00 without quotes for a number in base 60, which is its minutes."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MINUTES_OF_A_DAY:
        return f"{value // 60:02}:{value % 60:02}"
    return value


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", text):
        raise ValueError("must be a time of day from 00:00 to 24:00, for example 22:00")
    return text


def _location(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone that this machine knows, for example Europe/Berlin") from None
    return text


SecretFile = Annotated[str, AfterValidator(path_below(SECRETS_FOLDER, "vision-token"))]
PlainText = Annotated[Name, AfterValidator(no_template)]
Addresses = Annotated[str, AfterValidator(_addresses)]
TimeOfDay = Annotated[str, BeforeValidator(_clock), AfterValidator(_time_of_day)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Severities = Annotated[tuple[Severity, ...], Field(min_length=1)]


class _Receiver(Declaration):
    """``severities``: those of which it hears; None stands for all alerts, those without one included."""

    severities: Severities | None = None

    @model_validator(mode="after")
    def _distinct_severities(self) -> Self:
        no_duplicates("severities", self.severities or ())
        return self

    def takes(self, severity: Severity | None) -> bool:
        """Whether it hears of alerts of a severity; None stands for alerts of none that we know."""
        return self.severities is None or severity in self.severities

    @property
    def secret_files(self) -> dict[str, str]:
        """Map each field that names a file with a secret to the file."""
        return secret_files(self)


def secret_files(declaration: Declaration) -> dict[str, str]:
    """Map each field of a declaration that names a file with a secret to the file."""
    named = ((name, getattr(declaration, name)) for name in type(declaration).model_fields)
    return {name: value for name, value in named if name.endswith("_file") and value is not None}


class HttpAddress(Declaration):
    """Where a POST goes, by ``url`` or, where the address itself is secret, by ``url_file``.

    ``credentials_file`` holds a token that is sent as ``Authorization: Bearer``.
    """

    url: Url | None = None
    url_file: SecretFile | None = None
    credentials_file: SecretFile | None = None

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("must have either url or url_file")
        return self


class Webhook(_Receiver, HttpAddress):
    """Alertmanager's webhook. ``keeps_alerts``: false for a bridge that only passes messages on."""

    type: Literal["webhook"]
    keeps_alerts: bool = True


class Email(_Receiver):
    """E-mail by the mail server of ``platform.smtp``; ``to`` holds addresses with commas between them."""

    type: Literal["email"]
    to: Addresses


class Slack(_Receiver):
    """An incoming webhook of Slack, whose URL is secret."""

    type: Literal["slack"]
    api_url_file: SecretFile
    channel: PlainText | None = None


class Mattermost(_Receiver):
    """An incoming webhook of Mattermost, which reads what is for Slack."""

    type: Literal["mattermost"]
    webhook_url_file: SecretFile
    channel: PlainText | None = None


class Teams(_Receiver):
    """A workflow of Microsoft Teams that takes a webhook."""

    type: Literal["teams"]
    webhook_url_file: SecretFile


class PagerDuty(_Receiver):
    """An integration of PagerDuty's Events API v2; ``url`` only where it is not at its usual place."""

    type: Literal["pagerduty"]
    routing_key_file: SecretFile
    url: Url | None = None


class IncidentIo(_Receiver):
    """An alert source of incident.io."""

    type: Literal["incidentio"]
    url: Url
    alert_source_token_file: SecretFile


Receiver = Annotated[
    Webhook | Email | Slack | Mattermost | Teams | PagerDuty | IncidentIo, Field(discriminator="type")
]


def keeps_alerts(receiver: Receiver) -> bool:
    """Whether a receiver keeps an alert open until it hears of its end, as no message does."""
    if isinstance(receiver, Webhook):
        return receiver.keeps_alerts
    return isinstance(receiver, PagerDuty | IncidentIo)


class TimeRange(Declaration):
    """From a time of day until, not including, a later one; 24:00 is the end of the day."""

    from_: Annotated[TimeOfDay, Field(alias="from")]
    to: TimeOfDay

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.to <= self.from_:
            raise ValueError(
                f"to must be after from ({self.from_}); a night is two entries: one to 24:00, one from 00:00"
            )
        return self


class Mute(Declaration):
    """Times in which nobody is told of alerts of ``severities``: on ``weekdays``, and then in ``times``.

    Without weekdays on each day, without times all day. ``location`` is the time zone of both.
    """

    weekdays: tuple[Weekday, ...] = ()
    times: tuple[TimeRange, ...] = ()
    location: Annotated[str, AfterValidator(_location)] = "UTC"
    severities: Severities = ("warning", "info")

    @model_validator(mode="after")
    def _is_limited(self) -> Self:
        if not self.weekdays and not self.times:
            raise ValueError("must have weekdays or times: it would mute for ever")
        return self


class Recipient(Declaration):
    """Somebody who hears of alerts by receivers, except at the times of ``mute``."""

    receivers: tuple[Receiver, ...] = ()
    mute: tuple[Mute, ...] = ()

    @model_validator(mode="after")
    def _no_end_is_withheld(self) -> Self:
        """A receiver that keeps an alert must hear of its end, also when it ends in a mute time."""
        muted = {severity for mute in self.mute for severity in mute.severities}
        raise_all(
            [
                f"mute: would withhold from receivers[{position}] ({receiver.type}) that an alert has ended, "
                f"which it would keep open; {_remedy(receiver, muted)}"
                for position, receiver in enumerate(self.receivers)
                if keeps_alerts(receiver) and any(map(receiver.takes, muted))
            ]
        )
        return self


def _remedy(receiver: Receiver, muted: set[Severity]) -> str:
    others = [severity for severity in SEVERITIES if severity not in muted]
    limit = f"give it severities: [{', '.join(others)}]" if others else "leave critical out of mute"
    is_bridge = ", or keeps_alerts: false if it only passes messages on"
    return limit + (is_bridge if isinstance(receiver, Webhook) else "")


class Named(Declaration):
    """Somebody with an ``id``, as labels have it, and a ``name`` for people."""

    id: Name
    name: Name | None = None

    @property
    def title(self) -> str:
        """What people call them."""
        return self.name or self.id

    @property
    def full_title(self) -> str:
        """What tells them apart for people: the name with the id behind it, or the id alone."""
        return self.id if self.title == self.id else f"{self.title} ({self.id})"


class Owner(Recipient, Named):
    """Who can mend models: ``owner`` of a model names it by ``id``."""


class Smtp(Declaration):
    """The mail server through which all e-mail goes."""

    smarthost: Annotated[str, AfterValidator(_smarthost)]
    from_: Annotated[str, AfterValidator(_address), Field(alias="from")]
    username: Name | None = None
    password_file: SecretFile | None = None
    require_tls: bool = True

    @model_validator(mode="after")
    def _user_with_password(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("must have both username and password_file, or neither")
        return self


class Platform(Recipient):
    """Who runs the plane: hears of the plane itself, and of what nobody else hears of.

    ``dead_mans_switch`` is a service outside that raises an alarm when the watchdog no longer comes.
    """

    smtp: Smtp | None = None
    dead_mans_switch: HttpAddress | None = None
