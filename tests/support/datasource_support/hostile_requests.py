"""Generated requests to the tenants' Prometheus API that try to get at another tenant."""

from __future__ import annotations

import time
from typing import NamedTuple

from hypothesis import strategies as st

CALLER_TENANT, OTHER = "user-A", "user-B"
NOW = int(time.time()) // 60 * 60
METRICS = [
    "calls",
    "calls",
    "load",
    "load",
    "classified_metric",
    "target_info",
    "ALERTS",
    '{"calls"}',
    "info",
]
VALUES = [CALLER_TENANT, CALLER_TENANT, OTHER, "__all__", "", "resnet50", ".*", ".+",
          f"{CALLER_TENANT}|{OTHER}", f"({OTHER}|x)",
          "user-.", "[^x]*", "user-B\\\\", "(?i)USER-B", "r\\x65snet50", "user\\x2dB", "user\\u002dB", "é",
          "\\n", 'a\\"} or calls{tenant_id=\\"user-B']  # fmt: skip
LABELS = ["tenant_id", "tenant_id", "model_name", "model_name", "job", '"tenant_id"', "Tenant_id",
          "__tenant_id__", "le", '"model_name"', '"t\u0435nant_id"',
          '"x\\"} or calls{tenant_id"']  # fmt: skip
PLAIN_MATCHERS = st.builds(
    '{}{}"{}"'.format,
    st.sampled_from(LABELS),
    st.sampled_from(["=", "=~", "!=", "!~"]),
    st.sampled_from(VALUES),
)
ODD_MATCHERS = st.sampled_from(
    ["tenant_id='user-B'", "tenant_id=`user-B`", 'tenant_id="user-A" or tenant_id="user-B"', '"calls"',
     '__name__="calls"', '__name__=~".+"', 'tenant_id="user-A",tenant_id="user-B"', "# }\n", 'job="a"']
)  # fmt: skip
MOMENTS = st.sampled_from(
    ["", "", "", " offset 5m", " offset -5m", " @ start()", " @ end()", f" @ {NOW - 600}", " @ -5",
     f" @ {NOW} offset 1m", " offset 1y", " OFFSET 1s"]
)  # fmt: skip
MATCHERS = st.one_of(PLAIN_MATCHERS, PLAIN_MATCHERS, ODD_MATCHERS)
SELECTORS = st.one_of(
    st.sampled_from(METRICS),
    st.builds("{}{{{}}}".format, st.sampled_from(METRICS[:6]), MATCHERS),
    st.builds('{{model_name=~".+",{}}}'.format, MATCHERS),
    st.builds('{{__name__=~".+",{},{}}}'.format, MATCHERS, MATCHERS),
)
VECTORS = st.builds("{}{}".format, SELECTORS, MOMENTS)
RANGES = ["rate({}[5m])", "count_over_time({}[1h])", "last_over_time({}[10m] offset 1m)",
          "absent_over_time({}[5m])", "present_over_time({}[5m] @ end())"]  # fmt: skip
