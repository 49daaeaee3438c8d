"""How many threads the numeric kernels may use."""

import operator
import os

from ivhedge.core.errors import ConfigError

__all__ = ["set_threads", "threads"]

_VARIABLE = "IVHEDGE_THREADS"
_chosen: int | None = None


def threads() -> int:
    """Return the number of threads that large arrays are spread over.

    Returns
    -------
    int
        The number given to `set_threads`; without one the environment variable ``IVHEDGE_THREADS``; without
        that the number of processors this process may run on.

    Raises
    ------
    ConfigError
        If ``IVHEDGE_THREADS`` is not a positive whole number.

    Notes
    -----
    Results do not depend on it, to the last bit. Arrays below 65,536 items never leave the caller's thread.
    """
    if _chosen is not None:
        return _chosen
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        return _processors()
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ConfigError(
            f"expected {_VARIABLE} as a whole number of at least 1, found {text!r}; "
            "correct or unset the environment variable"
        )
    return int(text)


def set_threads(count: int | None) -> None:
    """Choose the number of threads for this process.

    Parameters
    ----------
    count : int or None
        At least 1; 1 keeps all work in the caller's thread. None returns to the default of `threads`.

    Raises
    ------
    ConfigError
        If `count` is neither None nor a whole number of at least 1.

    Examples
    --------
    >>> set_threads(1)
    >>> threads()
    1
    >>> set_threads(None)
    """
    global _chosen
    if count is None:
        _chosen = None
        return
    try:
        number = operator.index(count)
    except TypeError:
        number = 0
    if isinstance(count, bool) or number < 1:
        raise ConfigError(f"expected a number of threads of at least 1, or None, found {count!r}")
    _chosen = number


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
