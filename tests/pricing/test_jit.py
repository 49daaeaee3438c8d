import os
import subprocess
import sys

import pytest

from ivhedge.pricing import jit
from ivhedge.pricing.jit import jit_available, njit

needs_numba = pytest.mark.skipif(not jit_available(), reason="numba is absent or disabled")


@njit()
def square(x: float) -> float:
    return x * x


@njit()
def fourth_power(x: float) -> float:
    return square(square(x))


def run(code: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs_numba
def test_kernels_may_call_kernels():
    assert fourth_power(3.0) == 81.0
    assert hasattr(fourth_power.dispatcher(), "signatures")
    assert fourth_power.__name__ == "fourth_power"


@needs_numba
def test_division_by_zero_follows_numpy():
    @njit()
    def inverse(x: float) -> float:
        return 1.0 / x

    assert inverse(0.0) == float("inf")


@needs_numba
def test_a_place_without_cache_still_compiles():
    # Source text without a file has no place for a cache, like a read-only installation.
    namespace: dict[str, object] = {"njit": njit}
    exec("@njit()\ndef triple(x):\n    return 3.0 * x\n", namespace)
    triple = namespace["triple"]
    assert triple(2.0) == 6.0
    assert hasattr(triple.dispatcher(), "signatures")


def test_without_a_compiler_kernels_are_plain_functions(monkeypatch):
    monkeypatch.setattr(jit, "jit_available", lambda: False)

    @njit(fastmath=True)
    def double(x: float) -> float:
        return 2.0 * x

    assert double(2.0) == 4.0
    assert double.dispatcher() is double.py_func


def test_importing_the_room_loads_neither_numba_nor_scipy():
    run(
        "import sys, ivhedge.pricing, ivhedge.pricing._greeks_numba, ivhedge.pricing._implied_vol_numba\n"
        "assert not {'numba', 'scipy', 'polars'} & set(sys.modules)"
    )


PRICE_AND_INVERT = (
    "from ivhedge.pricing import black76_price, implied_vol, black76_greeks\n"
    "vol = implied_vol(black76_price(100, 110, .5, .4, True), 100, 110, .5, True)\n"
    "assert abs(vol - .4) < 1e-14 and abs(black76_greeks(100, 100, .5, .4, True)['delta'] - .556) < 1e-2\n"
)


def test_everything_works_with_compilation_disabled():
    run("import sys\n" + PRICE_AND_INVERT + "assert 'numba' not in sys.modules", NUMBA_DISABLE_JIT="1")


def test_everything_works_without_numba():
    run("import sys\nsys.modules['numba'] = None\n" + PRICE_AND_INVERT)