UNARY = [
    "sum({})", "count({})", "sum by (tenant_id) ({})", "count without (model_name) ({})",
    "group by (job) ({})",
    'count_values("x", {})', 'count_values("tenant_id", {})', 'count_values(("tenant_id"), {})',
    'label_replace({}, "tenant_id", "user-A", "", "")', 'label_replace({}, "x", "$1", "tenant_id", "(.*)")',
    'label_replace({}, "x", "$1", "__name__", "(.*)")', 'label_join({}, "x", "-", "tenant_id", "model_name")',
    'label_join({}, "tenant_id", "-", "job")', "info({})", 'info({}, {{tenant_id="user-B"}})', "absent({})",
    "-{}", "({})", "vector(scalar({}))", "max_over_time(({})[10m:1m])", "sort_desc({})", "topk(1, {})",
    "max_over_time(({})[10m:1m] @ end() offset 1m)", "{} # or calls\n", "# {}\ncalls", "timestamp({})",
    "histogram_quantile(0.9, {})", "round({}, 10)", "stddev({})", "limitk(9, {})", "{} > bool 5",
    "sum_over_time(count({})[30m:1m])", "{} == 7777.250", "predict_linear(({})[5m:1m], 60)",
]  # fmt: skip
BINARY = [
    "{} or {}", "{} and {}", "{} unless {}", "{} or on() {}", "{} unless on(job) {}", "topk(scalar({}), {})",
    "quantile(scalar({}), {})", "bottomk(scalar(count({})), {})", "count_values('x', {} or {})",
    "{} + on(job) group_left(tenant_id) {}", "{} * ignoring(tenant_id) group_right(model_name) {}",
    "clamp_max({}, scalar({}))", "{} / ignoring(tenant_id, model_name, __name__) {}",
    "label_replace({}, 'x', '', '', '') or {}",
]  # fmt: skip
RANGED = st.builds(lambda shape, selector: shape.format(selector), st.sampled_from(RANGES), SELECTORS)
EXPRESSIONS = st.recursive(
    st.one_of(VECTORS, VECTORS, RANGED),
    lambda inner: st.one_of(
        st.builds(lambda shape, operand: shape.format(operand), st.sampled_from(UNARY), inner),
        st.builds(
            lambda shape, left, right: shape.format(left, right), st.sampled_from(BINARY), inner, inner
        ),
    ),
    max_leaves=3,
)
SPLICES = [
    '"',
    "\\",
    "}",
    "{",
    "(",
    ")",
    " or ",
    "#",
    "\n",
    "\x00",
    "\u2028",
    "`",
    "'",
    ",",
    "@",
    "[5m]",
    "é",
    ";",
]


@st.composite
def spliced(draw: st.DrawFn) -> str:
    """A query with something put in at any place."""
    text = draw(EXPRESSIONS)
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(SPLICES)) + text[at:]


QUERIES = st.one_of(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS, spliced())
COMMON_PATHS = ["query", "query", "query", "query_range", "query_range", "series", "label/model_name/values"]
OTHER_PATHS = [
    "labels", "label/tenant_id/values", "label/__name__/values", "label/classified_label/values", "alerts",
    "query_exemplars", "metadata", "rules", "status/buildinfo", "targets", "federate", "../v1/query",
    "query/",
    "query%2f", "status/tsdb", "label/tenant_id", "read", "query;a=b",
]  # fmt: skip
PATHS = st.one_of(*[st.sampled_from(COMMON_PATHS)] * 3, st.sampled_from(OTHER_PATHS))
# Parameters that some store or proxy knows.
ODD = [("query[]", "calls"), ("Query", "calls"), ("extra_label", "tenant_id=user-B"), ("limit", "1"),
       ("extra_filters[]", '{tenant_id="user-B"}'), ("match[]", 'calls{tenant_id="user-B"}'),
       ("stats", "all"), ("dedup", "false"), ("tenant_id", "user-B"), ("X-Scope-OrgID", "user-B"),
       ("query", "calls"), ("time", "1"), ("lookback_delta", "1h"), ("storeMatch[]", "{}")]  # fmt: skip


class Request(NamedTuple):
    """One request; ``url`` and ``body`` are its parameters."""

    method: str
    path: str
    url: list[tuple[str, str]]
    body: list[tuple[str, str]]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    path = draw(PATHS)
    parameters = {"time": str(NOW), "start": str(NOW - 600), "end": str(NOW), "step": "60"}
    if path == "query":
        parameters = {"time": str(NOW)}
    known = list(parameters.items())
    if "query" in path:
        known.append(("query", draw(QUERIES)))
    else:
        known += [
            ("match[]", text)
            for text in draw(st.lists(st.one_of(SELECTORS, SELECTORS, VECTORS), min_size=1, max_size=2))
        ]
    odd = draw(st.lists(st.sampled_from(ODD), max_size=1)) if draw(st.integers(0, 3)) == 0 else []
    if draw(st.booleans()):
        return Request("GET", path, known + odd, [])
    return Request("POST", path, odd, known)
