"""Spread work on large arrays over threads.

The caller's thread works as well and takes whatever the helpers have not begun. So a call ends even if no
helper ever starts, and many callers may share one pool without waiting for each other's queue.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ivhedge.pricing.threads import threads

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["CHUNK", "THRESHOLD", "in_chunks"]

CHUNK = 4096
"""Slices begin at multiples of it, so that every item keeps its place in a vector and in a kernel's block."""
THRESHOLD = 65_536
"""Fewer items stay in the caller's thread."""

# Several slices per thread: a helper that starts late or is held up leaves its share to the others.
_SLICES_PER_THREAD = 4


class _Shared:
    """The pool of the process and what guards it; made anew in a forked child, which inherits no threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.local = threading.local()
        self.pool: ThreadPoolExecutor | None = None
        self.helpers = 0


_shared = _Shared()


def _forget() -> None:
    global _shared
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def in_chunks(size: int, work: Callable[[slice], object]) -> None:
    """Run `work` over contiguous slices that together cover ``range(size)`` once.

    Parameters
    ----------
    size : int
    work : callable
        Gets a slice, reads and writes that part only, and releases the interpreter lock to gain anything.

    Raises
    ------
    ConfigError
        If ``IVHEDGE_THREADS`` is invalid; noticed for large arrays only.
    Exception
        What `work` raises. Slices not yet begun are then left out.

    Notes
    -----
    A call from within `work` runs inline.
    """
    if size < THRESHOLD or getattr(_shared.local, "working", False):
        work(slice(0, size))
        return
    count = threads()
    if count == 1:
        work(slice(0, size))
        return
    parts = _slices(size, count)
    team = _Team(parts, work)
    _start_helpers(min(count, len(parts)) - 1, team)
    team.take_part()
    # Also after an exception: nobody may still write when the caller goes on.
    team.close()
    if team.failure is not None:
        raise team.failure


def _slices(size: int, count: int) -> deque[slice]:
    blocks = -(-size // CHUNK)
    step = CHUNK * -(-blocks // (count * _SLICES_PER_THREAD))
    return deque(slice(start, min(start + step, size)) for start in range(0, size, step))


class _Team:
    """The threads at work on one call."""

    def __init__(self, parts: deque[slice], work: Callable[[slice], object]) -> None:
        self.parts = parts
        self.work = work
        self.failure: BaseException | None = None
        self._active = 0
        self._closed = False
        self._changed = threading.Condition()

    def take_part(self) -> None:
        """Work off slices until none is left; run by the caller and by each helper."""
        with self._changed:
            if self._closed:  # a helper that comes too late
                return
            self._active += 1
        local = _shared.local
        local.working = True
        try:
            while self.parts:
                try:
                    part = self.parts.popleft()
                except IndexError:  # another thread took the last one
                    break
                self.work(part)
        except BaseException as exc:
            self.parts.clear()
            self.failure = self.failure or exc
        finally:
            local.working = False
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Admit no more helpers and wait for those at work."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._active == 0)


def _start_helpers(count: int, team: _Team) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with _shared.lock:
        if _shared.pool is None or _shared.helpers < count:
            if _shared.pool is not None:
                _shared.pool.shutdown(wait=False)  # what it was given it still does
            _shared.pool = ThreadPoolExecutor(count, thread_name_prefix="ivhedge-pricing")
            _shared.helpers = count
        # The interpreter may be shutting down or no thread be had: the caller then does it all.
        with suppress(RuntimeError):
            for _ in range(count):
                _shared.pool.submit(team.take_part)
