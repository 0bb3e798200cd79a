"""Fair share of a device: the charges of all calls, those in flight included, close to its busy time."""

from __future__ import annotations

import gc
import random
import signal
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_exporter.layout.calls import ACTIVE, DEVICE_SECONDS, ITEMS, LATENCY, REQUESTS, Key
from modelplane_exporter.measurement.device_meter import WAIT_AT, DeviceMeter
from modelplane_exporter.measurement.identity_state import (
    ENDED,
    PAUSED,
    RESUMED,
    VALUE,
    BatchState,
    CallRecord,
    IdentityState,
    turn,
)
from modelplane_schema.identity import Identity


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def new_state(name: str = "t") -> IdentityState:
    return IdentityState(Key(Identity("m", "v", name, "jax"), "gpu-0", "h200"))


def begin(meter: DeviceMeter, whose: IdentityState) -> CallRecord:
    call: CallRecord = [meter.clock(), whose, None, None, None, None]
    meter.events.append(call)
    return call


def finish(meter: DeviceMeter, call: CallRecord, value: object = 0.5) -> None:
    call[ENDED], call[VALUE] = meter.clock(), value
    meter.events.append(call)


def charged(meter: DeviceMeter, everyone: list[IdentityState]) -> list[float]:
    meter.drain(wait=True)
    virtual = meter.virtual_now()
    return [state.device_seconds + state.active * virtual for state in everyone]


# Steps of a schedule: time passes, then a call of somebody starts or the n-th call in flight ends.
steps = st.lists(
    st.tuples(st.floats(0, 100, allow_nan=False), st.integers(0, 3), st.booleans(), st.integers(0, 1000)),
    max_size=60,
)


@pytest.mark.slow
@given(steps, st.integers(1, 20))
def test_charges_close_to_busy_time(schedule: list[tuple[float, int, bool, int]], every: int) -> None:
    clock = Clock()
    meter = DeviceMeter(clock)
    tenants = [new_state(str(number)) for number in range(4)]
    in_flight: list[CallRecord] = []
    busy = 0.0
    for position, (pause, who, starts, which) in enumerate(schedule):
        clock.now += pause
        busy += pause if in_flight else 0.0
        if starts or not in_flight:
            in_flight.append(begin(meter, tenants[who]))
        else:
            finish(meter, in_flight.pop(which % len(in_flight)))
        if position % every == 0:
            assert sum(charged(meter, tenants)) == pytest.approx(busy, abs=1e-9, rel=1e-12)
    assert sum(charged(meter, tenants)) == pytest.approx(busy, abs=1e-9, rel=1e-12)
    assert sum(state.active for state in tenants) == len(in_flight)


@pytest.mark.slow
@given(steps, st.integers(1, 20), st.data())
def test_charges_close_to_the_time_in_which_a_call_is_not_paused(
    schedule: list[tuple[float, int, bool, int]], every: int, data: st.DataObject
) -> None:
    clock = Clock()
    meter = DeviceMeter(clock)
    tenants = [new_state(str(number)) for number in range(4)]
    in_flight: list[CallRecord] = []
    paused: list[CallRecord] = []
    busy = 0.0
    for position, (pause, who, starts, which) in enumerate(schedule):
        clock.now += pause
        busy += pause if in_flight else 0.0
        step = data.draw(st.sampled_from(["start or end", "pause", "resume", "again"]))
        if step == "pause" and in_flight:
            paused.append(in_flight.pop(which % len(in_flight)))
            meter.events.append(turn(PAUSED, clock.now, paused[-1]))
        elif step == "resume" and paused:
            in_flight.append(paused.pop(which % len(paused)))
            meter.events.append(turn(RESUMED, clock.now, in_flight[-1]))
        elif step == "again" and in_flight:  # what is said twice changes nothing
            meter.events.append(turn(RESUMED, clock.now, in_flight[which % len(in_flight)]))
            meter.events.extend(turn(PAUSED, clock.now, call) for call in paused)
        elif starts or not in_flight:
            in_flight.append(begin(meter, tenants[who]))
        else:
            finish(meter, in_flight.pop(which % len(in_flight)))
        if position % every == 0:
            assert sum(charged(meter, tenants)) == pytest.approx(busy, abs=1e-9, rel=1e-12)
    assert sum(charged(meter, tenants)) == pytest.approx(busy, abs=1e-9, rel=1e-12)
    assert sum(state.active for state in tenants) == len(in_flight)
    shown = [state.snapshot(meter.virtual_now()).cells[ACTIVE.start] for state in tenants]
    assert sum(shown) == len(in_flight) + len(paused)


def test_two_calls_share_equally_while_both_run() -> None:
    clock, first, second = Clock(), new_state("a"), new_state("b")
    meter = DeviceMeter(clock)
    long_call = begin(meter, first)
    clock.now = 2
    short_call = begin(meter, second)
    clock.now = 6
    finish(meter, short_call)
    clock.now = 10
    assert charged(meter, [first, second]) == pytest.approx([2 + 2 + 4, 2])
    finish(meter, long_call)
    assert charged(meter, [first, second]) == pytest.approx([8, 2])


