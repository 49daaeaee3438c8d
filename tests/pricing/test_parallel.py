import itertools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from ivhedge.core.errors import ConfigError
from ivhedge.pricing import black76_greeks, black76_price, implied_vol
from ivhedge.pricing._parallel import CHUNK, THRESHOLD, in_chunks
from ivhedge.pricing.threads import set_threads, threads

LARGE = THRESHOLD + 3 * CHUNK + 17


@pytest.fixture(autouse=True)
def _default_threads(monkeypatch):
    monkeypatch.delenv("IVHEDGE_THREADS", raising=False)
    yield
    set_threads(None)


class Recorder:
    """Notes slices and threads; `together` makes that many threads wait for each other first."""

    def __init__(self, together=1):
        self.slices, self.workers, self.lock = [], set(), threading.Lock()
        self.barrier = threading.Barrier(together)

    def __call__(self, part):
        with self.lock:
            fresh = threading.get_ident() not in self.workers
            self.workers.add(threading.get_ident())
            self.slices.append((part.start, part.stop))
        if fresh:
            self.barrier.wait(30)


def covers(slices, size):
    ordered = sorted(slices)
    return (
        ordered[0][0] == 0
        and ordered[-1][1] == size
        and all(a[1] == b[0] for a, b in itertools.pairwise(ordered))
    )


@pytest.mark.parametrize("size", [0, 1, CHUNK, THRESHOLD - 1])
def test_little_work_is_one_inline_call(size):
    set_threads(8)
    record = Recorder()
    in_chunks(size, record)
    assert record.slices == [(0, size)]
    assert record.workers == {threading.get_ident()}


def test_one_thread_is_one_inline_call():
    set_threads(1)
    record = Recorder()
    in_chunks(LARGE, record)
    assert record.slices == [(0, LARGE)]


@pytest.mark.parametrize("size", [THRESHOLD, LARGE, 10 * THRESHOLD])
@pytest.mark.parametrize("count", [2, 3, 7, 64])
def test_slices_cover_everything_once_from_multiples_of_the_chunk(size, count):
    set_threads(count)
    record = Recorder()
    in_chunks(size, record)
    assert covers(record.slices, size)
    assert len(record.slices) > 1
    assert all(start % CHUNK == 0 for start, _ in record.slices)
    assert len(record.workers) <= count


def test_the_caller_and_its_helpers_work_at_the_same_time():
    set_threads(3)
    record = Recorder(together=3)  # breaks the barrier unless three threads are at work at once
    in_chunks(10 * THRESHOLD, record)
    assert len(record.workers) == 3
    assert threading.get_ident() in record.workers


@pytest.mark.parametrize("where", ["caller", "helper"])
def test_exceptions_reach_the_caller_and_stop_the_rest(where):
    set_threads(2)
    caller, both, done = threading.get_ident(), threading.Barrier(2), []

    def work(part):
        if not done:
            both.wait(30)
        done.append(part)
        if (threading.get_ident() == caller) == (where == "caller"):
            raise KeyError("first slice")

    with pytest.raises(KeyError, match="first slice"):
        in_chunks(100 * THRESHOLD, work)
    record = Recorder()
    in_chunks(LARGE, record)
    assert covers(record.slices, LARGE)


def test_nobody_writes_after_a_failed_call_has_returned():
    set_threads(2)
    caller, begun, failed = threading.get_ident(), threading.Event(), threading.Event()
    running = []

    def work(part):
        if threading.get_ident() == caller:
            begun.wait(30)
            failed.set()
            raise ValueError("caller")
        running.append(1)
        begun.set()
        failed.wait(30)
        running.pop()

    with pytest.raises(ValueError, match="caller"):
        in_chunks(LARGE, work)
    assert running == []


def test_calls_from_within_work_run_inline():
    set_threads(2)
    inner = []

    def work(part):
        record = Recorder()
        in_chunks(LARGE, record)
        inner.append((record.slices, record.workers == {threading.get_ident()}))

    in_chunks(LARGE, work)
    assert len(inner) > 1
    assert all(entry == ([(0, LARGE)], True) for entry in inner)


