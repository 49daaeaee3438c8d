"""Straight-line functions: the same numbers in plain Python, on arrays and inside a compiled kernel."""

import math
import os
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ivhedge.pricing.jit import jit_available, njit
from ivhedge.pricing.straight import (
    absolute,
    bits_of,
    exact,
    flip,
    float_of,
    fused_multiply_add,
    select,
    shift_left,
    shift_right,
    square_root,
    straight,
)

needs_numba = pytest.mark.skipif(not jit_available(), reason="numba is absent or disabled")
SPECIAL = (-math.inf, -2.5, -1e-310, -0.0, 0.0, 5e-324, 1.0, 2.5, 1e308, math.inf, math.nan)
PAIRS = [(x, y) for x in SPECIAL for y in SPECIAL]


@straight
def compared(x: float, y: float) -> tuple[float, float, float, float, float, float]:
    return (
        select(x < y, 1.0, 0.0),
        select(x <= y, 1.0, 0.0),
        select(x > y, 1.0, 0.0),
        select(x >= y, 1.0, 0.0),
        select(x == y, 1.0, 0.0),
        select(x != y, 1.0, 0.0),
    )


@straight
def computed(x: float, y: float) -> tuple[float, float, float, float, float, float]:
    return x + y, 1.0 - x, 2.0 * y, x / y, 3 / x, -x


@straight
def rooted(x: float, y: float) -> tuple[float, float]:
    return square_root(x), absolute(y)


@straight
def selected(x: float, y: float) -> tuple[float, float, float]:
    larger = select(x > y, x, y)
    either = select((x > 0.0) | (y > 0.0), 1.0, -1.0)
    both = select((x > 0.0) & flip(y > 0.0), x, 7.0)
    return larger, either, both


@straight
def bitwise(x: float, y: float) -> tuple[float, float, float, float, float]:
    bits, other = bits_of(x), bits_of(y)
    return (
        float_of(shift_right(bits, 12)),
        float_of(shift_left(bits, 3)),
        float_of((bits & bits_of(-0.0)) | shift_right(shift_left(other, 1), 1)),
        select(bits < other, 1.0, 0.0),
        float_of(bits - other + bits_of(1.5)),
    )


@straight
def constants(x: float) -> tuple[float, float, float]:
    return 4.0, select(x > 0.0, 1.0, 2.0), x


@straight
def in_order(x: float, y: float) -> bool:
    return x < y


@straight
def chosen(condition: bool, x: float) -> float:
    return select(condition, x, -x)


@straight
def fused(a: float, b: float, c: float) -> float:
    return fused_multiply_add(a, b, c)


@straight
def fused_constant(b: float, c: float) -> float:
    return fused_multiply_add(1.0 / 3.0, b, c)


@exact
def unfused(a: float, b: float, c: float) -> float:
    return a * b + c


@straight
def unfused_inside(a: float, b: float, c: float) -> float:
    return unfused(c=c, a=a, b=b)


def compiled(function, count, **options):
    """Return a kernel of `count` floats that does nothing but call the function."""
    names = ", ".join("xyz"[:count])
    namespace = {"njit": njit, "function": function, "options": options}
    exec(f"@njit(**options)\ndef kernel({names}):\n    return function({names})\n", namespace)
    return namespace["kernel"]


@needs_numba
@pytest.mark.parametrize("function", [compared, computed, rooted, selected, bitwise])
def test_a_kernel_computes_what_plain_python_does(function):
    kernel = compiled(function, 2)
    for x, y in PAIRS:
        np.testing.assert_array_equal(kernel(x, y), function(x, y), err_msg=f"{x}, {y}")
        # Also the sign of zeros.
        assert np.signbit(kernel(x, y)).tolist() == np.signbit(function(x, y)).tolist() or math.isnan(x + y)


