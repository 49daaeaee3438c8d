"""Write the first guesses of the implied-volatility kernels: ``python tools/fit_implied_vol_guesses.py``.

Two maps from prices to total vols and one for the other side of the inflection:

- *lower* guesses, for prices below half of their maximum. In the Bachelier limit s = (a + β)/(h + n(h)), with
  n(h) = φ(h) − h·N(−h), is a function of q = A/(A + Q_SHIFT), A = ln(1 + a/β), alone: one polynomial gives
  s0. A second, bivariate one in q and u = s0² corrects s0 for the lognormal world. *near* is
  good enough for one Householder step over all usual options, *far* for two over the wings.
- *upper* guess, for the rest: s = z + sqrt(z² + 2a) with N(−z) close to (b_max − b)/b_max, z by a polynomial.

A guess is only the start of an iteration that checks itself, so the coefficients are fitted in double
precision and written with ten digits; `fit` returns the largest relative error on the sample.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

Floats = NDArray[np.float64]
TARGET = Path(__file__).resolve().parents[1] / "src" / "ivhedge" / "pricing" / "_guesses.py"
DIGITS = 10


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Where a lower guess is fitted, and with how many coefficients."""

    name: str
    h_max: float
    s_max: float
    q_shift: float
    degree_bachelier: int
    degree_q: int
    degree_u: int


NEAR = Domain(name="near", h_max=12.0, s_max=2.2, q_shift=8.0, degree_bachelier=9, degree_q=6, degree_u=4)
FAR = Domain(name="far", h_max=36.0, s_max=8.0, q_shift=20.0, degree_bachelier=9, degree_q=7, degree_u=4)
S_MIN = 0.02
"""Below it the Bachelier limit is exact enough and the correction smooth."""
QUANTILE_SHIFT, QUANTILE_ROOT, QUANTILE_DEGREE = 4.0, 1.0, 4
ROUNDS = 30


@dataclass(frozen=True, kw_only=True)
class LowerGuess:
    """Coefficients in powers of the scaled variables, and the largest relative error on the sample."""

    q_scale: float
    u_scale: float
    bachelier: Floats
    correction: Floats
    error: float


def nodes(count: int) -> Floats:
    """Chebyshev points on [0, 1]."""
    return (1.0 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2.0


def difference(y1: Floats, y2: Floats) -> Floats:
    """(erfcx(y1) − erfcx(y2))/(y2 − y1) by Gauss-Legendre quadrature of −erfcx', which cannot cancel."""
    points, weights = np.polynomial.legendre.leggauss(40)
    y = 0.5 * (y1 + y2)[:, None] + 0.5 * (y2 - y1)[:, None] * points
    # 2/√π − 2·y·erfcx(y) cancels for large y, where its asymptotic series is exact enough for a guess.
    slope = np.where(y < 8.0, 2.0 / np.sqrt(np.pi) - 2.0 * y * erfcx(y), 0.0)
    v = 1.0 / np.maximum(y, 8.0) ** 2
    series = v / np.sqrt(np.pi) * (1.0 - 1.5 * v * (1.0 - 2.5 * v * (1.0 - 3.5 * v)))
    return 0.5 * np.where(y < 8.0, slope, series) @ weights


def normalised_price(h: Floats, s: Floats) -> Floats:
    """Out-of-the-money Black price over sqrt(F·K), at a = h·s."""
    t = 0.5 * s
    y1, y2 = (h - t) / np.sqrt(2.0), (h + t) / np.sqrt(2.0)
    return 0.5 * np.exp(-0.5 * (h * h + t * t)) * difference(y1, y2) * s / np.sqrt(2.0)


def minimax(matrix: Floats, values: Floats) -> tuple[Floats, float]:
    """Coefficients of nearly least maximal relative error, by reweighted least squares (Lawson)."""
    weights = np.ones(values.size)
    best = (np.zeros(matrix.shape[1]), np.inf)
    for _ in range(ROUNDS):
        found, *_ = np.linalg.lstsq(matrix * (weights / values)[:, None], weights, rcond=None)
        error = np.abs(matrix @ found / values - 1.0)
        if error.max() < best[1]:
            best = (found, float(error.max()))
        weights *= np.sqrt(0.3 + error / error.mean())
        weights /= weights.mean()
    return best


def powers_2d(series: Floats) -> Floats:
    """Power coefficients of a tensor Chebyshev series."""
    powers = np.zeros_like(series)
    for i, j in np.ndindex(*series.shape):
        row, column = (chebyshev.cheb2poly(np.eye(n + 1)[n]) for n in (i, j))
        powers[: row.size, : column.size] += series[i, j] * np.outer(row, column)
    return powers


def fit(domain: Domain) -> LowerGuess:
    """Fit both stages of a lower guess."""
    h, s = (
        x.ravel()
        for x in np.meshgrid(
            domain.h_max * nodes(80), S_MIN + (domain.s_max - S_MIN) * nodes(50), indexing="ij"
        )
    )
    price = normalised_price(h, s)
    keep = (price < 0.52 * np.exp(-0.5 * h * s)) & (h - 0.5 * s > -0.85 * np.sqrt(2.0))
    h, s, price = h[keep], s[keep], price[keep]
    line = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 100), domain.h_max * nodes(400)])
    y = line / np.sqrt(2.0)
    limit = 0.5 * np.exp(-0.5 * line**2) * difference(y, y) / np.sqrt(2.0)
    distance = np.log1p(line / limit)
    q_line = distance / (distance + domain.q_shift)
    distance = np.log1p(h * s / price)
    q = distance / (distance + domain.q_shift)
    q_max = max(q.max(), q_line.max())
    inverse = 1.0 / (line + limit)
    vander = chebyshev.chebvander(2.0 * q_line / q_max - 1.0, domain.degree_bachelier)
    bachelier = minimax(vander, inverse)[0]
    s0 = (h * s + price) * chebyshev.chebval(2.0 * q / q_max - 1.0, bachelier)
    u = s0 * s0
    degrees = [domain.degree_q, domain.degree_u]
    matrix = chebyshev.chebvander2d(2.0 * q / q_max - 1.0, 2.0 * u / u.max() - 1.0, degrees)
    correction, error = minimax(matrix, s / s0)
    return LowerGuess(
        q_scale=2.0 / q_max,
        u_scale=2.0 / float(u.max()),
        bachelier=chebyshev.cheb2poly(bachelier),
        correction=powers_2d(correction.reshape(domain.degree_q + 1, domain.degree_u + 1)),
        error=error,
    )


