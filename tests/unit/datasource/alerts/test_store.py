from __future__ import annotations

import dataclasses
import itertools
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasource_support.alert_bodies import alert, payload
from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, Episode, Observation, reduce_all
from modelplane_datasource.alerts.payloads import parse_payload, parse_poll, poll_body
from modelplane_datasource.alerts.store import AlertFilter, AlertStore, StoreError
from modelplane_provisioning.processes import wait_until

EVERYTHING = AlertFilter(limit=1000)
RECEIVED_AT = 1_698_500_000_000  # later than all that the notifications say


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/store.db"


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[..., AlertStore]]:
    stores = []

    def make(max_raw_bodies: int = 1000) -> AlertStore:
        stores.append(AlertStore(sqlite_url(tmp_path), max_raw_bodies))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., AlertStore]) -> AlertStore:
    return make_store()


def deliver(store: AlertStore, bodies: Sequence[bytes]) -> list[Episode]:
    for position, body in enumerate(bodies):
        store.record(body, parse_payload(body), RECEIVED_AT + position)
    return store.alerts(EVERYTHING)


def test_a_firing_alert(store: AlertStore) -> None:
    assert deliver(store, [payload(alert())]) == [
        Episode(
            source="alertmanager",
            tenant_id="user-A",
            fingerprint="f1",
            starts_at=1_698_397_200_123,
            ends_at=None,
            status="firing",
            reason="",
            suppressed_by="[]",
            alertname="ModelDown",
            severity="critical",
            model_name="",
            model_version="",
            labels='{"alertname":"ModelDown","severity":"critical","tenant_id":"user-A"}',
            annotations='{"summary":"down"}',
            generator_url="http://prometheus/graph",
        )
    ]


STATES = st.one_of(
    st.builds(lambda text: {"status": "firing", "annotations": {"summary": text}}, st.sampled_from("ab")),
    st.builds(
        lambda minute, text: {
            "status": "resolved",
            "endsAt": f"2023-10-27T10:{minute:02d}:00Z",
            "annotations": {"summary": text},
        },
        st.integers(0, 3),
        st.sampled_from("ab"),
    ),
)
ALERTS = st.builds(
    lambda fingerprint, second, state, label: alert(
        fingerprint,
        **{**state, "startsAt": f"2023-10-27T09:00:0{second}Z", "labels": {"alertname": label}},
    ),
    st.sampled_from(["f1", "f2"]),
    st.integers(0, 1),
    STATES,
    st.sampled_from(["Up", "Down"]),
)
BODIES = st.lists(st.lists(ALERTS, max_size=3).map(lambda alerts: payload(*alerts)), min_size=1, max_size=6)


SOURCES = (f"source-{number}" for number in itertools.count())


def stored(store: AlertStore, source: str) -> list[Episode]:
    result = store.alerts(AlertFilter(limit=100_000))
    return [
        dataclasses.replace(episode, source=DEFAULT_SOURCE) for episode in result if episode.source == source
    ]


def by_start(episodes: Sequence[Episode]) -> list[Episode]:
    return sorted(episodes, key=lambda episode: (episode.starts_at, episode.key))


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=BODIES, data=st.data())
def test_the_table_is_the_fold_of_all_payloads(
    store: AlertStore, bodies: list[bytes], data: st.DataObject
) -> None:
    repeated = bodies + data.draw(st.lists(st.sampled_from(bodies), max_size=4), label="repeated")
    source = next(SOURCES)
    for body in data.draw(st.permutations(repeated), label="order"):
        store.record(body, parse_payload(body, source), 0, source)
    expected = reduce_all(seen for body in bodies for seen in parse_payload(body))
    assert by_start(stored(store, source)) == by_start(expected)


def storm(draw: random.Random) -> list[bytes]:
    """Notifications of 5 alerts that flap, some of which tell the end of an episode late or not at all."""
    alerts = []
    for fingerprint, episode in itertools.product("abcde", range(4)):
        start = f"2023-10-27T{9 + episode:02d}:{draw.randrange(60):02d}:00Z"
        end = f"2023-10-27T{9 + episode + draw.randrange(2):02d}:59:30Z"
        alerts.append(alert(fingerprint, startsAt=start))
        if draw.random() < 0.8:
            alerts.append(alert(fingerprint, "resolved", startsAt=start, endsAt=end))
    draw.shuffle(alerts)
    return [payload(*alerts[index : index + 6]) for index in range(0, len(alerts), 6)]


@pytest.mark.slow
def test_a_hundred_orders_with_duplicates_give_identical_tables(store: AlertStore) -> None:
    draw = random.Random(6)
    bodies = storm(draw)
    tables = []
    for _ in range(100):
        order, source = [*bodies, *draw.choices(bodies, k=2)], next(SOURCES)
        draw.shuffle(order)
        for body in order:
            store.record(body, parse_payload(body, source), 0, source)
        tables.append(stored(store, source))
    assert len(tables[0]) > 10
    assert all(table == tables[0] for table in tables)


