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


def two_chains(powers: list[mp.mpf], argument: str, square: str) -> list[str]:
    """Lines that evaluate even and odd powers side by side: half the latency of one Horner chain."""
    values = [float(value) for value in powers]
    chains = {"even": values[0::2][::-1], "odd": values[1::2][::-1]}
    lines = [f"    {name} = {chain[0]!r}" for name, chain in chains.items()]
    for step in range(1, max(map(len, chains.values()))):
        for name, chain in chains.items():
            if step < len(chain):
                lines.append(f"    {name} = {name} * {square} + {chain[step]!r}")
    return [f"    {square} = {argument} * {argument}", *lines]


def polynomial(name: str, argument: str, meaning: str, powers: list[mp.mpf]) -> str:
    """Python source of a compiled function that evaluates one polynomial."""
    head = f"@straight\ndef {name}({argument}: float) -> float:\n"
    body = [f'    """{meaning}"""', *two_chains(powers, argument, "square")]
    body.append(f"    return odd * {argument} + even")
    return head + "\n".join(body) + "\n"


def polynomial_pair(name: str, meaning: str, powers: list[mp.mpf]) -> str:
    """Python source of a compiled function that returns p(c1) and the divided difference p[c1, c2].

    With p = E(c²) + c·O(c²) that is E[u1, u2]·(c1 + c2) + O[u1, u2]·c2·(c1 + c2) + O(u1), u = c².
    """
    values = [float(value) for value in powers]
    chains = {"even": values[0::2][::-1], "odd": values[1::2][::-1]}
    lines = ["    square1, square2 = c1 * c1, c2 * c2"]
    for name_, chain in chains.items():
        lines.append(f"    {name_}, {name_}_slope = {chain[0]!r} * square1 + {chain[1]!r}, {chain[0]!r}")
    for step in range(2, max(map(len, chains.values()))):
        for name_, chain in chains.items():
            lines.append(
                f"    {name_}, {name_}_slope = {name_} * square1 + {chain[step]!r}, "
                f"{name_}_slope * square2 + {name_}"
            )
    head = f"@straight\ndef {name}(c1: float, c2: float) -> tuple[float, float]:\n"
    last = [
        "    both = c1 + c2",
        "    return odd * c1 + even, even_slope * both + (odd_slope * c2 * both + odd)",
    ]
    return head + "\n".join([f'    """{meaning}"""', *lines, *last]) + "\n"


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
            "from ivhedge.pricing.straight import straight\n\n"
            '__all__ = ["erfcx_polynomial", "exp_polynomial", "log_polynomial"]\n\n',
            polynomial_pair(
                "erfcx_polynomial", f"{erfcx_meaning[:-1]}; and its slope c1 to c2.", erfcx_powers
            )
            + "\n",
            polynomial("exp_polynomial", "r", "exp(r) for |r| ≤ 0.35.", exp_powers) + "\n",
            polynomial("log_polynomial", "w", "2·atanh(z)/z in powers of w = z², for |z| ≤ 0.2.", log_powers),
        ]
        return {"_constants.py": "\n".join(constants), "_polynomials.py": "\n".join(functions)}


if __name__ == "__main__":
    for file_name, text in sources().items():
        (TARGET / file_name).write_text(text, encoding="utf-8")
