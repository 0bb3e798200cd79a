from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelplane_datasource.alert_payload import AlertRecord, PayloadError, parse_payload
from modelplane_datasource.alert_store import AlertFilter, AlertStore, StoreError

EVERYTHING = AlertFilter(limit=1000)
START = "2023-10-27T09:00:00.123456789Z"

Alert = dict[str, object]


def alert(fingerprint: str = "f1", status: str = "firing", **more: object) -> Alert:
    return {
        "status": status,
        "labels": {"alertname": "ModelDown", "tenant_id": "user-A", "severity": "critical"},
        "annotations": {"summary": "down"},
        "startsAt": START,
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2023-10-27T10:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint,
        **more,
    }


def payload(*alerts: Alert) -> bytes:
    return orjson.dumps({"version": "4", "status": "firing", "receiver": "all", "alerts": alerts})


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


def deliver(store: AlertStore, bodies: Sequence[bytes]) -> list[AlertRecord]:
    for position, body in enumerate(bodies):
        store.record(body, parse_payload(body), position)
    return store.alerts(EVERYTHING)


def test_a_firing_alert(store: AlertStore) -> None:
    assert deliver(store, [payload(alert())]) == [
        AlertRecord(
            fingerprint="f1",
            starts_at=1_698_397_200_123,
            status="firing",
            ends_at=None,
            alertname="ModelDown",
            severity="critical",
            tenant_id="user-A",
            model_name="",
            model_version="",
            labels='{"alertname":"ModelDown","severity":"critical","tenant_id":"user-A"}',
            annotations='{"summary":"down"}',
            generator_url="http://prometheus/graph",
        )
    ]


def test_a_firing_alert_has_no_end_even_when_one_is_sent() -> None:
    assert parse_payload(payload(alert(endsAt="2030-01-01T00:00:00Z")))[0].ends_at is None


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


def greatest(bodies: Sequence[bytes]) -> dict[tuple[str, int], AlertRecord]:
    """The table that the set of payloads stands for, computed apart from the store."""

    def rank(record: AlertRecord) -> tuple[object, ...]:
        resolved = record.status == "resolved"
        return resolved, record.ends_at or 0, record.annotations, record.labels, record.generator_url

    table: dict[tuple[str, int], AlertRecord] = {}
    for record in (record for body in bodies for record in parse_payload(body)):
        key = (record.fingerprint, record.starts_at)
        table[key] = max(table.get(key, record), record, key=rank)
    return table


@settings(deadline=None, max_examples=60)
@given(bodies=BODIES, data=st.data())
def test_order_and_repetition_do_not_matter(bodies: list[bytes], data: st.DataObject) -> None:
    repeated = bodies + data.draw(st.lists(st.sampled_from(bodies), max_size=4), label="repeated")
    order = data.draw(st.permutations(repeated), label="order")
    with tempfile.TemporaryDirectory() as folder:
        store = AlertStore(sqlite_url(Path(folder)), 1000)
        found = deliver(store, order)
        store.close()
        deliveries = rows(Path(folder), "SELECT sum(count), count(*) FROM deliveries")
    assert {(record.fingerprint, record.starts_at): record for record in found} == greatest(bodies)
    assert deliveries == [(len(order), len(set(bodies)))]


def test_the_same_body_again_only_counts(store: AlertStore, tmp_path: Path) -> None:
    body = payload(alert())
    deliver(store, [body, body, body])
    query = "SELECT received_at, last_received_at, count, length(sha256), body, parsed FROM deliveries"
    assert rows(tmp_path, query) == [(0, 2, 3, 64, body, 1)]


def test_only_the_newest_raw_bodies_are_kept(make_store: Callable[..., AlertStore], tmp_path: Path) -> None:
    store = make_store(max_raw_bodies=3)
    deliver(store, [payload(alert())])
    for moment, body in enumerate([b"0", b"1", b"2", b"0", b"3"]):
        store.record(body, None, moment)
    query = "SELECT body FROM deliveries WHERE NOT parsed ORDER BY last_received_at"
    assert rows(tmp_path, query) == [(b"2",), (b"0",), (b"3",)]
    assert rows(tmp_path, "SELECT count(*) FROM deliveries WHERE parsed") == [(1,)]


def test_the_database_is_durable(store: AlertStore, tmp_path: Path) -> None:
    assert rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]
    with store._writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


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


def test_ten_thousand_alerts_in_one_body(store: AlertStore) -> None:
    body = payload(*(alert(f"f{number}") for number in range(10_000)))
    store.record(body, parse_payload(body), 0)
    assert len(store.alerts(AlertFilter(limit=20_000))) == 10_000


def test_filters(store: AlertStore) -> None:
    firing = alert("f1", startsAt="2023-10-27T09:00:00Z", labels={"alertname": "A", "tenant_id": "x"})
    ended = alert("f2", "resolved", startsAt="2023-10-27T09:30:00Z", labels={"model_name": "m"})
    deliver(store, [payload(firing, ended)])

    def found(**wanted: object) -> list[str]:
        return [record.fingerprint for record in store.alerts(AlertFilter(**wanted))]  # type: ignore[arg-type]

    nine, ten = 1_698_397_200_000, 1_698_400_800_000
    assert found() == ["f2", "f1"]
    assert found(limit=1) == ["f2"]
    assert found(tenant_ids=("x", "y")) == ["f1"]
    assert found(model_names=("m",)) == ["f2"]
    assert found(statuses=("resolved",)) == ["f2"]
    assert found(alertnames=("A",), statuses=("resolved",)) == []
    assert found(start=ten) == ["f2", "f1"]
    assert found(start=ten + 1) == ["f1"]
    assert found(end=nine) == ["f1"]
    assert found(end=nine - 1) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"[]", b"null", b"{}", b'{"version":"3","alerts":[]}', b'{"version":"4"}',
        b"\xff\xfe", b'{"version":"4","alerts":[{}]}', b"[" * 5000,
        payload(alert(status="unknown")), payload(alert(fingerprint="")), payload(alert(labels={"a": 1})),
        payload(alert(startsAt="yesterday")), payload(alert(startsAt=1698397200)),
        payload(alert(), alert("f2", "resolved", endsAt=None)),
        b'{"version":"4","alerts":[{"labels":{"a":"\\ud800"}}]}',
    ],
)  # fmt: skip
def test_other_bodies_are_payload_errors(body: bytes) -> None:
    with pytest.raises(PayloadError):
        parse_payload(body)


@given(st.binary(max_size=200))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    try:
        parse_payload(body)
    except PayloadError:
        return
    assert orjson.loads(body)["version"] == "4"


def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("this is not a database, but long enough to be taken for one" * 20)
    with pytest.raises(StoreError, match="not a database"):
        AlertStore(sqlite_url(tmp_path), 10)


def test_alerts_survive_a_new_store(make_store: Callable[..., AlertStore]) -> None:
    first = make_store()
    deliver(first, [payload(alert())])
    first.close()
    assert len(make_store().alerts(EVERYTHING)) == 1
