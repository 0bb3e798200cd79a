"""The alert store behaves the same in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, Episode, Observation, reduce_all
from modelplane_datasource.alerts.incidents import Acknowledgement, Comment, IncidentRules
from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.silences import Expiry, Silence
from modelplane_datasource.alerts.store import AlertFilter, AlertStore, IncidentFilter, StoreError
from modelplane_datasource.alerts.tables import SCHEMA
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.promql import Matcher
from postgresql_server import PostgreSQL, program

EVERYTHING = AlertFilter(limit=100_000)
HOUR = 3_600_000
RECEIVED_AT = 1_698_500_000_000  # later than all that the notifications say
RULES = IncidentRules(flap_episodes=2, flap_window=HOUR)


@pytest.fixture
def open_store(database_url: str) -> Iterator[Callable[..., AlertStore]]:
    stores = []

    def make(**options: Any) -> AlertStore:
        stores.append(AlertStore(database_url, 3, **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., AlertStore]) -> AlertStore:
    return open_store()


def payload(*alerts: tuple[str, int, int | None]) -> bytes:
    """A notification of (fingerprint, start, end) in minutes of a day."""
    listed = [
        {
            "status": "firing" if end is None else "resolved",
            "labels": {"alertname": name, "tenant_id": "user-A", "model_name": "m"},
            "startsAt": f"2023-10-27T{start // 60:02d}:{start % 60:02d}:00Z",
            "endsAt": None if end is None else f"2023-10-27T{end // 60:02d}:{end % 60:02d}:00Z",
            "fingerprint": name,
        }
        for name, start, end in alerts
    ]
    return orjson.dumps({"version": "4", "alerts": listed})


def deliver(store: AlertStore, bodies: Sequence[bytes], source: str = DEFAULT_SOURCE) -> list[Episode]:
    for body in bodies:
        store.record(body, parse_payload(body, source), RECEIVED_AT, source)
    return [replace(episode, source="") for episode in store.alerts(EVERYTHING) if episode.source == source]


def bodies_of(draw: random.Random) -> list[bytes]:
    alerts: list[tuple[str, int, int | None]] = []
    for name in ("é", "B", "a", "_"):
        for start in draw.sample(range(0, 1200, 7), 5):
            alerts.append((name, start, None))
            alerts.extend([(name, start, start + draw.randrange(200))] * draw.randrange(2))
    draw.shuffle(alerts)
    return [payload(*alerts[index : index + 5]) for index in range(0, len(alerts), 5)]


def test_orders_with_duplicates_give_the_table_of_the_fold(store: AlertStore) -> None:
    draw = random.Random(1)
    bodies = bodies_of(draw)
    folded = reduce_all(seen for body in bodies for seen in parse_payload(body, ""))
    expected = sorted(folded, key=lambda episode: (-episode.starts_at, episode.fingerprint))
    for number in range(10):
        order = [*bodies, *draw.choices(bodies, k=3)]
        draw.shuffle(order)
        episodes = deliver(store, order, f"source{number}")
        assert sorted(episodes, key=lambda episode: (-episode.starts_at, episode.fingerprint)) == expected


def test_writers_of_two_processes_miss_nothing_of_each_other(open_store: Callable[..., AlertStore]) -> None:
    stores = [open_store(), open_store()]
    bodies = [payload(("f", minute, None), ("f", minute, minute + 9)) for minute in range(0, 240, 8)]

    def write(position: int) -> None:
        body = bodies[position]
        stores[position % 2].record(body, parse_payload(body), 0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(len(bodies))))
    (episode,) = stores[0].alerts(EVERYTHING)
    assert episode.ends_at is not None
    assert episode.ends_at - episode.starts_at == (232 + 9) * 60_000


def test_stores_that_start_at_once_migrate_once(open_store: Callable[..., AlertStore]) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(), range(4)))
    assert [store.alerts(EVERYTHING) for store in stores] == [[]] * 4


def test_the_tables_are_those_that_the_code_declares(store: AlertStore, database_url: str) -> None:
    store.check_ready()
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SCHEMA) == []


def test_incidents_and_acknowledgements(open_store: Callable[..., AlertStore]) -> None:
    store = open_store()
    deliver(store, [payload(("drift", 0, 5), ("burn", 10, 20), ("drift", 40, 41), ("drift", 300, None))])
    incidents = store.incidents(IncidentFilter(), RULES)
    assert [incident.alertnames for incident in incidents] == [("drift",), ("drift",), ("drift", "burn")]
    assert [incident.flapping for incident in incidents] == [(), ("drift",), ()]
    assert [incident.status for incident in store.incidents(IncidentFilter(statuses=("firing",)), RULES)] == [
        "firing"
    ]
    store.acknowledge(incidents[2], Acknowledgement(7, "Ada", "a\0b"))
    again = store.incident(incidents[2].id, RULES, ("user-A",))
    assert again is not None
    assert again.acknowledgements == (Acknowledgement(7, "Ada", "a\ufffdb"),)
    assert store.incident(incidents[2].id, RULES, ("user-B",)) is None


def test_silences_and_comments(store: AlertStore) -> None:
    tenant, hostile = "a\0'\"%s\u2028" + "x" * 9000, "\0\U0001f525"
    matchers = (Matcher("tenant_id", tenant), Matcher("x", hostile, "!~"))
    silence = Silence("3f1c6f1e-5a0b-4c55-9a3c-0d2b1f6f7a10", matchers, 5, HOUR, hostile, hostile)
    of_all = Silence("s2", (Matcher("x", "y"),), 6, HOUR, "Ada", "why")
    for _ in range(2):
        store.put_silences([silence, of_all])
    text = "\ufffd\U0001f525"
    stored = replace(silence, by=text, comment=text)
    assert store.silences((tenant,)) == [(stored, None)]
    assert store.silences(("a\ufffd" + tenant[2:],)) == []  # a column holds both alike
    assert store.silences() == [(of_all, None), (stored, None)]
    store.expire_silence(replace(silence, ends_at=9), Expiry(9, hostile, hostile))
    store.put_silences([silence, of_all])  # read before it was ended
    assert store.silence_expiry(silence.id) == Expiry(9, text, text)
    deliver(store, [payload(("drift", 0, 5))])
    (incident,) = store.incidents(IncidentFilter(), RULES)
    store.comment(incident, Comment(7, hostile, hostile))
    assert store.comments(incident) == [Comment(7, text, text)]
    store.prune(8)
    assert store.comments(incident) == []
    assert len(store.silences()) == 2
    store.prune(HOUR + 1)
    assert store.silences() == []


def test_hostile_texts(store: AlertStore) -> None:
    tenant = "a\0'\"%s:x\u2028\U0001f525" + "x" * 9000
    alert = {
        "status": "firing", "labels": {"alertname": "\0", "tenant_id": tenant, "model_name": "y" * 9000},
        "annotations": {"summary": "\0"}, "startsAt": "0001-01-01T00:00:00Z", "fingerprint": "f\0",
        "generatorURL": "\0",
    }  # fmt: skip
    body = orjson.dumps({"version": "4", "alerts": [alert]})
    store.record(body, parse_payload(body, received_at=RECEIVED_AT), RECEIVED_AT)
    store.record_raw(b"\xff\0", 0)
    (episode,) = store.alerts(AlertFilter(tenant_ids=(tenant,), alertnames=("\0",)), (tenant,))
    assert orjson.loads(episode.labels)["tenant_id"] == tenant
    (incident,) = store.incidents(IncidentFilter(), RULES)
    assert store.incident(incident.id, RULES) == incident
    assert store.replay(lambda done, total: None).raw == 1
    assert store.alerts(EVERYTHING) == [episode]


def test_many_deliveries_at_once(store: AlertStore) -> None:
    """Each comes twice, and all of them have an alert in common."""
    bodies = [payload((f"f{number}", 1, None), ("shared", number % 7, None)) for number in range(150)]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda body: store.record(body, parse_payload(body), RECEIVED_AT), bodies * 2))
    episodes = store.alerts(EVERYTHING)
    assert len(episodes) == 150 + 1
    assert store.replay(lambda done, total: None).payloads == 150
    assert store.alerts(EVERYTHING) == episodes
    with store._database.reading() as connection:
        assert set(connection.exec_driver_sql("SELECT count FROM payloads").scalars()) == {2}


def test_readiness_is_a_write(store: AlertStore) -> None:
    store.check_ready()
    with store._database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE heartbeat")
    with pytest.raises(StoreError, match="heartbeat"):
        store.check_ready()


def test_replay_prune_and_reconciliation(store: AlertStore) -> None:
    before = deliver(store, bodies_of(random.Random(2)))
    store.record_poll([Observation("", "user-A", "p", "active", 5, 6, '{"alertname":"p"}')], 7, "")
    assert store.newest("", []).keys() == {("", "user-A", "p")}
    assert store.replay(lambda done, total: None).episodes == len(before) + 1
    assert [replace(episode, source="") for episode in store.alerts(EVERYTHING) if episode.source] == before
    open_episodes = [episode for episode in store.alerts(EVERYTHING) if episode.ends_at is None]
    assert store.prune(2**60) > 0
    assert store.alerts(EVERYTHING) == open_episodes


def test_only_the_newest_raw_bodies_are_kept(store: AlertStore) -> None:
    for moment in range(5):
        store.record_raw(b"%d" % moment, moment)
    assert store.replay(lambda done, total: None).payloads == 3


def test_a_lock_that_is_held_too_long_refuses_writers_only(
    database_url: str, store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the writers' lock: reading goes on, and writing fails in the end."""
    monkeypatch.setattr("modelplane_datasource.alerts.database._PATIENCE_SECONDS", 1)
    monkeypatch.setattr(
        "modelplane_datasource.alerts.database._POSTGRESQL_WRITER",
        ("SET LOCAL lock_timeout TO '1s'", f"SELECT pg_advisory_xact_lock({0x6D6F64656C706C})"),
    )
    other = AlertStore(database_url, 3)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store._database.writing():
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(PATIENCE_SECONDS)
        with pytest.raises(StoreError, match="cannot be written"):
            deliver(other, [payload(("f", 1, None))])
        assert other.alerts(EVERYTHING) == []
    finally:
        done.set()
        holder.join()
        other.close()