def fit_quantile() -> tuple[float, Floats, float]:
    """Scale, power coefficients and error of z(v), N(−z) = exp(−v), v ≥ ln 2.

    With d = v − ln 2 the polynomial is z·sqrt(d + QUANTILE_ROOT)/d as a function of d/(d + QUANTILE_SHIFT).
    """
    z = np.concatenate([np.linspace(1e-6, 2.0, 2000), np.geomspace(2.0, 38.0, 3000)])
    d = -log_ndtr(-z) - np.log(2.0)
    x = d / (d + QUANTILE_SHIFT)
    values = z / d * np.sqrt(d + QUANTILE_ROOT)
    series, error = minimax(chebyshev.chebvander(2.0 * x / x.max() - 1.0, QUANTILE_DEGREE), values)
    return 2.0 / float(x.max()), chebyshev.cheb2poly(series), error


def fit_short_log() -> tuple[Floats, float]:
    """Coefficients and error of 2·atanh(z)/z in powers of w = z² up to 0.042, exact enough for a guess."""
    w = 0.042 * nodes(400)
    z = np.sqrt(w)
    series, error = minimax(chebyshev.chebvander(w / 0.021 - 1.0, 3), 2.0 * np.arctanh(z) / z)
    polynomial = np.polynomial.Polynomial(chebyshev.cheb2poly(series))
    shifted = polynomial(np.polynomial.Polynomial([-1.0, 1.0 / 0.021]))
    return np.asarray(shifted.coef, dtype=np.float64), error


def number(value: float) -> str:
    """Write a coefficient with `DIGITS` digits."""
    return repr(float(f"{value:.{DIGITS}g}"))


def horner(powers: Floats, argument: str, target: str, first: str | None = None) -> list[str]:
    """Lines of a straight-line evaluation; `first` carries on from a value already computed."""
    values = [number(value) for value in reversed(powers)]
    lines = [] if first else [f"    {target} = {values.pop(0)}"]
    for value in values:
        lines.append(f"    {target} = {first or target} * {argument} + {value}")
        first = None
    return lines


def two_chains(powers: Floats, argument: str) -> list[str]:
    """Lines that evaluate even and odd powers side by side: half the latency of one chain."""
    lines = [f"    square = {argument} * {argument}"]
    return [
        *lines,
        *horner(powers[0::2], "square", "even"),
        *horner(powers[1::2], "square", "odd"),
        f"    value = odd * {argument} + even",
    ]


