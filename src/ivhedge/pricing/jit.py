"""Compile numeric functions at their first call, and only where a compiler is present.

`njit` leaves numba unloaded until a decorated function is called for the first time, so importing a module
full of kernels costs nothing. A decorated function may call other decorated functions of its own or another
module; all of them are compiled together. Without numba, or with ``NUMBA_DISABLE_JIT=1``, a decorated
function is the plain Python function, and callers pick their numpy twin by asking `jit_available`.
"""

import importlib.util
import os
from collections.abc import Callable
from functools import cache, update_wrapper
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, cast

__all__ = ["INNER", "IN_BOOLS", "IN_FLOATS", "Intrinsic", "jit_available", "njit", "prefer_full_vectors"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])

IN_FLOATS = "Array(float64, 1, 'C', True)"
"""Type of a float input in a signature: contiguous, and read-only so that any array of the caller fits."""
IN_BOOLS = "Array(boolean, 1, 'C', True)"
INNER: dict[str, Any] = {"no_cpython_wrapper": True}
"""Options of a kernel that only kernels call: without an entry from Python it compiles faster."""


def jit_available() -> bool:
    """Tell whether decorated functions are compiled; does not load numba.

    Notes
    -----
    The environment is read at each call, so ``NUMBA_DISABLE_JIT=1`` has to be set before the first kernel
    runs and then holds for the process.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return False
    return _numba_is_installed()


@cache
def _numba_is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


class _LazyKernel(Generic[P, R]):
    """A function that becomes a numba dispatcher when it is first called."""

    def __init__(self, function: Callable[P, R], signature: str | None, options: dict[str, Any]) -> None:
        self.py_func = function
        self._signature: Any = signature
        self._options = options
        self._compiled: Callable[P, R] | None = None
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        compiled = self._compiled
        return (self.dispatcher() if compiled is None else compiled)(*args, **kwargs)

    def dispatcher(self) -> Callable[P, R]:
        """Return the numba dispatcher, or the plain function where nothing is compiled."""
        if self._compiled is None:
            self._compiled = self.compile() if jit_available() else self.py_func
        return self._compiled

    def compile(self, *, cache: bool = True) -> Callable[P, R]:
        """Make a new numba dispatcher; one without cache can show its assembly."""
        import numba

        function = _with_compiled_globals(self.py_func)
        try:
            compiled = numba.njit(self._signature, cache=cache, **self._options)(function)
        except RuntimeError:
            # No writable place for the cache (read-only installation, no home directory).
            compiled = numba.njit(self._signature, **self._options)(function)
        return cast("Callable[P, R]", compiled)


class Intrinsic(Generic[P, R]):
    """An instruction inside a kernel that numba lacks: plain Python until it is compiled."""

    def __init__(self, plain: Callable[P, R], build: Callable[[], Callable[..., object]]) -> None:
        self.plain = plain
        self._build = cache(build)
        update_wrapper(self, plain)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function."""
        return self.plain(*args, **kwargs)

    def dispatcher(self) -> Callable[..., object]:
        """Return the numba intrinsic, or the plain function where nothing is compiled."""
        return self._build() if jit_available() else self.plain


def _full_vectors_intrinsic() -> Callable[..., object]:
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def request(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            # llvmlite checks attribute names against a list of its own that lacks this one of LLVM's.
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
            return context.get_dummy_value()

        return types.void(), generate

    return cast("Callable[..., object]", request)


def _no_request() -> None:
    return None


prefer_full_vectors = Intrinsic(_no_request, _full_vectors_intrinsic)
"""Call it first in a kernel: use the widest vectors of the machine (512 bit) even where half is the default.

LLVM keeps to 256 bit on several AVX-512 processors; for long straight-line kernels the full width is faster.
Elsewhere the request has no effect.
"""


def _with_compiled_globals(function: Callable[..., object]) -> FunctionType:
    # numba resolves names through the function's globals, where it must meet dispatchers, not our wrapper.
    plain = cast("FunctionType", function)
    names = {
        name: value.dispatcher() if isinstance(value, _LazyKernel | Intrinsic) else value
        for name, value in plain.__globals__.items()
        if not isinstance(value, _LazyKernel) or name in plain.__code__.co_names
    }
    copy = FunctionType(plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__)
    copy.__qualname__ = plain.__qualname__
    copy.__kwdefaults__ = plain.__kwdefaults__
    return copy


def njit(signature: str | None = None, **options: Any) -> Callable[[F], F]:
    """Decorate a function to be compiled by numba at its first call.

    Parameters
    ----------
    signature : str, optional
        In numba's notation, with `IN_FLOATS` for inputs; then nothing else is ever compiled. Without it each
        combination of argument types is compiled when it is first seen.
    **options
        Passed to ``numba.njit``; ``error_model="numpy"`` unless given otherwise, and always ``cache=True``
        where a cache directory can be written. `INNER` for kernels that only kernels call.

    Returns
    -------
    callable
        A decorator that keeps the function's type.

    Notes
    -----
    numba's cache follows changes of the file that holds the function, not of files it calls into: after
    changing a shared kernel during development, remove ``__pycache__``.
    """
    # A wrapper for callers in C is of no use here and takes time to compile.
    chosen = {"error_model": "numpy", "no_cfunc_wrapper": True, **options}

    def decorate(function: F) -> F:
        return cast("F", _LazyKernel(function, signature, chosen))

    return decorate
