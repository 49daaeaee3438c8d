"""How the vols of one underlying follow those of another, by tenor, and whether that can be trusted.

``Δσ_ETH(τ) = β(τ)·Δσ_BTC(τ) + ε``, through zero, per root day, by Huber's M-estimate. The first half of the
steps fits β, the second half judges it: out-of-sample ``R² = 1 − Σ(y − βx)²/Σy²``, and the same against β =
1, ``1 − Σ(y − βx)²/Σ(y − x)²``. Both have intervals of a moving block bootstrap of the judged steps; the
published β is that of all steps.

References
----------
Huber (1964), Robust estimation of a location parameter. Künsch (1989), The jackknife and the bootstrap for
general stationary observations.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.risk.factors.steps import PanelSteps

__all__ = ["BetaSettings", "VegaBeta", "huber_slope", "spot_beta", "vega_beta"]

_TUNING: Final = 1.345
"""Huber's k: 95 % efficient for normal errors."""
_SWEEPS: Final = 60
_NEWTON: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaSettings:
    """How betas are judged.

    Parameters
    ----------
    block : int
        Steps per block of the bootstrap; eight of six hours are two days.
    resamples : int
    level : float
        Probability of the intervals.
    trusted_r2 : float
        Lower end of the out-of-sample R² that makes a beta worth hedging with.
    """

    block: int = 8
    resamples: int = 1000
    level: float = 0.9
    trusted_r2: float = 0.2

    def __post_init__(self) -> None:
        if self.block < 1 or self.resamples < 100 or not 0.0 < self.level < 1.0 or not self.trusted_r2 < 1.0:
            raise ConfigError(
                "expected block >= 1, resamples >= 100, level in (0, 1) and trusted_r2 < 1, found "
                f"{self.block}, {self.resamples}, {self.level}, {self.trusted_r2}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class VegaBeta:
    """Betas of vol changes of `underlying` on those of `on`, one per tenor, arrays of shape (M,).

    Parameters
    ----------
    underlying, on : str
    tenor_days : FloatArray
        NaN for the beta of spot.
    beta, beta_lower, beta_upper : FloatArray
        All steps, with the interval.
    beta_first : FloatArray
        First half: the one that is judged.
    correlation, r2_in : FloatArray
        All steps; first half with its own beta.
    r2_out, r2_out_lower, r2_out_upper : FloatArray
        Second half with the beta of the first.
    gain_over_one, gain_lower, gain_upper : FloatArray
        Second half: share by which the squared errors fall below those of beta = 1.
    pooled_gain, pooled_lower, pooled_upper : float
        The same over all tenors, squared errors weighted by tenor, hence by squared vega.
    residual_sd : FloatArray
        Of ε per root day, in the second half: what the hedge leaves.
    trusted : BoolArray
        Whether `r2_out_lower` reaches the setting and `beta_lower` is above 0.
    reason : tuple of M str
        Why not, or ``ok``.
    n_fit, n_judged : int
        Steps.
    """

    underlying: str
    on: str
    tenor_days: FloatArray
    beta: FloatArray
    beta_lower: FloatArray
    beta_upper: FloatArray
    beta_first: FloatArray
    correlation: FloatArray
    r2_in: FloatArray
    r2_out: FloatArray
    r2_out_lower: FloatArray
    r2_out_upper: FloatArray
    gain_over_one: FloatArray
    gain_lower: FloatArray
    gain_upper: FloatArray
    pooled_gain: float
    pooled_lower: float
    pooled_upper: float
    residual_sd: FloatArray
    trusted: BoolArray
    reason: tuple[str, ...]
    n_fit: int
    n_judged: int

    def at(self, tenor_days: float) -> float:
        """Beta at a tenor, linear in its log between fitted ones.

        Raises
        ------
        DataError
            If the tenor is outside the fitted ones or a neighbour is not trusted.
        """
        days = self.tenor_days
        if not days[0] <= tenor_days <= days[-1]:
            raise DataError(f"expected a tenor of {days[0]:g} to {days[-1]:g} days, found {tenor_days:g}")
        low = int(np.searchsorted(days, tenor_days, side="right")) - 1
        high = low if days[low] == tenor_days else low + 1
        for i in (low, high):
            if not self.trusted[i]:
                raise DataError(
                    f"vega beta of {self.underlying} on {self.on} at {days[i]:g} days is not trusted: "
                    f"{self.reason[i]}; hedge with {self.underlying} itself"
                )
        return float(np.interp(np.log(tenor_days), np.log(days), self.beta))


def vega_beta(
    steps: PanelSteps,
    underlying: str,
    on: str,
    *,
    rng: np.random.Generator,
    settings: BetaSettings | None = None,
) -> VegaBeta:
    """Betas of the changes of vol at the forward, per tenor.

    Parameters
    ----------
    steps : PanelSteps
        Holding both underlyings.
    underlying, on : str
    rng : numpy.random.Generator
        For the intervals.
    settings : BetaSettings, optional

    Raises
    ------
    ConfigError
        If the steps lack an underlying.
    DataError
        If a half has fewer than two blocks.
    """
    _require(steps, underlying, on)
    at = int(np.flatnonzero(steps.nodes == 0.0)[0])
    y, x = (steps.vols[name][:, :, at] / np.sqrt(steps.days)[:, None] for name in (underlying, on))
    return _judge(y, x, underlying, on, steps.tenor_days, rng, settings or BetaSettings())


def spot_beta(
    steps: PanelSteps,
    underlying: str,
    on: str,
    *,
    rng: np.random.Generator,
    settings: BetaSettings | None = None,
) -> VegaBeta:
    """The same for log returns of spot: the market beta, arrays of shape (1,)."""
    _require(steps, underlying, on)
    y, x = ((steps.spot[name] / np.sqrt(steps.days))[:, None] for name in (underlying, on))
    return _judge(y, x, underlying, on, np.array([np.nan]), rng, settings or BetaSettings())


def huber_slope(y: ArrayLike, x: ArrayLike) -> FloatArray:
    """Slope through zero by Huber's M-estimate, along the first axis.

    Parameters
    ----------
    y, x : array_like, shape (S, ...)

    Notes
    -----
    Iteratively reweighted least squares from the least-squares slope; scale by the median absolute residual.
    """
    above, below = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    slope = _least_squares(above, below, np.ones_like(above))
    for _ in range(_SWEEPS):
        residual = np.abs(above - slope * below)
        bound = _bound(residual)
        outside = (residual > bound) & (bound > 0.0)
        new = _least_squares(above, below, np.where(outside, bound / np.where(outside, residual, 1.0), 1.0))
        done = bool((np.abs(new - slope) <= 1e-9 * (1.0 + np.abs(new))).all())
        slope = new
        if done:
            break
    return slope


def _near(y: FloatArray, x: FloatArray, start: FloatArray, bound: FloatArray) -> FloatArray:
    """The same from a start nearby and with a given bound, by Newton's method: few steps of a kinked line."""
    slope = start
    for _ in range(_NEWTON):
        residual = y - slope * x
        clipped = np.minimum(np.maximum(residual, -bound), bound)
        inside = np.where(clipped == residual, x * x, 0.0).sum(axis=0)
        step = (clipped * x).sum(axis=0) / np.where(inside > 0.0, inside, np.inf)
        slope = slope + step
        if (np.abs(step) <= 1e-8).all():
            break
    return slope


def _bound(residual: FloatArray) -> FloatArray:
    return np.asarray(_TUNING * 1.4826 * np.median(residual, axis=0))


def _least_squares(y: FloatArray, x: FloatArray, weights: FloatArray) -> FloatArray:
    weighted = weights * x
    bottom = (weighted * x).sum(axis=0)
    if not (bottom > 0.0).all():
        raise DataError("expected a regressor that moves, found one that never does")
    return np.asarray((weighted * y).sum(axis=0) / bottom)


def _judge(
    y: FloatArray,
    x: FloatArray,
    underlying: str,
    on: str,
    tenors: FloatArray,
    rng: np.random.Generator,
    settings: BetaSettings,
) -> VegaBeta:
    steps = y.shape[0]
    half = steps // 2
    if half < 2 * settings.block:
        raise DataError(
            f"expected two blocks of {settings.block} steps in each half, found {steps} steps; "
            "give a longer history"
        )
    tail = 0.5 * (1.0 - settings.level)
    beta, first = huber_slope(y, x), huber_slope(y[:half], x[:half])
    drawn = _blocks(steps, settings, rng)
    # From the estimate and with its bound of the residuals: the same intervals in a fraction of the time.
    bound = _bound(np.abs(y - beta * x))
    betas = np.stack([_near(y[rows], x[rows], beta, bound) for rows in drawn])
    lower, upper = np.quantile(betas, (tail, 1.0 - tail), axis=0)
    later_y, later_x = y[half:], x[half:]
    terms = np.stack([(later_y - first * later_x) ** 2, later_y**2, (later_y - later_x) ** 2])
    left, total, one = terms.sum(axis=1)
    sums = np.stack([terms[:, rows].sum(axis=1) for rows in _blocks(steps - half, settings, rng)])
    r2_low, r2_high = np.quantile(1.0 - sums[:, 0] / sums[:, 1], (tail, 1.0 - tail), axis=0)
    gain_low, gain_high = np.quantile(1.0 - sums[:, 0] / sums[:, 2], (tail, 1.0 - tail), axis=0)
    share = np.where(np.isfinite(tenors), tenors, 1.0)
    pooled = np.quantile(1.0 - (sums[:, 0] @ share) / (sums[:, 2] @ share), (tail, 1.0 - tail))
    fit_y, fit_x = y[:half], x[:half]
    reasons = tuple(_reason(float(r2), float(low), settings) for r2, low in zip(r2_low, lower, strict=True))
    return VegaBeta(
        underlying=underlying,
        on=on,
        tenor_days=tenors,
        beta=beta,
        beta_lower=lower,
        beta_upper=upper,
        beta_first=first,
        correlation=(x * y).sum(axis=0) / np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0)),
        r2_in=1.0 - ((fit_y - first * fit_x) ** 2).sum(axis=0) / (fit_y**2).sum(axis=0),
        r2_out=1.0 - left / total,
        r2_out_lower=r2_low,
        r2_out_upper=r2_high,
        gain_over_one=1.0 - left / one,
        gain_lower=gain_low,
        gain_upper=gain_high,
        pooled_gain=1.0 - float(left @ share) / float(one @ share),
        pooled_lower=float(pooled[0]),
        pooled_upper=float(pooled[1]),
        residual_sd=np.sqrt(left / (steps - half)),
        trusted=np.array([reason == "ok" for reason in reasons]),
        reason=reasons,
        n_fit=half,
        n_judged=steps - half,
    )


def _reason(r2_lower: float, beta_lower: float, settings: BetaSettings) -> str:
    if not r2_lower >= settings.trusted_r2:
        return f"out-of-sample R² may be as low as {r2_lower:.2f}, below {settings.trusted_r2:g}"
    return "ok" if beta_lower > 0.0 else f"beta may be as low as {beta_lower:.2f}"


def _blocks(steps: int, settings: BetaSettings, rng: np.random.Generator) -> IntArray:
    """Rows of each resample of a moving block bootstrap, shape (resamples, steps)."""
    starts = rng.integers(
        0, steps - settings.block + 1, size=(settings.resamples, -(-steps // settings.block))
    )
    rows = (starts[:, :, None] + np.arange(settings.block)).reshape(settings.resamples, -1)
    return np.asarray(rows[:, :steps])


def _require(steps: PanelSteps, underlying: str, on: str) -> None:
    if underlying == on:
        raise ConfigError(f"expected two underlyings, found {on} twice: its beta on itself is 1")
    for name in (underlying, on):
        if name not in steps.spot:
            raise ConfigError(f"expected one of {steps.underlyings}, found {name}; add its panel")