def function(name: str, arguments: str, meaning: str, lines: list[str]) -> str:
    """Source of a compiled function that returns what its last line computes."""
    lines = [*lines[:-1], "    return " + lines[-1].partition(" = ")[2]]
    typed = ", ".join(f"{argument}: float" for argument in arguments.split(", "))
    head = f"@straight\ndef {name}({typed}) -> float:\n"
    return head + "\n".join([f'    """{meaning}"""', *lines]) + "\n\n\n"


def half_correction(rows: Floats, argument: str | None) -> list[str]:
    """Horner in q whose coefficients are polynomials in u; two halves keep the constants in registers."""
    lines: list[str] = []
    value = argument
    for row in reversed(rows):
        lines += horner(row, "u", "row")
        lines.append(f"    total = {value} * q + row" if value else "    total = row")
        value = "total"
    return lines


def lower_source(domain: Domain) -> tuple[str, str]:
    """Constants and functions of one lower guess."""
    guess = fit(domain)
    upper_name = domain.name.upper()
    half = (domain.degree_q + 1) // 2
    constants = (
        f"{upper_name}_Q_SCALE: Final = {number(guess.q_scale)}\n"
        f"{upper_name}_U_SCALE: Final = {number(guess.u_scale)}\n"
        f"{upper_name}_Q_SHIFT: Final = {domain.q_shift!r}\n"
        f'"""For h ≤ {domain.h_max:g}, s ≤ {domain.s_max:g}: largest relative error {guess.error:.1e}."""\n'
    )
    high = half_correction(guess.correction[half:], None)
    low = half_correction(guess.correction[:half], "high")
    functions = function(
        f"{domain.name}_bachelier", "q", "Return s0/(a + β).", two_chains(guess.bachelier, "q")
    )
    functions += function(f"{domain.name}_high", "q, u", "Higher half of s/s0 in powers of q.", high)
    functions += function(
        f"{domain.name}_low", "high, q, u", "Return s/s0 from its higher half and the lower powers of q.", low
    )
    return constants, functions


def source() -> str:
    """Return the whole text of the generated file."""
    scale, quantile, error = fit_quantile()
    short_log, log_error = fit_short_log()
    near, far = lower_source(NEAR), lower_source(FAR)
    names = sorted(
        [f"{d}_{part}" for d in ("near", "far") for part in ("bachelier", "high", "low")]
        + [f"{d}_{constant}" for d in ("NEAR", "FAR") for constant in ("Q_SCALE", "Q_SHIFT", "U_SCALE")]
        + [f"QUANTILE_{constant}" for constant in ("ROOT", "SCALE", "SHIFT")]
        + ["quantile_polynomial", "short_log_polynomial"],
        key=lambda name: (not name.isupper(), name),
    )
    listed = "".join(f'    "{name}",\n' for name in names)
    return (
        '"""First guesses of total vols as straight-line functions for the compiled kernels.\n\n'
        "Written by tools/fit_implied_vol_guesses.py, which explains them; change that file, not this one.\n"
        '"""\n\n'
        "from typing import Final\n\nfrom ivhedge.pricing.straight import straight\n\n"
        f"__all__ = [\n{listed}]\n\n" + near[0] + far[0] + f"QUANTILE_SCALE: Final = {number(scale)}\n"
        f"QUANTILE_SHIFT: Final = {QUANTILE_SHIFT!r}\n"
        f"QUANTILE_ROOT: Final = {QUANTILE_ROOT!r}\n"
        f'"""Normal quantile for probabilities up to a half: largest relative error {error:.1e}."""\n\n\n'
        + near[1]
        + far[1]
        + function(
            "quantile_polynomial",
            "x",
            "z·sqrt(d + QUANTILE_ROOT)/d of N(−z) = ½·exp(−d), x = d/(d + QUANTILE_SHIFT) scaled.",
            horner(quantile, "x", "value"),
        )
        + function(
            "short_log_polynomial",
            "w",
            f"2·atanh(z)/z in powers of w = z², for |z| ≤ 0.2, with a relative error of {log_error:.1e}.",
            horner(short_log, "w", "value"),
        ).rstrip()
        + "\n"
    )


if __name__ == "__main__":
    TARGET.write_text(source(), encoding="utf-8")
