"""``/api/v1/gate``: whether a canary controller may go on with a candidate version."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, get_args

from flask import Blueprint, Response, request

from modelplane_datasource.api.comparison import PARAMETERS, compared_versions, read_compare
from modelplane_datasource.comparison.indicators import Verdict
from modelplane_datasource.comparison.queries import CompareRequest
from modelplane_datasource.comparison.verdicts import Comparison
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import invalid
from modelplane_datasource.grafana.requests import object_or_empty
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import (
    BAD_INPUT,
    UPSTREAM,
    NamedSchema,
    Operation,
    Table,
    described,
    json_content,
)
from modelplane_datasource.web.parameters import Parameter, Values, check_names, choice
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import INSTANT, QUERY_TIME, TEXT, array, record, with_warnings

Gate = Literal["pass", "fail", "inconclusive", "no_traffic"]
GATES: Mapping[Verdict, Gate] = {
    "better": "pass",
    "same": "pass",
    "no_difference_found": "pass",
    "worse": "fail",
    "not_enough_data": "inconclusive",
    "no_traffic": "no_traffic",
}
_STATUSES = (200, 409, 412, 424, 425)  # no other answer of this route has one of these


def _status_parameter(gate: Gate) -> Parameter[str]:
    name = f"{gate.replace('_', '-')}-status"
    allowed = ", ".join(map(str, _STATUSES))
    return Parameter(
        name, f"The HTTP status of the answer {gate}.", allowed, choice(*map(str, _STATUSES)), default="200"
    )


_STATUS_PARAMETERS: Mapping[Gate, Parameter[str]] = {
    gate: _status_parameter(gate) for gate in get_args(Gate) if gate != "pass"
}
GATE_PARAMETERS: tuple[Parameter[Any], ...] = (*PARAMETERS, *_STATUS_PARAMETERS.values())
GATE = NamedSchema(
    "Gate",
    with_warnings(
        record(
            {
                "query_time": QUERY_TIME,
                "gate": {"enum": list(get_args(Gate))},
                "verdict": {"enum": list(get_args(Verdict))},
                "reason": TEXT,
                **dict.fromkeys(("model_name", "baseline", "candidate"), TEXT),
                **dict.fromkeys(("tenant_ids", "summary"), array(TEXT)),
                **dict.fromkeys(("from", "to"), INSTANT),
            }
        )
    ),
)
_WEBHOOK = {
    "type": "object",
    "properties": {"metadata": {"type": "object", "additionalProperties": TEXT}},
}
_ANSWERS = {status: json_content("Whether to go on.", GATE) for status in _STATUSES}
GATED = Operation(
    "Whether a candidate version may go on: pass, fail, inconclusive or no_traffic.",
    _ANSWERS,
    GATE_PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
    tables=(Table("gate", "Gate of a release", ""),),
)
GATED_BY_WEBHOOK = Operation(
    "The same for webhooks: parameters may also be in the metadata of the body.",
    _ANSWERS,
    GATE_PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
    body=json_content("What Flagger sends.", _WEBHOOK),
    body_required=False,
)


def gate_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/gate``."""
    routes = Blueprint("gate", __name__, url_prefix="/api/v1")

    @routes.get("/gate")
    @described(GATED)
    def gated() -> Response:
        return answer(query_values())

    @routes.post("/gate")
    @described(GATED_BY_WEBHOOK)
    def gated_by_webhook() -> Response:
        return answer({**_metadata(request.get_data()), **query_values()})

    def answer(values: Values) -> Response:
        check_names(values, GATE_PARAMETERS)
        statuses = {gate: int(parameter.read(values)) for gate, parameter in _STATUS_PARAMETERS.items()}
        asked = {name: texts for name, texts in values.items() if not name.endswith("-status")}
        compared = read_compare(asked, context.last_scrape(), context.scrape_interval)
        _, comparison = compared_versions(context, compared)
        status = statuses.get(GATES[comparison.verdict], HTTPStatus.OK)
        return json_response(_body(compared, comparison, context.now()), status)

    return routes


def _metadata(body: bytes) -> Values:
    """The parameters in the metadata of a webhook's body; ApiError 400."""
    metadata = object_or_empty(body).get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise invalid("metadata", "is not an object of texts", "an object of parameters and their texts")
    return {name: [text] for name, text in metadata.items()}


def _body(asked: CompareRequest, comparison: Comparison, now: int) -> dict[str, Any]:
    return {
        "query_time": format_rfc3339(now),
        "gate": GATES[comparison.verdict],
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        "model_name": asked.model,
        "baseline": asked.baseline,
        "candidate": asked.candidate,
        "tenant_ids": asked.tenants,
        "summary": [indicator.summary for indicator in comparison.indicators],
        "from": asked.start,
        "to": asked.ends.times[-1],
    }
