"""Fetch the series by which models say who they are, from a Prometheus or from exporters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import requests
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.clients.plane_errors import PlaneError, no_answer
from modelplane_schema.metrics import IDENTITY, MODEL_INFO, REQUESTS

Labels = Mapping[str, str]
_LOOKBACK = "1h"  # a model that is deployed anew is not missed
_TIMEOUT_SECONDS = 15


def from_prometheus(url: str, token: str | None = None) -> tuple[list[Labels], list[Labels]]:
    """Labels of ``model_info`` and of counted calls in the last hour; PlaneError."""
    connection = Connection("Prometheus", url.rstrip("/"), token)
    infos = f"last_over_time({MODEL_INFO.name}[{_LOOKBACK}])"
    calls = f"group by ({', '.join(IDENTITY)}) (last_over_time({REQUESTS.name}[{_LOOKBACK}]))"
    answers = (prometheus_query(connection, query) for query in (infos, calls))
    first, second = ([row["metric"] for row in answer] for answer in answers)
    return first, second


def from_exporters(urls: Iterable[str]) -> tuple[list[Labels], list[Labels]]:
    """The same, as exporters report it now; each has its address as ``instance``. PlaneError."""
    infos: list[Labels] = []
    calls: list[Labels] = []
    for url in urls:
        instance = {"instance": urlsplit(url).netloc}
        for family in _families(url):
            for sample in family.samples:
                if sample.name == MODEL_INFO.name:
                    infos.append({**sample.labels, **instance})
                elif sample.name == REQUESTS.name:
                    calls.append(sample.labels)
    return infos, calls


def _families(url: str) -> list[Metric]:
    session = requests.Session()
    session.trust_env = False  # no proxy leads to what is scraped
    try:
        response = session.get(url, timeout=_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise no_answer("the exporter", url, error) from error
    if response.status_code != requests.codes.ok:
        raise PlaneError(f"{url}: answered with status {response.status_code}; name the URL of its metrics")
    try:
        return list(text_string_to_metric_families(response.text))
    except ValueError:
        raise PlaneError(
            f"{url}: what it answers are no metrics; name the URL of its metrics, such as "
            "http://localhost:8000/metrics"
        ) from None
