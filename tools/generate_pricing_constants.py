"""Write the polynomials of the pricing kernels: ``python tools/generate_pricing_constants.py``.

Each polynomial interpolates a function at Chebyshev nodes in 40-digit arithmetic; the truncated Chebyshev
series is turned into powers and rounded to double at the very end, so every run gives the same files.
``_constants.py`` holds the coefficients, ``_polynomials.py`` the same as straight-line compiled functions:
a loop over coefficients would keep the compiler from using vector instructions.
"""

from collections.abc import Callable
from pathlib import Path

import mpmath as mp

Function = Callable[[mp.mpf], mp.mpf]
TARGET = Path(__file__).resolve().parents[1] / "src" / "ivhedge" / "pricing"
EXTRA_NODES = 4

ERFCX_DEGREE = 27
ERFCX_START, ERFCX_SHIFT = mp.mpf(-4) / 5, mp.mpf(4)
LOG_DEGREE, LOG_MAX = 8, mp.mpf(42) / 1000
EXP_DEGREE, EXP_MAX = 12, mp.mpf(35) / 100


def chebyshev_coefficients(function: Function, degree: int) -> list[mp.mpf]:
    """Chebyshev series of a function on [-1, 1], truncated to a degree."""
    count = degree + 1 + EXTRA_NODES
    angles = [mp.pi * (2 * j + 1) / (2 * count) for j in range(count)]
    values = [function(mp.cos(angle)) for angle in angles]
    series = [
        2 * mp.fsum(v * mp.cos(i * angle) for v, angle in zip(values, angles, strict=True)) / count
        for i in range(degree + 1)
    ]
    series[0] /= 2
    return series


def to_powers(series: list[mp.mpf]) -> list[mp.mpf]:
    """Coefficients of 1, x, x^2, ... of a Chebyshev series."""
    powers = [mp.mpf(0)] * len(series)
    previous, current = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    for order, coefficient in enumerate(series):
        polynomial = previous if order == 0 else current
        for power, value in enumerate(polynomial):
            powers[power] += coefficient * value
        if order > 0:
            following = [mp.mpf(0)] + [2 * value for value in current]
            for power, value in enumerate(previous):
                following[power] -= value
            previous, current = current, following
    return powers


def substitute(powers: list[mp.mpf], slope: mp.mpf, offset: mp.mpf) -> list[mp.mpf]:
    """Coefficients in y of a polynomial in x = slope·y + offset."""
    result = [mp.mpf(0)]
    for coefficient in reversed(powers):
        following = [mp.mpf(0)] * (len(result) + 1)
        for power, value in enumerate(result):
            following[power] += value * offset
            following[power + 1] += value * slope
        following[0] += coefficient
        result = following
    return result[: len(powers)]


def fit_on(function: Function, low: mp.mpf, high: mp.mpf, degree: int) -> list[mp.mpf]:
    """Power coefficients of a near-minimax polynomial on [low, high]."""
    middle, half = (low + high) / 2, (high - low) / 2
    powers = to_powers(chebyshev_coefficients(lambda c: function(middle + half * c), degree))
    return substitute(powers, 1 / half, -middle / half)


def erfcx(y: mp.mpf) -> mp.mpf:
    """Scaled complementary error function exp(y²)·erfc(y), by its continued fraction where it is large."""
    if y < 20:
        return mp.exp(y * y) * mp.erfc(y)
    value = y
    for k in range(60, 0, -1):
        value = y + mp.mpf(k) / 2 / value
    return 1 / (mp.sqrt(mp.pi) * value)


def scaled_erfcx(c: mp.mpf) -> mp.mpf:
    """Return (y + 4)·erfcx(y) at c = 1 − 6.4/(y + 4)."""
    if c == 1:
        return 1 / mp.sqrt(mp.pi)
    y = 2 * (ERFCX_START + ERFCX_SHIFT) / (1 - c) - ERFCX_SHIFT
    return (y + ERFCX_SHIFT) * erfcx(y)


