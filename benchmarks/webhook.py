"""How many of Alertmanager's notifications the backend stores, beside plain inserts of SQLite.

Clients keep a connection each and send one notification of one alert after the other, all different, to a
backend on SQLite; a delivery counts when it is answered 200, which is after the commit is on the disk, and
all of them are counted again in the database. Plain inserts put the same bodies into a table with the same
unique sum, by Python's sqlite3 with the same journal and the same synchronous commits: each in a commit of
its own by one connection, each in a commit of its own by as many threads as there are clients, and as many in
a commit as there are clients. Rounds alternate between all of these; medians are given. A burst is that
many clients at once, on new connections, to a backend that has nothing else to do.
Prints JSON; progress goes to stderr.

Example: python benchmarks/webhook.py --seconds 2 --rounds 1
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from support import servers

BURSTS = (10, 100, 1000)
LIMITS = {"deliveries_per_second": 1000}


class Answered(NamedTuple):
    """A request's status and the milliseconds until it came."""

    status: int
    milliseconds: float


def notifications(prefix: str) -> Iterator[bytes]:
    """Ever different notifications as Alertmanager sends them, of about 1 kB."""
    number = 0
    while True:
        number += 1
        labels = {
            "alertname": "ModelLatencyHigh", "severity": "warning", "tenant_id": f"tenant-{number % 50}",
            "model_name": f"model-{number % 20}", "model_version": "v1", "instance": f"{prefix}-{number}",
        }  # fmt: skip
        alert = {
            "status": "firing",
            "labels": labels,
            "startsAt": "2026-01-01T00:00:00.123Z",
            "annotations": {"summary": "A model answers a tenant slowly.", "description": "x" * 300},
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph?g0.expr=" + "y" * 100,
            "fingerprint": hashlib.sha256(f"{prefix}-{number}".encode()).hexdigest()[:16],
        }
        body = {
            "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "all",
            "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://am",
            "alerts": [alert],
        }  # fmt: skip
        yield json.dumps(body).encode()


async def one_client(port: int, bodies: Iterable[bytes], until: float) -> list[Answered]:
    """Send one body after the other over one connection, until a moment of the monotonic clock."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = []
    for body in bodies:
        began = time.monotonic()
        if began >= until:
            break
        head = f"POST /api/v1/alerts HTTP/1.1\r\nHost: backend\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        answered.append(Answered(int(lines[0].split()[1]), (time.monotonic() - began) * 1000))
    writer.close()
    return answered


async def all_clients(port: int, bodies: Sequence[Iterable[bytes]], until: float) -> list[Answered]:
    """What one client for each of ``bodies`` is answered."""
    answered = await asyncio.gather(*(one_client(port, some, until) for some in bodies))
    return list(chain.from_iterable(answered))


def deliver(port: int, clients: int, prefix: str, seconds: float) -> dict[str, float]:
    """What ``clients`` get stored in some seconds."""
    bodies = [notifications(f"{prefix}-{number}") for number in range(clients)]
    began = time.monotonic()
    answered = asyncio.run(all_clients(port, bodies, began + seconds))
    elapsed = time.monotonic() - began
    stored = sorted(answer.milliseconds for answer in answered if answer.status == 200)
    return {
        "per_second": round(len(stored) / elapsed),
        "stored": len(stored),
        "refused": len(answered) - len(stored),
        "p50_ms": round(statistics.median(stored), 1),
        "p99_ms": round(stored[int(0.99 * (len(stored) - 1))], 1),
    }


def burst(port: int, clients: int, prefix: str) -> dict[str, int]:
    """How often each status comes when so many clients send once, at the same time."""
    bodies = [islice(notifications(f"{prefix}-{number}"), 1) for number in range(clients)]
    answered = asyncio.run(all_clients(port, bodies, math.inf))
    return {str(status): count for status, count in Counter(answer.status for answer in answered).items()}


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits as the backend's does."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, sum TEXT UNIQUE, body BLOB)"
    )
    return connection


def insert(path: Path, prefix: str, seconds: float, in_a_commit: int) -> int:
    """How many bodies one connection stores in some seconds."""
    bodies, stored, until = notifications(prefix), 0, time.monotonic() + seconds
    with closing(connect(path)) as connection:
        while time.monotonic() < until:
            rows = [(hashlib.sha256(body).hexdigest(), body) for body in islice(bodies, in_a_commit)]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO bodies (sum, body) VALUES (?, ?)", rows)
            connection.execute("COMMIT")
            stored += len(rows)
    return stored


def insert_by_threads(path: Path, threads: int, prefix: str, seconds: float) -> int:
    """How many bodies a connection for each thread stores in some seconds."""
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda number: insert(path, f"{prefix}-{number}", seconds, 1), range(threads)))


def plain(folder: Path, clients: int, prefix: str, seconds: float) -> dict[str, int]:
    """Inserts a second of SQLite, by how they are made."""
    path = folder / "plain.db"
    inserts: dict[str, Callable[[str], int]] = {
        "one_connection": lambda name: insert(path, name, seconds, 1),
        "connection_for_each_client": lambda name: insert_by_threads(path, clients, name, seconds),
        "grouped": lambda name: insert(path, name, seconds, clients),
    }
    rates = {}
    for name, made in inserts.items():
        began = time.monotonic()
        stored = made(f"{prefix}-{name}")
        rates[name] = round(stored / (time.monotonic() - began))
    return rates


def median_of(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(measured[name] for measured in rounds) for name in rounds[0]}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = {"MODELPLANE_DATASOURCE_DATABASE_URL": f"sqlite:///{folder}/store.db"}
        with servers.running_backend("backend", folder, env, "/healthz") as (port, process):
            bursts = {str(size): burst(port, size, f"burst-{size}") for size in BURSTS}
            stored = sum(answers.get("200", 0) for answers in bursts.values())
            ours, theirs = [], []
            for number in range(options.rounds):
                before = servers.cpu_seconds(process.pid)
                ours.append(deliver(port, options.clients, f"round-{number}", options.seconds))
                cpu = servers.cpu_seconds(process.pid) - before
                ours[-1]["cpu_ms_per_delivery"] = round(1000 * cpu / ours[-1]["stored"], 2)
                theirs.append(plain(folder, options.clients, f"round-{number}", options.seconds))
                print(ours[-1], theirs[-1], file=sys.stderr)
        with closing(sqlite3.connect(folder / "store.db")) as connection:
            (rows,) = connection.execute("SELECT count(*) FROM payloads").fetchone()
            (episodes,) = connection.execute("SELECT count(*) FROM episodes").fetchone()
    acknowledged = stored + sum(int(measured["stored"]) for measured in ours)
    backend = median_of(ours)
    report = {
        "method": " ".join((__doc__ or "").split("\n\n")[1].split()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "sqlite": sqlite3.sqlite_version,
        "clients": options.clients,
        "limits": LIMITS,
        "backend": backend,
        "plain_per_second": median_of(theirs),
        "bursts": bursts,
        "acknowledged": acknowledged,
        "in_the_database": {"bodies": rows, "episodes": episodes},
        "within_limits": {
            "deliveries_per_second": backend["per_second"] >= LIMITS["deliveries_per_second"],
            "nothing_lost": rows == episodes == acknowledged,
            "nothing_refused": all(set(answers) == {"200"} for answers in bursts.values()),
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