def test_many_callers_share_the_pool():
    set_threads(3)
    results = [np.zeros(LARGE) for _ in range(12)]

    def call(out):
        for _ in range(5):
            in_chunks(out.size, lambda part: np.add(out[part], 1.0, out=out[part]))

    callers = [threading.Thread(target=call, args=(out,)) for out in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert all((out == 5.0).all() for out in results)


def test_changing_the_number_under_load_loses_nothing():
    out = np.zeros(LARGE)
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for count in (2, 5, 3, 9):
                set_threads(count)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(40):
            in_chunks(LARGE, lambda part: np.add(out[part], 1.0, out=out[part]))
    finally:
        stop.set()
        changer.join(60)
    assert (out == 40.0).all()


def test_the_number_of_threads_and_where_it_comes_from(monkeypatch):
    available = threads()
    assert available >= 1
    if hasattr(os, "sched_getaffinity"):
        assert available == len(os.sched_getaffinity(0))
    monkeypatch.setenv("IVHEDGE_THREADS", " 5 ")
    assert threads() == 5
    set_threads(np.int64(3))
    assert threads() == 3
    set_threads(None)
    assert threads() == 5
    monkeypatch.setenv("IVHEDGE_THREADS", "")
    assert threads() == available


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_a_wrong_environment_variable_is_named(monkeypatch, text):
    monkeypatch.setenv("IVHEDGE_THREADS", text)
    with pytest.raises(ConfigError, match="IVHEDGE_THREADS"):
        threads()
    with pytest.raises(ConfigError, match="IVHEDGE_THREADS"):
        in_chunks(LARGE, Recorder())


@pytest.mark.parametrize("count", [0, -3, 1.0, "2", True, False])
def test_a_wrong_number_is_refused(count):
    with pytest.raises(ConfigError, match="number of threads"):
        set_threads(count)


def sample(n):
    rng = np.random.default_rng(11)
    forward = rng.uniform(50.0, 200.0, n)
    tau = rng.uniform(0.001, 2.0, n)
    vol = rng.uniform(0.05, 5.0, n)
    strike = forward * np.exp(rng.uniform(-8.0, 8.0, n) * vol * np.sqrt(tau))
    return forward, strike, tau, vol, rng.random(n) < 0.5


def everything(options):
    forward, strike, tau, vol, is_call = options
    price = black76_price(forward, strike, tau, vol, is_call)
    inverse, status = implied_vol(price, forward, strike, tau, is_call, return_status=True)
    return [price, inverse, status, *black76_greeks(forward, strike, tau, vol, is_call).values()]


def test_results_do_not_depend_on_the_number_of_threads():
    options = sample(LARGE)
    set_threads(1)
    alone = [a.tobytes() for a in everything(options)]
    for count in (2, 3, 8):
        set_threads(count)
        assert [a.tobytes() for a in everything(options)] == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_makes_threads_of_its_own():
    code = """
import os, threading
from ivhedge.pricing._parallel import THRESHOLD, in_chunks
from ivhedge.pricing.threads import set_threads

set_threads(2)

def two_threads_work():
    seen, both = set(), threading.Barrier(2)
    def work(part):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            both.wait(30)
    in_chunks(4 * THRESHOLD, work)
    return len(seen) == 2

assert two_threads_work()
child = os.fork()
if child == 0:
    os._exit(0 if two_threads_work() else 7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert two_threads_work()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_work_at_the_exit_of_the_interpreter_is_still_done():
    code = """
import atexit
from ivhedge.pricing._parallel import THRESHOLD, in_chunks
from ivhedge.pricing.threads import set_threads

set_threads(2)
def last():
    done = []
    in_chunks(THRESHOLD, lambda part: done.append(part.stop - part.start))
    print(sum(done) == THRESHOLD)
atexit.register(last)
in_chunks(THRESHOLD, lambda part: None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)
