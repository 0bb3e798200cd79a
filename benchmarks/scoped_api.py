"""What the tenant-scoped Prometheus API adds to Prometheus, query by query.

A real Prometheus takes the series of 200 identities, one sample a minute for 4 hours, by remote write. The
backend serves its API to a tenant from a process of its own. In each round Prometheus answers the query as
the backend would send it, over a kept connection, and the API answers what the tenant asks, over another;
who comes first alternates. "same" asks the same text again and again, as a board does that refreshes;
"different" changes the text each time, so that it has to be rewritten and proven anew; "unrestricted" asks
with an administrator's token, which shows what one more process costs. Milliseconds are wall time of the
caller until the whole body is read; the overhead is the median of the rounds' differences, of one query and
of all that are restricted. Prints JSON.

Example: python benchmarks/scoped_api.py --rounds 100
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from support import plane_data, servers
from support.client import Client

from modelplane_datasource import hash_token
from modelplane_datasource.tenancy.promql_rewriter import restricted

TENANT = plane_data.tenant_id(0)
SIZE = plane_data.Size(models=10, tenants=10, scrapes=4 * 60 + 1)
LIMIT_MS = 2.0
QUERIES = {
    "instant sum": ("query", "sum(rate(model_inference_requests_total[5m]))"),
    "instant quantile": (
        "query",
        "histogram_quantile(0.95, sum by (le) (rate(model_inference_latency_seconds_bucket[5m])))",
    ),
    "range, one line": ("query_range", "sum(rate(model_inference_requests_total[5m]))"),
    "range, a line for each series": ("query_range", "rate(model_inference_requests_total[5m])"),
    "range, a ratio": (
        "query_range",
        'sum by (model_name) (rate(model_inference_requests_total{outcome="failure"}[5m])) '
        "/ sum by (model_name) (rate(model_inference_requests_total[5m]))",
    ),
}
KINDS = {"unrestricted": "admin", "same": "tenant", "different": "tenant"}  # and who asks

Asking = Callable[[str, Mapping[str, str]], bytes]


class Rounds(NamedTuple):
    """Rounds of one query: the bytes of an answer, and all milliseconds of both sides."""

    bytes: int
    direct: Sequence[float]
    api: Sequence[float]

    @property
    def overheads(self) -> list[float]:
        return [ours - theirs for theirs, ours in zip(self.direct, self.api, strict=True)]

    def report(self) -> dict[str, Any]:
        """As JSON shows it."""
        overhead = statistics.median(self.overheads)
        return {
            "bytes": self.bytes,
            "milliseconds": {"direct": _percentiles(self.direct), "api": _percentiles(self.api)},
            "overhead_ms": round(overhead, 2),
            "within_limit": overhead <= LIMIT_MS,
        }


def asking(client: Client, prefix: str, role: str) -> Asking:
    """Asks an API below ``prefix`` with the token of a role."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {role}"}
    return lambda path, form: client.send(f"{prefix}/api/v1/{path}", urlencode(form).encode(), headers)


def measure(
    direct: Asking, api: Asking, path: str, forms: Iterator[tuple[Mapping[str, str], Mapping[str, str]]]
) -> Rounds:
    """Rounds of one query; each form comes as Prometheus gets it and as it is asked of the API."""
    columns: dict[str, list[float]] = {"direct": [], "api": []}
    size = 0
    for number, (direct_form, api_form) in enumerate(forms):
        steps = [("direct", direct, direct_form), ("api", api, api_form)]
        answers = {}
        for name, ask, form in steps[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            answers[name] = ask(path, form)
            columns[name].append((time.perf_counter() - started) * 1000)
        if len(answers["direct"]) != len(answers["api"]):
            raise SystemExit(f"the API answered {api_form['query']} differently")
        size = len(answers["api"])
    return Rounds(size, columns["direct"], columns["api"])


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 2),
    }


def forms(
    path: str, query: str, end: int, rounds: int, kind: str
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Every round is about a minute of its own, so that nobody answers from memory."""
    sent = restricted(query, [TENANT])
    text = sent if kind == "unrestricted" else query
    for number in range(rounds):
        last = end - 60 * (number % 60)
        times = {"time": str(last)}
        if path == "query_range":
            times = {"start": str(last - 3600), "end": str(last), "step": "60"}
        api_query = f"{text} # {number}" if kind == "different" else text
        yield {"query": sent, **times}, {"query": api_query, **times}


def token_file(folder: Path) -> Path:
    """A file with two tokens, each as secret as the name of its role."""
    tokens = [
        {"name": "tenant", "role": "tenant", "tenants": [TENANT], "sha256": hash_token("tenant")},
        {"name": "admin", "role": "admin", "sha256": hash_token("admin")},
    ]
    path = folder / "tokens.json"
    path.write_text(json.dumps({"tokens": tokens}))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    end = servers.last_scrape(SIZE.interval)
    measurements: dict[str, Rounds] = {}
    restricted: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "modelplane.yaml").write_text(plane_data.registry(SIZE))
        prometheus = stack.enter_context(servers.running_prometheus(folder))
        samples = servers.load(prometheus.port, SIZE, end)
        env = servers.environment(prometheus, folder, folder / "modelplane.yaml", 0)
        env["MODELPLANE_DATASOURCE_TOKEN_FILE"] = str(token_file(folder))
        port, _ = stack.enter_context(servers.running_backend("backend", folder, env))
        clients = Client(prometheus.port), Client(port)
        for client in clients:
            stack.callback(client.close)
        direct = asking(clients[0], "", "tenant")
        for name, (path, query) in QUERIES.items():
            for kind, role in KINDS.items():
                api = asking(clients[1], "/prometheus", role)
                measurement = measure(direct, api, path, forms(path, query, end, rounds, kind))
                measurements[f"{name}, {kind}"] = measurement
                restricted += measurement.overheads if role == "tenant" else ()
            print(f"{name}: done", file=sys.stderr)
    report = {
        "method": " ".join((__doc__ or "").split("\n\n")[1].split()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "data": {"identities": SIZE.identities, "samples": samples},
        "limit_ms": LIMIT_MS,
        "rounds": rounds,
        "restricted_overhead_ms": _percentiles(restricted),
        "queries": {name: measurement.report() for name, measurement in measurements.items()},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