def log_series(w: mp.mpf) -> mp.mpf:
    """Return 2·atanh(z)/z as a function of w = z²; even in z, so negative w is meant too."""
    z = mp.sqrt(mp.mpc(w))
    return mp.mpf(2) if w == 0 else mp.re(2 * mp.atanh(z) / z)


def table(name: str, meaning: str, powers: list[mp.mpf]) -> str:
    """Python source of one coefficient table."""
    rows = "".join(f"    {float(value)!r},\n" for value in powers)
    return f'{name}: Final = (\n{rows})\n"""{meaning}"""\n'


def horner(name: str, argument: str, meaning: str, powers: list[mp.mpf]) -> str:
    """Python source of a compiled function that evaluates one polynomial."""
    values = [float(value) for value in reversed(powers)]
    lines = [f"    value = value * {argument} + {value!r}" for value in values[1:-1]]
    head = f'@njit(forceinline=True, fastmath={{"contract"}})\ndef {name}({argument}: float) -> float:\n'
    body = [f'    """{meaning}"""', f"    value = {values[0]!r}", *lines]
    body.append(f"    return value * {argument} + {values[-1]!r}")
    return head + "\n".join(body) + "\n"


def horner_pair(name: str, meaning: str, powers: list[mp.mpf]) -> str:
    """Python source of a compiled function that returns p(c1) and the divided difference p[c1, c2]."""
    values = [float(value) for value in reversed(powers)]
    lines = [f"    value, slope = value * c1 + {values[1]!r}, value"]
    lines += [f"    value, slope = value * c1 + {value!r}, slope * c2 + value" for value in values[2:]]
    head = (
        '@njit(forceinline=True, fastmath={"contract"})\n'
        f"def {name}(c1: float, c2: float) -> tuple[float, float]:\n"
    )
    body = [f'    """{meaning}"""', f"    value = {values[0]!r}", *lines, "    return value, slope"]
    return head + "\n".join(body) + "\n"


def sources() -> dict[str, str]:
    """Return the whole text of the generated files by name."""
    with mp.workdps(40):
        erfcx_powers = to_powers(chebyshev_coefficients(scaled_erfcx, ERFCX_DEGREE))
        log_powers = fit_on(log_series, mp.mpf(0), LOG_MAX, LOG_DEGREE)
        log_powers[0] = mp.mpf(2)
        exp_powers = fit_on(mp.exp, -EXP_MAX, EXP_MAX, EXP_DEGREE)
        origin = "Written by tools/generate_pricing_constants.py; change that file, not this one.\n"
        erfcx_meaning = "erfcx(y)·(y + 4) in powers of c = 1 − 6.4/(y + 4), for y ≥ −0.85."
        constants = [
            f'"""Polynomial coefficients, lowest power first.\n\n{origin}"""\n\n'
            'from typing import Final\n\n__all__ = ["ERFCX"]\n',
            table("ERFCX", erfcx_meaning, erfcx_powers),
        ]
        functions = [
            f'"""Polynomials as straight-line functions for the compiled kernels.\n\n{origin}"""\n\n'
            "from ivhedge.pricing.jit import njit\n\n"
            '__all__ = ["erfcx_polynomial", "exp_polynomial", "log_polynomial"]\n\n',
            horner_pair("erfcx_polynomial", f"{erfcx_meaning[:-1]}; and its slope c1 to c2.", erfcx_powers)
            + "\n",
            horner("exp_polynomial", "r", "exp(r) for |r| ≤ 0.35.", exp_powers) + "\n",
            horner("log_polynomial", "w", "2·atanh(z)/z in powers of w = z², for |z| ≤ 0.2.", log_powers),
        ]
        return {"_constants.py": "\n".join(constants), "_polynomials.py": "\n".join(functions)}


if __name__ == "__main__":
    for file_name, text in sources().items():
        (TARGET / file_name).write_text(text, encoding="utf-8")
