"""Fit of raw SVI to one expiry: quasi-explicit start, Levenberg–Marquardt, exact arbitrage check, repair.

References
----------
Zeliade Systems (2009), Quasi-explicit calibration of Gatheral's SVI model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.surface.models._checks import limits_hit
from ivhedge.surface.models._minimise import Minimum, minimise_in_box
from ivhedge.surface.models.quotes import VolQuotes
from ivhedge.surface.models.report import ModelFit, build_fit
from ivhedge.surface.models.svi import RawSvi
from ivhedge.surface.models.svi_arbitrage import box_coordinates, repair_svi, slice_from, svi_arbitrage

__all__ = ["fit_svi"]

_SLOPE_CAP = 1.999
_NAMES = ("min_variance", "put_slope", "call_slope", "m", "sigma")
_DENSITY_MARGIN = 2e-4
_STEP = 1e-20
_PENALTIES = (1e1, 1e2, 1e3)


def fit_svi(
    quotes: VolQuotes,
    *,
    arbitrage_free: bool = True,
    huber: float | None = 3.0,
    slope_prior: float = 0.02,
    max_iterations: int = 100,
) -> ModelFit[RawSvi]:
    """Fit raw SVI to the quotes of one expiry.

    Parameters
    ----------
    quotes : VolQuotes
        One expiry, at least 5 strikes.
    arbitrage_free : bool
        Constrain the fit to slices without butterfly arbitrage; what comes back is then always proven free.
    huber : float or None
        Errors beyond this many half-spreads count linearly; None for least squares.
    slope_prior : float
        Each wing slope, in units of √w at the money, counts as an error of this many half-spreads. Quotes
        that look like a parabola hardly tell SVI's parameters apart; this keeps the wings from running away.
        0 for none.
    max_iterations : int
        Levenberg–Marquardt steps from each start.

    Returns
    -------
    ModelFit of RawSvi
        With `arbitrage` decided exactly.

    Raises
    ------
    CalibrationError
        If there are fewer than 5 strikes, or several expiries.
    ConfigError
        If `huber` or `max_iterations` is not positive, or `slope_prior` is negative.
    """
    if not slope_prior >= 0.0:
        raise ConfigError(f"expected slope_prior >= 0, found {slope_prior}")
    if max_iterations < 1 or (huber is not None and not huber > 0.0):
        raise ConfigError(f"expected positive max_iterations and huber, found {max_iterations}, {huber}")
    quotes.require(parameters=5, single=True)
    tau = float(quotes.taus[0])
    lower, upper = _box(quotes)
    starts = [_quasi_explicit(quotes, lower, upper), _flat(quotes)]
    search = _Search(quotes, lower, upper, huber, slope_prior)
    ends = [search.run(start, max_iterations, 0.0) for start in starts]
    best = min(ends, key=lambda end: end.cost)
    iterations, warnings = sum(end.iterations for end in ends), list[str]()
    fitted = slice_from(best.x, tau)
    report = svi_arbitrage(fitted)
    if arbitrage_free and not report.free:
        warnings.append(
            f"the best slice has butterfly arbitrage ({report.violations[0]}); it was constrained"
        )
        fitted, steps = _constrained(search, fitted, max_iterations)
        iterations += steps
        report = svi_arbitrage(fitted)
    elif not report.free:
        warnings.append("the slice has butterfly arbitrage: use arbitrage_free=True or repair_svi")
    box = {name: (float(lo), float(hi)) for name, lo, hi in zip(_NAMES, lower, upper, strict=True)}
    values = dict(zip(_NAMES, box_coordinates(fitted).tolist(), strict=True))
    return build_fit(
        fitted,
        fitted.implied_vol(quotes.log_moneyness),
        quotes,
        iterations=iterations,
        converged=best.converged,
        warnings=(*warnings, *limits_hit(values, box)),
        arbitrage=report,
    )


def _box(quotes: VolQuotes) -> tuple[FloatArray, FloatArray]:
    k, w = quotes.log_moneyness, quotes.mid_vol**2 * quotes.taus[0]
    width = float(k.max() - k.min())
    sd = float(np.sqrt(w.min()))
    lower = np.array([1e-4 * w.min(), 1e-6, 1e-6, k.min() - 2.0 * width, 1e-3 * sd])
    upper = np.array([w.max(), _SLOPE_CAP, _SLOPE_CAP, k.max() + 2.0 * width, 4.0 * max(width, sd)])
    return lower, upper


def _flat(quotes: VolQuotes) -> FloatArray:
    k, w = quotes.log_moneyness, quotes.mid_vol**2 * quotes.taus[0]
    sd = float(np.sqrt(np.median(w)))
    return np.array([0.8 * w.min(), 0.5 * sd, 0.5 * sd, float(k[np.argmin(w)]), sd])


def _quasi_explicit(quotes: VolQuotes, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Best slice over a grid of (m, sigma): for each, a, bσ and ρbσ solve a linear problem on a rhombus."""
    k, vol = quotes.log_moneyness, quotes.mid_vol
    w = vol * vol * quotes.taus[0]
    # An error of total variance in half-spreads of vol.
    weight = 1.0 / (2.0 * vol * quotes.taus[0] * quotes.half_spread)
    sd = float(np.sqrt(np.median(w)))
    centres = np.linspace(k.min(), k.max(), 17)
    widths = np.geomspace(0.05 * sd, max(4.0 * sd, float(k.max() - k.min())), 13)
    m, sigma = (grid.ravel() for grid in np.meshgrid(centres, widths, indexing="ij"))
    y = (k[None, :] - m[:, None]) / sigma[:, None]
    columns = np.stack((y, np.sqrt(y * y + 1.0)), axis=1)
    # Weighted means take out the level a; what is left is a problem in (d, c) alone.
    share = weight**2 / np.sum(weight**2)
    mean_w, mean_columns = float(share @ w), columns @ share
    centred, target = columns - mean_columns[:, :, None], w - mean_w
    normal = np.einsum("gik,gjk,k->gij", centred, centred, share)
    right = np.einsum("gik,k,k->gi", centred, target, share)
    d, c = _on_rhombus(normal, right, sigma)
    level = mean_w - d * mean_columns[:, 0] - c * mean_columns[:, 1]
    fitted = level[:, None] + d[:, None] * columns[:, 0] + c[:, None] * columns[:, 1]
    cost = np.sum(share * (fitted - w) ** 2, axis=1)
    best = int(np.argmin(cost))
    lowest = level[best] + np.sqrt(max(c[best] ** 2 - d[best] ** 2, 0.0))
    slopes = (c[best] - d[best]) / sigma[best], (c[best] + d[best]) / sigma[best]
    start = np.array([lowest, *slopes, m[best], sigma[best]])
    return np.asarray(np.clip(start, lower * (1.0 + 1e-9), upper))