def test_replay_gives_the_same_table_and_reads_what_was_raw(
    make_store: Callable[..., AlertStore], tmp_path: Path
) -> None:
    store = make_store()
    bodies = [*storm(random.Random(7)), payload(alert("lost"))]
    expected = by_start(deliver(store, bodies))
    poll = [Observation(DEFAULT_SOURCE, "user-A", "lost", "absent", 1_698_500_000_000, 1_698_500_000_000)]
    store.record_poll(poll, 5, DEFAULT_SOURCE)
    store.record_raw(b"no json", 6)
    late = payload(alert("late"))
    store.record_raw(late, RECEIVED_AT)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
        connection.execute("UPDATE episodes SET status = 'nonsense'")
        connection.execute("DELETE FROM observations WHERE kind = 'resolved'")
    steps: list[tuple[int, int]] = []
    done = store.replay(lambda count, total: steps.append((count, total)))
    assert steps[-1] == (done.payloads, done.payloads) == (len(bodies) + 3, len(bodies) + 3)
    assert done.raw == 1
    result = by_start(store.alerts(EVERYTHING))
    assert done.episodes == len(result)
    others = [episode for episode in expected if episode.fingerprint != "lost"]
    assert [episode for episode in result if episode.fingerprint not in ("lost", "late")] == others
    reasons = {episode.fingerprint: episode.reason for episode in result}
    assert (reasons["lost"], reasons["late"]) == ("absent", "")
    assert rows(tmp_path, "SELECT kind, count(*) FROM payloads GROUP BY 1 ORDER BY 1") == [
        ("poll", 1), ("raw", 1), ("webhook", len(bodies) + 1),
    ]  # fmt: skip


def test_sources_are_apart(store: AlertStore) -> None:
    for source in ("eu", "us"):
        store.record(payload(alert()), parse_payload(payload(alert()), source), 0, source)
    assert sorted(episode.source for episode in store.alerts(EVERYTHING)) == ["eu", "us"]


def test_a_poll_is_stored_as_it_was(store: AlertStore) -> None:
    seen = Observation("am", "t", "f", "active", 1, 2, '{"a":"b"}', "{}", "u", '["silence x"]')
    assert parse_poll(poll_body([seen])) == (seen,)
    store.record_poll([seen], 3, "am")
    (episode,) = store.alerts(EVERYTHING)
    assert (episode.status, episode.suppressed_by) == ("suppressed", '["silence x"]')


def test_prune_deletes_what_ended_before(store: AlertStore, tmp_path: Path) -> None:
    old = alert("old", "resolved", startsAt="2023-01-01T00:00:00Z", endsAt="2023-01-02T00:00:00Z")
    again = alert("old", startsAt="2023-06-01T00:00:00Z")
    long = alert("long", startsAt="2023-01-01T00:00:00Z")
    first, second = payload(old), payload(again, long)
    store.record(first, parse_payload(first), 1_672_617_600_000)
    store.record(second, parse_payload(second), 1_685_577_600_000)
    assert store.prune(1_680_000_000_000) == 3
    assert store.prune(1_680_000_000_000) == 0
    assert {(episode.fingerprint, episode.ends_at) for episode in store.alerts(EVERYTHING)} == {
        ("old", None), ("long", None),
    }  # fmt: skip
    assert rows(tmp_path, "SELECT fingerprint FROM observations ORDER BY 1") == [("long",), ("old",)]
    assert rows(tmp_path, "SELECT body FROM payloads") == [(second,)]


@pytest.mark.slow
def test_prune_takes_more_than_one_batch(store: AlertStore) -> None:
    ended = {"startsAt": "2023-01-01T00:00:00Z", "endsAt": "2023-01-02T00:00:00Z"}
    body = payload(*(alert(f"f{number}", "resolved", **ended) for number in range(2500)))
    store.record(body, parse_payload(body), 0)
    assert store.prune(2**60) == 2500 + 2500 + 1


@pytest.mark.slow
def test_a_thousand_deliveries_that_wait_for_the_lock_are_all_stored(tmp_path: Path) -> None:
    store = AlertStore(sqlite_url(tmp_path), 10)
    bodies = [payload(alert(f"f{number}")) for number in range(1000)]
    with (
        closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection,
        ThreadPoolExecutor(1000) as pool,
    ):
        connection.execute("BEGIN IMMEDIATE")
        stored = [pool.submit(store.record, body, parse_payload(body), RECEIVED_AT) for body in bodies]
        # The first is in the transaction that waits for the lock, with those that came until it began.
        assert wait_until(lambda: len(store._deliveries._waiting) > 500)
        assert store.alerts(EVERYTHING) == []
        connection.execute("COMMIT")
        for outcome in stored:
            outcome.result()
    assert len(store.alerts(AlertFilter(limit=2000))) == 1000
    store.close()