def test_a_dump_of_postgresql_is_a_store_of_its_own(postgresql: PostgreSQL) -> None:
    old, new = postgresql.new_database(), postgresql.new_database()
    with closing(AlertStore(old, 3)) as store:
        expected = deliver(store, [payload(("f", 1, 2), ("g", 3, None))])
        with pytest.raises(StoreError, match="pg_dump"):
            store.back_up("anywhere")
    dump, psql = program("pg_dump"), program("psql")
    text = postgresql.run([dump, old.replace("+psycopg", "")])
    (postgresql.folder / "dump.sql").write_bytes(text)
    postgresql.run([psql, "-q", "-v", "ON_ERROR_STOP=1", "-f", "dump.sql", new.replace("+psycopg", "")])
    with closing(AlertStore(new, 3)) as restored:
        assert [replace(episode, source="") for episode in restored.alerts(EVERYTHING)] == expected
        deliver(restored, [payload(("h", 5, None))])
        assert len(restored.alerts(EVERYTHING)) == 3


def test_commits_of_postgresql_wait_for_the_disk(postgresql: PostgreSQL) -> None:
    url = postgresql.new_database()
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER ROLE modelplane SET synchronous_commit TO off")
    with closing(AlertStore(url, 3)) as store:
        with store._database.writing() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        with store._database.reading() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "off"