def _on_rhombus(normal: FloatArray, right: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Minimise ½x'Nx − r'x over |d| ≤ c, |d| ≤ 4σ − c: inside, or on the best of the four edges."""
    ridge = 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(2)
    inside = np.linalg.solve(normal + ridge, right[:, :, None])[:, :, 0]
    feasible = np.abs(inside[:, 0]) <= np.minimum(inside[:, 1], 4.0 * sigma - inside[:, 1])
    zero = np.zeros_like(sigma)
    corners = [(zero, zero), (2.0 * sigma, 2.0 * sigma), (zero, 4.0 * sigma), (-2.0 * sigma, 2.0 * sigma)]
    points = [inside]
    for (d0, c0), (d1, c1) in zip(corners, corners[1:] + corners[:1], strict=True):
        origin, edge = np.stack((d0, c0), axis=1), np.stack((d1 - d0, c1 - c0), axis=1)
        slope = np.einsum("gi,gi->g", edge, right - np.einsum("gij,gj->gi", normal, origin))
        curvature = np.einsum("gi,gij,gj->g", edge, normal, edge)
        share = np.clip(slope / np.maximum(curvature, 1e-300), 0.0, 1.0)
        points.append(origin + share[:, None] * edge)
    stacked = np.stack(points)
    cost = 0.5 * np.einsum("pgi,gij,pgj->pg", stacked, normal, stacked) - np.einsum(
        "pgi,gi->pg", stacked, right
    )
    cost[0] = np.where(feasible, cost[0], np.inf)
    chosen = stacked[np.argmin(cost, axis=0), np.arange(sigma.size)]
    return chosen[:, 0], chosen[:, 1]


@dataclass(frozen=True, slots=True)
class _Search:
    """The problem of one expiry: errors, the weak prior of the wings and, if asked, a price on arbitrage."""

    quotes: VolQuotes
    lower: FloatArray
    upper: FloatArray
    huber: float | None
    slope_prior: float

    def run(self, start: FloatArray, max_iterations: int, penalty: float) -> Minimum:
        k, tau, mid = self.quotes.log_moneyness, float(self.quotes.taus[0]), self.quotes.mid_vol
        weight = 1.0 / self.quotes.half_spread
        grid = _density_grid(self.quotes)
        prior = np.zeros((2, 5))
        prior[0, 1] = prior[1, 2] = self.slope_prior / (float(np.median(mid)) * np.sqrt(tau))

        rows = k.size + 2 + (grid.size if penalty > 0.0 else 0)
        # Only quotes can be outliers: the price on arbitrage stays a square.
        limits = np.full(rows, np.inf)
        limits[: k.size] = np.inf if self.huber is None else self.huber

        def residuals(x: FloatArray) -> tuple[FloatArray, FloatArray]:
            w, by_x = _variance(k, x)
            vol = np.sqrt(np.maximum(w, 1e-12) / tau)
            errors = [(vol - mid) * weight, prior @ x]
            jacobians = [by_x * (weight / (2.0 * vol * tau))[:, None], prior]
            if penalty > 0.0:
                short, by_box = _shortfall(grid, x)
                errors.append(penalty * short)
                jacobians.append(penalty * by_box)
            return np.concatenate(errors), np.vstack(jacobians)

        return minimise_in_box(
            residuals,
            start,
            self.lower,
            self.upper,
            huber=limits,
            max_iterations=max_iterations,
            tolerance=1e-9,
        )


def _variance(k: FloatArray, box: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Total variance in box coordinates, with its derivatives, shape (q, 5)."""
    lowest, put, call, m, sigma = box
    x = k - m
    root = np.hypot(x, sigma)
    mean = np.sqrt(put * call)
    w = lowest - sigma * mean + 0.5 * ((call - put) * x + (call + put) * root)
    by_put = -0.5 * sigma * np.sqrt(call / put) + 0.5 * (root - x)
    by_call = -0.5 * sigma * np.sqrt(put / call) + 0.5 * (root + x)
    by_m = -0.5 * ((call - put) + (call + put) * x / root)
    by_sigma = -mean + 0.5 * (call + put) * sigma / root
    return w, np.column_stack((np.ones_like(k), by_put, by_call, by_m, by_sigma))


def _density_grid(quotes: VolQuotes) -> FloatArray:
    k = quotes.log_moneyness
    sd = float(np.median(quotes.mid_vol) * np.sqrt(quotes.taus[0]))
    near = np.linspace(min(k.min(), -6.0 * sd), max(k.max(), 6.0 * sd), 161)
    far = np.geomspace(6.0 * sd, 200.0 * sd, 81)[1:]
    return np.concatenate((-far[::-1], near, far))


def _shortfall(grid: FloatArray, box: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far g falls short of a small margin on the grid, with derivatives by complex steps."""
    base = _density(grid, box.astype(np.complex128))
    short = np.maximum(_DENSITY_MARGIN - base.real, 0.0)
    jacobian = np.zeros((grid.size, box.size))
    active = short > 0.0
    if active.any():
        # One row of points per moved parameter.
        moved = (box[:, None] + 1j * _STEP * np.eye(box.size))[:, :, None]
        jacobian[active] = -_density(grid[active], moved).imag.T / _STEP
    return short, jacobian


def _density(k: FloatArray, box: NDArray[np.complex128]) -> NDArray[np.complex128]:
    lowest, put, call, m, sigma = box
    x = k - m
    root = np.sqrt(x * x + sigma * sigma)
    w = lowest - sigma * np.sqrt(put * call) + 0.5 * ((call - put) * x + (call + put) * root)
    slope = 0.5 * ((call - put) + (call + put) * x / root)
    curvature = 0.5 * (call + put) * sigma * sigma / root**3
    tilt = 1.0 - 0.5 * k * slope / w
    return np.asarray(tilt * tilt - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * curvature)


def _constrained(search: _Search, fitted: RawSvi, max_iterations: int) -> tuple[RawSvi, int]:
    """Refit with a growing price on negative density, from the fit and from its repair; always proven."""
    repaired = repair_svi(fitted)
    candidates, iterations = [repaired], 0
    for start in (box_coordinates(fitted), box_coordinates(repaired)):
        x = start
        for penalty in _PENALTIES:
            end = search.run(x, max_iterations, penalty)
            x, iterations = end.x, iterations + end.iterations
        candidates.append(repair_svi(slice_from(x, fitted.tau)))
    return min(candidates, key=lambda c: _misfit(c, search.quotes, search.huber)), iterations


def _misfit(slice_: RawSvi, quotes: VolQuotes, huber: float | None) -> float:
    size = np.abs(slice_.implied_vol(quotes.log_moneyness) - quotes.mid_vol) / quotes.half_spread
    limit = np.inf if huber is None else huber
    capped = np.minimum(size, limit)
    return float(np.sum(capped * (size - 0.5 * capped)))
