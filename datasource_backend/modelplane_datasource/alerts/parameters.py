"""Parameters of the routes about alerts, incidents and silences."""

from __future__ import annotations

import re
from dataclasses import replace

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, STATUSES
from modelplane_datasource.alerts.incidents import ID_PATTERN
from modelplane_datasource.alerts.silences import SILENCE_ID_PATTERN, SILENCE_STATUSES
from modelplane_datasource.alerts.store_queries import INCIDENT_ORDERS, WORST
from modelplane_datasource.web import identity_parameters
from modelplane_datasource.web.parameters import (
    Parameter,
    choice,
    label_text,
    parser,
    whole_number,
)
from modelplane_datasource.web.time_parameters import FROM as RANGE_FROM
from modelplane_datasource.web.time_parameters import INSTANT, instant
from modelplane_datasource.web.time_parameters import TO as RANGE_TO


@parser({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"})
def source_name(text: str) -> str:
    """The name of a source; ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError(text)
    return text


@parser({"type": "string", "pattern": ID_PATTERN})
def incident_id(text: str) -> str:
    """Any text: what is not an id is not found."""
    return text


@parser({"type": "string", "pattern": SILENCE_ID_PATTERN})
def silence_id(text: str) -> str:
    """Any text: what is not an id is not found."""
    return text


TENANT = replace(identity_parameters.TENANT, summary="Tenant of the alert.")
MODEL = replace(identity_parameters.MODEL, summary="Model of the alert.")
STATUS = Parameter(
    "status", "State of the alert.", "firing, suppressed or resolved, repeatable", choice(*STATUSES),
    repeated=True,
)  # fmt: skip
ALERTNAME = Parameter(
    "alertname", "Name of the alert.", "an alert name, repeatable", label_text, repeated=True
)
FROM = Parameter("from", "Alerts that had not ended before.", INSTANT, instant)
TO = Parameter("to", "Alerts that started no later.", INSTANT, instant)
LIMIT = Parameter(
    "limit",
    "Largest number of alerts.",
    "a whole number from 1 to 1000",
    whole_number(1, 1000),
    default="100",
)
OFFSET = Parameter(
    "offset",
    "How many to leave out before the first, for the pages after the first one.",
    "a whole number from 0 to 1000000000",
    whole_number(0, 10**9),
    default="0",
)
SILENCE_TENANT = replace(TENANT, summary="Tenant to whose alerts alone the silence applies.")
SILENCE_STATUS = Parameter(
    "status", "State of the silence.", f"{', '.join(SILENCE_STATUSES)}, repeatable",
    choice(*SILENCE_STATUSES), repeated=True, default="{active,pending,missing}",
)  # fmt: skip
SILENCE_LIMIT = replace(LIMIT, summary="Largest number of silences.")
SILENCE_LIST_PARAMETERS = (SILENCE_TENANT, SILENCE_STATUS, SILENCE_LIMIT, OFFSET)
SILENCE_ID = Parameter(
    "id", "The silence.", "an id that the list of silences gave", silence_id, required=True
)
SOURCE = Parameter(
    "source", "Name of the Alertmanager, or of the cluster of them, that notifies.",
    "a name of at most 64 letters, digits, - and _", source_name, default=DEFAULT_SOURCE,
)  # fmt: skip
LIST_PARAMETERS = (TENANT, MODEL, STATUS, ALERTNAME, FROM, TO, LIMIT, OFFSET)

INCIDENT_TENANT = replace(TENANT, summary="Tenant of the incident.")
INCIDENT_MODEL = replace(MODEL, summary="Model of the incident.")
INCIDENT_STATUS = replace(STATUS, summary="State of the incident.")
INCIDENT_FROM = replace(FROM, summary="Incidents that had not ended before.")
INCIDENT_TO = replace(TO, summary="Incidents that started no later.")
INCIDENT_LIMIT = replace(LIMIT, summary="Largest number of incidents.")
ORDER = Parameter(
    "order", "What comes first: what is open and then what is severe, or the newest start.",
    ", ".join(INCIDENT_ORDERS), choice(*INCIDENT_ORDERS), default=WORST,
)  # fmt: skip
NOISIEST_LIMIT = replace(LIMIT, summary="Largest number of noisy alerts.", default="10")
INCIDENT_ID = Parameter(
    "id", "The incident.", "an id that the list of incidents gave", incident_id, required=True
)
INCIDENT_LIST_PARAMETERS = (
    INCIDENT_TENANT, INCIDENT_MODEL, INCIDENT_STATUS, INCIDENT_FROM, INCIDENT_TO, INCIDENT_LIMIT, OFFSET,
    ORDER,
)  # fmt: skip
STATISTICS_PARAMETERS = (INCIDENT_TENANT, INCIDENT_MODEL, RANGE_FROM, RANGE_TO, NOISIEST_LIMIT)
