"""Where tasks are done: in this process, on a pool of processes, or on a Dask cluster.

Every back end runs the same function on the same tasks, each in a process whose numeric libraries use one
thread, so the records are the same bits everywhere (on one kind of machine).
"""

import importlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ivhedge.core.errors import ConfigError
from ivhedge.engine.sweep.plan import Task
from ivhedge.engine.sweep.work import Record, perform

__all__ = ["Backend", "DaskCluster", "ProcessPool", "Serial"]

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


class Backend(Protocol):
    """Does tasks and hands out their records as they finish, in any order."""

    @property
    def n_workers(self) -> int:
        """How many tasks are done at a time."""

    def records(self, tasks: Sequence[Task]) -> Iterator[list[Record]]:
        """Records of each task."""


@dataclass(frozen=True, slots=True)
class Serial:
    """One task after the other in this process."""

    n_workers: int = 1

    def records(self, tasks: Sequence[Task]) -> Iterator[list[Record]]:
        """Records of each task."""
        return (perform(task) for task in tasks)


@dataclass(frozen=True, slots=True)
class ProcessPool:
    """Processes of this machine, started anew (never forked: threads do not survive a fork).

    Parameters
    ----------
    n_workers : int
    """

    n_workers: int

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise ConfigError(f"expected one worker or more, found {self.n_workers}")

    def records(self, tasks: Sequence[Task]) -> Iterator[list[Record]]:
        """Records of each task.

        Raises
        ------
        ConfigError
            If a worker dies, mostly for want of memory.
        """
        context = multiprocessing.get_context("spawn")
        before = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(self.n_workers, mp_context=context, initializer=_ignore_interrupts)
        own: set[multiprocessing.process.BaseProcess] = set()
        finished = False
        try:
            with _single_threaded():
                futures = [pool.submit(perform, task) for task in tasks]
            own = set(multiprocessing.active_children()) - before
            for future in as_completed(futures):
                yield future.result()
            finished = True
        except BrokenProcessPool as exc:
            raise ConfigError(
                "a worker process died, probably for want of memory; finished runs are kept: give fewer "
                "--workers and --resume"
            ) from exc
        finally:
            if not finished:
                for process in own:
                    process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    # The parent alone answers to Ctrl-C, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes started inside use one thread: more would fight over the cores that other workers use."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True, slots=True)
class DaskCluster:
    """Workers of a Dask cluster; they need this package and, for recorded periods, the same paths.

    Parameters
    ----------
    address : str
        Of the scheduler, for instance ``tcp://10.0.0.5:8786``.
    """

    address: str

    def __post_init__(self) -> None:
        if not self.address.startswith(_SCHEMES):
            raise ConfigError(
                f"expected the address of a Dask scheduler, tcp://host:port or tls://host:port, found "
                f"{self.address!r}"
            )

    @property
    def n_workers(self) -> int:
        """Threads of the cluster's workers."""
        with self._client() as client:
            return max(1, sum(int(count) for count in client.nthreads().values()))

    def records(self, tasks: Sequence[Task]) -> Iterator[list[Record]]:
        """Records of each task."""
        with self._client() as client:
            futures = client.map(perform, list(tasks), pure=False)
            done = _distributed().as_completed(futures, loop=client.loop, with_results=True)
            try:
                for _, records in done:
                    yield records
            finally:
                client.cancel(futures)

    def _client(self) -> Any:
        module = _distributed()
        try:
            return module.Client(self.address, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as exc:
            raise ConfigError(
                f"expected a Dask scheduler at {self.address}, found none ({exc or type(exc).__name__}); "
                "start one with `dask scheduler` and `dask worker`"
            ) from exc


_SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://", "inproc://")


def _distributed() -> Any:
    # An extra: loaded by name, so that the package is checked alike with and without it.
    try:
        return importlib.import_module("distributed")
    except ImportError as exc:
        raise ConfigError(
            "--cluster needs Dask, which is not installed: pip install 'ivhedge[scale]'"
        ) from exc