def test_a_backup_is_a_store_of_its_own(store: AlertStore, tmp_path: Path) -> None:
    expected = deliver(store, [payload(alert())])
    (tmp_path / "restored").mkdir()
    store.back_up(str(tmp_path / "restored" / "store.db"))
    copy = AlertStore(sqlite_url(tmp_path / "restored"), 10)
    assert copy.alerts(EVERYTHING) == expected
    copy.close()


def test_hostile_texts_are_stored_and_found(store: AlertStore) -> None:
    tenant = "a\0b'\"\u2028\U0001f525" + "x" * 5000
    labels = {"alertname": "\0", "tenant_id": tenant}
    deliver(store, [payload(alert("f\0", labels=labels, generatorURL="\0"))])
    (result,) = store.alerts(AlertFilter(tenant_ids=(tenant,), alertnames=("\0",)))
    assert orjson.loads(result.labels) == labels


def test_tenants_limit_what_is_read(store: AlertStore) -> None:
    deliver(store, [payload(alert("f1", labels={"tenant_id": "x"}), alert("f2", labels={"tenant_id": "y"}))])
    for tenants, expected in ((None, 2), (("x",), 1), (("x", "y", "z"), 2), ((), 0)):
        assert len(store.alerts(EVERYTHING, tenants)) == expected
    assert store.alerts(AlertFilter(tenant_ids=("y",)), ("x",)) == []


def test_the_same_body_again_only_counts(store: AlertStore, tmp_path: Path) -> None:
    body = payload(alert())
    deliver(store, [body, body, body])
    query = "SELECT received_at, last_received_at, count, length(sha256), body, kind FROM payloads"
    assert rows(tmp_path, query) == [(RECEIVED_AT, RECEIVED_AT + 2, 3, 64, body, "webhook")]


def test_only_the_newest_raw_bodies_are_kept(make_store: Callable[..., AlertStore], tmp_path: Path) -> None:
    store = make_store(max_raw_bodies=3)
    deliver(store, [payload(alert())])
    for moment, body in enumerate([b"0", b"1", b"2", b"0", b"3"]):
        store.record_raw(body, moment)
    query = "SELECT body FROM payloads WHERE kind = 'raw' ORDER BY last_received_at"
    assert rows(tmp_path, query) == [(b"2",), (b"0",), (b"3",)]
    assert rows(tmp_path, "SELECT count(*) FROM payloads WHERE kind = 'webhook'") == [(1,)]


def test_the_database_is_durable(store: AlertStore, tmp_path: Path) -> None:
    assert rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]
    with store._database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.slow
def test_eight_writers_and_a_reader(store: AlertStore) -> None:
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for number in range(25):
                body = payload(alert(f"{writer}-{number}"), alert("shared"))
                store.record(body, parse_payload(body), number)
                store.alerts(AlertFilter(limit=1))
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store.alerts(EVERYTHING)) == 8 * 25 + 1


@pytest.mark.slow
def test_ten_thousand_alerts_in_one_body(store: AlertStore) -> None:
    body = payload(*(alert(f"f{number}") for number in range(10_000)))
    store.record(body, parse_payload(body), 0)
    assert len(store.alerts(AlertFilter(limit=20_000))) == 10_000


def test_filters(store: AlertStore) -> None:
    firing = alert("f1", startsAt="2023-10-27T09:00:00Z", labels={"alertname": "A", "tenant_id": "x"})
    ended = alert("f2", "resolved", startsAt="2023-10-27T09:30:00Z", labels={"model_name": "m"})
    deliver(store, [payload(firing, ended)])

    def matching(**wanted: object) -> list[str]:
        return [record.fingerprint for record in store.alerts(AlertFilter(**wanted))]  # type: ignore[arg-type]

    nine, ten = 1_698_397_200_000, 1_698_400_800_000
    assert matching() == ["f2", "f1"]
    assert matching(limit=1) == ["f2"]
    assert matching(tenant_ids=("x", "y")) == ["f1"]
    assert matching(model_names=("m",)) == ["f2"]
    assert matching(statuses=("resolved",)) == ["f2"]
    assert matching(alertnames=("A",), statuses=("resolved",)) == []
    assert matching(start=ten) == ["f2", "f1"]
    assert matching(start=ten + 1) == ["f1"]
    assert matching(end=nine) == ["f1"]
    assert matching(end=nine - 1) == []


def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("this is not a database, but long enough to be taken for one" * 20)
    with pytest.raises(StoreError, match="not a database"):
        AlertStore(sqlite_url(tmp_path), 10)


def test_alerts_survive_a_new_store(make_store: Callable[..., AlertStore]) -> None:
    first = make_store()
    deliver(first, [payload(alert())])
    first.close()
    assert len(make_store().alerts(EVERYTHING)) == 1