@pytest.mark.parametrize("function", [compared, computed, rooted, selected, bitwise])
def test_arrays_go_item_by_item(function):
    x, y = np.array(PAIRS).T
    for i, row in enumerate(zip(*map(np.atleast_1d, function(x, y)), strict=True)):
        np.testing.assert_array_equal(row, function(*PAIRS[i]), err_msg=str(PAIRS[i]))


@needs_numba
def test_constants_flags_and_single_results():
    assert compiled(constants, 1)(-3.0) == constants(-3.0) == (4.0, 2.0, -3.0)
    assert compiled(in_order, 2)(1.0, 2.0) is True
    assert compiled(in_order, 2)(1.0, math.nan) is False
    assert compiled(chosen, 2)(False, 2.0) == chosen(False, 2.0) == -2.0
    assert compiled(computed, 2)(1, np.float32(2.0))[0] == 3.0


@needs_numba
@pytest.mark.parametrize("options", [{}, {"fastmath": {"contract"}}])
def test_a_sum_of_a_product_is_fused_where_asked(options):
    rng = np.random.default_rng(1)
    once, constant = compiled(fused, 3, **options), compiled(fused_constant, 2, **options)
    for a, b in rng.lognormal(0.0, 3.0, (100, 2)).tolist():
        error = float(Fraction(a) * Fraction(b) - Fraction(a * b))
        assert once(a, b, -(a * b)) == fused(a, b, -(a * b)) == error
        third = 1.0 / 3.0
        error = float(Fraction(third) * Fraction(b) - Fraction(third * b))
        assert constant(b, -(third * b)) == fused_constant(b, -(third * b)) == error


@needs_numba
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names an x86-64 processor")
def test_a_processor_that_cannot_fuse_calls_no_function_instead():
    code = (
        "from tests.pricing.test_straight import *\n"
        "test_a_sum_of_a_product_is_fused_where_asked({'fastmath': {'contract'}})\n"
        "kernel = compiled(fused, 3, fastmath={'contract'})\n"
        "kernel(1.0, 2.0, 3.0)\n"
        "assembly = kernel.dispatcher().inspect_asm(kernel.dispatcher().signatures[0])\n"
        "assert 'mulsd' in assembly and '$fma' not in assembly\n"
    )
    old = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse2"}
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **old, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@needs_numba
@pytest.mark.parametrize("function", [unfused, unfused_inside])
@pytest.mark.parametrize("options", [{}, {"fastmath": {"contract"}}, {"fastmath": True}])
def test_nothing_is_fused_in_an_exact_function(function, options):
    kernel = compiled(function, 3, **options)
    for a, b in np.random.default_rng(2).lognormal(0.0, 3.0, (100, 2)).tolist():
        assert kernel(a, b, -(a * b)) == function(a, b, -(a * b)) == 0.0


def test_plain_python_divides_by_zero_as_a_kernel_does():
    assert computed(1.0, 0.0)[3] == math.inf
    assert math.isnan(computed(0.0, 0.0)[3])


def tracing(function, message):
    with pytest.raises(Exception, match=message):
        compiled(function, 2)(1.0, 2.0)


@needs_numba
def test_what_is_no_straight_line_is_refused():
    @straight
    def branching(x: float, y: float) -> float:
        return x if x > y else y

    @straight
    def mixed(x: float, y: float) -> float:
        return x + bits_of(y)

    @straight
    def flag_as_number(x: float, y: float) -> float:
        return x + (x > y)

    @straight
    def fraction_of_bits(x: float, y: float) -> float:
        return float_of(bits_of(x) + 1.5)

    @straight
    def inverted(x: float, y: float) -> float:
        return select(~(x > y), x, y)

    @straight
    def bits_returned(x: float, y: float) -> float:
        return bits_of(x)

    tracing(branching, "cannot branch")
    tracing(mixed, "expected a float, found a bits")
    tracing(flag_as_number, "expected a float, found a flag")
    tracing(fraction_of_bits, "whole number")
    tracing(inverted, "flip")
    tracing(bits_returned, "float_of")