def test_a_stream_of_an_hour_shows_up_while_it_runs() -> None:
    clock, stream = Clock(), new_state()
    meter = DeviceMeter(clock)
    begin(meter, stream)
    seen = []
    for minute in range(60):
        clock.now = 60.0 * minute
        meter.drain(wait=True)
        seen.append(stream.snapshot(meter.virtual_now()).cells[DEVICE_SECONDS.start] / 1e9)
    assert seen == pytest.approx([60.0 * minute for minute in range(60)])


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=30))
def test_exposed_device_seconds_never_step_back(pauses: list[float]) -> None:
    clock, state = Clock(), new_state()
    meter = DeviceMeter(clock)
    calls: list[CallRecord] = []
    last = 0
    for position, pause in enumerate(pauses):
        clock.now += pause
        if position % 3 == 2:
            finish(meter, calls.pop(0))
        else:
            calls.append(begin(meter, state))
        meter.drain(wait=True)
        shown = state.snapshot(meter.virtual_now()).cells[36]
        assert shown >= last
        last = shown


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50), min_size=1))
def test_a_batch_is_split_by_items_when_it_ends(items: dict[str, int]) -> None:
    clock = Clock()
    meter = DeviceMeter(clock)
    parts = [(new_state(name), count) for name, count in items.items()]
    ended: list[BatchState] = []
    batch = BatchState(new_state("__all__").key, parts, ended.append)
    call = begin(meter, batch)
    clock.now = 10
    finish(meter, call)
    total = sum(items.values())
    got = charged(meter, [part for part, _ in parts])
    assert got == pytest.approx([10 * count / total for count in items.values()])
    assert sum(got) == pytest.approx(10, abs=1e-9)
    assert ended == [batch]
    for part, count in parts:
        cells = part.snapshot(0).cells
        assert (cells[REQUESTS.start], cells[ITEMS.start], cells[ACTIVE.start]) == (1, count, 0)
        assert sum(cells[LATENCY.start : LATENCY.sum_cell]) == 1


def test_threads_lose_nothing_and_close_with_concurrent_drains() -> None:
    meter = DeviceMeter(drain_at=64)
    tenants = [new_state(str(number)) for number in range(3)]
    done = threading.Event()

    def work(seed: int) -> None:
        random_numbers = random.Random(seed)
        for _ in range(2000):
            call = begin(meter, random_numbers.choice(tenants))
            finish(meter, call)
            if len(meter.events) > meter.drain_at:
                meter.drain()

    def scrape() -> None:
        while not done.is_set():
            meter.drain(wait=True)

    started = meter.clock()
    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    scraper = threading.Thread(target=scrape)
    for thread in [*workers, scraper]:
        thread.start()
    longest = 0
    while any(thread.is_alive() for thread in workers):
        longest = max(longest, len(meter.events))
    done.set()
    for thread in [*workers, scraper]:
        thread.join()
    ended = meter.clock()
    total = charged(meter, tenants)
    counts = [state.snapshot(0).cells for state in tenants]
    assert sum(cells[REQUESTS.start] for cells in counts) == 16_000
    assert sum(sum(cells[LATENCY.start : LATENCY.sum_cell]) for cells in counts) == 16_000
    assert 0 < sum(total) <= ended - started
    assert longest <= WAIT_AT + 8 * 2
    assert all(state.active == 0 for state in tenants)


class Interrupted(BaseException):
    pass


def test_a_signal_that_raises_in_the_middle_of_drains_loses_and_doubles_nothing() -> None:
    meter, state = DeviceMeter(), new_state()
    interruptions, draining = 0, False

    def handler(number: int, frame: object) -> None:
        if draining:
            raise Interrupted

    previous = signal.signal(signal.SIGALRM, handler)
    gc.disable()  # other people's collector callbacks are not ready for a handler that raises
    try:
        for _ in range(20_000):  # most timers of a busy machine miss the drain
            for _ in range(200):
                finish(meter, begin(meter, state))
            try:
                draining = True
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + random.random() * 0.0002)
                meter.drain(wait=True)
                draining = False
            except Interrupted:
                draining = False
                interruptions += 1
            if interruptions == 100:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(0.001)
        signal.signal(signal.SIGALRM, previous)
        gc.enable()
    meter.drain(wait=True)
    cells = state.snapshot(0).cells
    assert interruptions > 10
    assert cells[REQUESTS.start] == sum(cells[LATENCY.start : LATENCY.sum_cell])
    assert cells[REQUESTS.start] % 200 == 0
    assert state.active == 0
    assert len(meter.events) == 0


def test_a_drain_entered_again_from_within_is_left_to_the_outer_one() -> None:
    meter, state = DeviceMeter(), new_state()
    entered: list[int] = []

    class Curious(BatchState):
        def settle(self, now: float) -> None:
            finish(meter, begin(meter, state))
            meter.drain(wait=True)
            entered.append(len(meter.events))
            super().settle(now)

    batch = Curious(state.key, [(state, 1)], lambda batch: None)
    finish(meter, begin(meter, batch))
    meter.drain(wait=True)
    assert entered == [2]
    meter.drain(wait=True)
    assert state.snapshot(0).cells[REQUESTS.start] == 2


def test_calls_of_the_parent_end_uncounted_in_a_forked_child() -> None:
    clock, state = Clock(), new_state()
    meter = DeviceMeter(clock)
    drained, queued, paused = begin(meter, state), begin(meter, state), begin(meter, state)
    meter.events.append(turn(PAUSED, clock.now, paused))
    meter.drain(wait=True)
    late = begin(meter, state)
    clock.now = 5
    meter.after_fork()
    state.reset()
    clock.now = 7
    meter.events.extend(turn(which, clock.now, paused) for which in (RESUMED, PAUSED, RESUMED))
    for call in (drained, queued, late, paused):
        finish(meter, call)
    finish(meter, begin(meter, state))
    meter.drain(wait=True)
    cells = state.snapshot(meter.virtual_now()).cells
    assert cells[REQUESTS.start] == 1
    assert state.active == state.paused == 0
    assert charged(meter, [state]) == [0]
