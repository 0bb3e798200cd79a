"""Parameters of the routes about alerts and incidents."""

from __future__ import annotations

import re

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, STATUSES
from modelplane_datasource.alerts.incidents import (
    ID_PATTERN,
)
from modelplane_datasource.web.parameters import (
    Parameter,
    TenantParameter,
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
    """Any text: what is no id is not found."""
    return text


TENANT = TenantParameter(
    "tenant-id", "Tenant of the alert.", "a tenant id, repeatable", label_text, repeated=True
)
MODEL = Parameter("model-name", "Model of the alert.", "a model name, repeatable", label_text, repeated=True)
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
SOURCE = Parameter(
    "source", "Name of the Alertmanager, or of the cluster of them, that notifies.",
    "a name of at most 64 letters, digits, - and _", source_name, default=DEFAULT_SOURCE,
)  # fmt: skip
LIST_PARAMETERS = (TENANT, MODEL, STATUS, ALERTNAME, FROM, TO, LIMIT)

INCIDENT_TENANT = TenantParameter(
    "tenant-id", "Tenant of the incident.", TENANT.allowed, TENANT.parse, repeated=True
)
INCIDENT_MODEL = Parameter("model-name", "Model of the incident.", MODEL.allowed, MODEL.parse, repeated=True)
INCIDENT_STATUS = Parameter("status", "State of the incident.", STATUS.allowed, STATUS.parse, repeated=True)
INCIDENT_FROM = Parameter("from", "Incidents that had not ended before.", INSTANT, instant)
INCIDENT_TO = Parameter("to", "Incidents that started no later.", INSTANT, instant)
INCIDENT_LIMIT = Parameter(
    "limit", "Largest number of incidents.", "a whole number from 1 to 1000", whole_number(1, 1000),
    default="100",
)  # fmt: skip
NOISIEST_LIMIT = Parameter(
    "limit", "Largest number of noisy alerts.", "a whole number from 1 to 1000", whole_number(1, 1000),
    default="10",
)  # fmt: skip
INCIDENT_ID = Parameter(
    "id", "The incident.", "an id that the list of incidents gave", incident_id, required=True
)
INCIDENT_LIST_PARAMETERS = (
    INCIDENT_TENANT, INCIDENT_MODEL, INCIDENT_STATUS, INCIDENT_FROM, INCIDENT_TO, INCIDENT_LIMIT,
)  # fmt: skip
STATISTICS_PARAMETERS = (INCIDENT_TENANT, INCIDENT_MODEL, RANGE_FROM, RANGE_TO, NOISIEST_LIMIT)
