"""What the tenant-scoped Prometheus API adds to Prometheus, query by query.

A real Prometheus takes the series of 200 identities, one sample a minute for 4 hours, by remote write. The
backend serves its API to a tenant from a process of its own. In each round Prometheus answers the query as
the backend would send it, over a kept connection, and the API answers what the tenant asks, over another;
who comes first alternates. "same" asks the same text again and again, as a board does that refreshes;
"different" changes the text each time, so that it has to be rewritten and proven anew. Milliseconds are wall
time of the caller until the whole body is read; the overhead is the median of the rounds' differences. Prints
JSON.

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
from typing import Any
from urllib.parse import urlencode

from support import plane_data, servers
from support.client import Client

from modelplane_datasource import hash_token
from modelplane_datasource.promql_scope import scoped

TENANT = plane_data.tenant_id(0)
TOKEN = "benchmark"  # noqa: S105
SIZE = plane_data.Size(models=10, tenants=10, scrapes=4 * 60 + 1)
LIMIT_MS = 2.0
_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {TOKEN}"}
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


Asking = Callable[[str, Mapping[str, str]], bytes]


def asking(client: Client, prefix: str) -> Asking:
    """Asks an API below ``prefix``."""
    return lambda path, form: client.send(f"{prefix}/api/v1/{path}", urlencode(form).encode(), _HEADERS)


def measure(
    direct: Asking, api: Asking, path: str, forms: Iterator[tuple[Mapping[str, str], Mapping[str, str]]]
) -> dict[str, Any]:
    """Rounds of one query; each form comes as Prometheus gets it and as the tenant asks it."""
    columns: dict[str, list[float]] = {"direct": [], "api": []}
    size = 0
    for number, (sent, asked) in enumerate(forms):
        steps = [("direct", direct, sent), ("api", api, asked)]
        answers = {}
        for name, ask, form in steps[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            answers[name] = ask(path, form)
            columns[name].append((time.perf_counter() - started) * 1000)
        if len(answers["direct"]) != len(answers["api"]):
            raise SystemExit(f"the API answered {asked['query']} differently")
        size = len(answers["api"])
    overhead = statistics.median(ours - theirs for theirs, ours in zip(*columns.values(), strict=True))
    return {
        "bytes": size,
        "milliseconds": {name: _percentiles(values) for name, values in columns.items()},
        "overhead_ms": round(overhead, 2),
        "within_limit": overhead <= LIMIT_MS,
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 2),
    }


def forms(
    path: str, query: str, end: int, rounds: int, changing: bool
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Every round is about a minute of its own, so that nobody answers from memory."""
    sent = scoped(query, [TENANT])
    for number in range(rounds):
        last = end - 60 * (number % 60)
        times = {"time": str(last)}
        if path == "query_range":
            times = {"start": str(last - 3600), "end": str(last), "step": "60"}
        yield {"query": sent, **times}, {"query": f"{query} # {number}" if changing else query, **times}


def token_file(folder: Path) -> Path:
    """A file with one token, of the tenant."""
    token = {"name": "tenant", "role": "tenant", "tenants": [TENANT], "sha256": hash_token(TOKEN)}
    path = folder / "tokens.json"
    path.write_text(json.dumps({"tokens": [token]}))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    end = servers.last_scrape(SIZE.interval)
    found: dict[str, Any] = {}
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
        direct, api = map(asking, clients, ("", "/prometheus"))
        for name, (path, query) in QUERIES.items():
            for text in ("same", "different"):
                asked = forms(path, query, end, rounds, text == "different")
                found[f"{name}, {text} text"] = measure(direct, api, path, asked)
            print(f"{name}: done", file=sys.stderr)
    report = {
        "method": " ".join((__doc__ or "").split("\n\n")[1].split()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "data": {"identities": SIZE.identities, "samples": samples},
        "limit_ms": LIMIT_MS,
        "rounds": rounds,
        "queries": found,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
