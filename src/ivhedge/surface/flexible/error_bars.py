"""Standard deviations of the vols of a flexible surface."""

import numpy as np

from ivhedge.core.errors import CalibrationError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.pricing import black76_price
from ivhedge.surface.flexible.basis import Basis, kernel_basis, projected_weights
from ivhedge.surface.flexible.quotes import FlexibleQuotes
from ivhedge.surface.flexible.result import FlexibleFit, FlexibleSettings

__all__ = ["error_bars"]

BAND_PRECISION = 3.0
"""Of a price that may lie anywhere in its band, in half-spreads."""
SMALLEST_RATIO = 1e-6
"""Of a weight to that of the backbone, below which it counts as held at zero."""
HOLD = 1e-6
SMALLEST_HALF_SPREAD = 1e-6


def error_bars(
    quotes: FlexibleQuotes,
    fit: FlexibleFit,
    settings: FlexibleSettings | None = None,
    *,
    log_moneyness: ArrayLike | None = None,
    expiry: ArrayLike | None = None,
) -> FloatArray:
    """Standard deviation of the fitted vol at quotes or at other strikes of the fitted expiries.

    Parameters
    ----------
    quotes : FlexibleQuotes
        What `fit` was fitted to.
    fit : FlexibleFit
    settings : FlexibleSettings, optional
        Those of the fit.
    log_moneyness : array_like, shape (p,), optional
        ln(K / F); the quotes' own if left out.
    expiry : array_like of int, shape (p,), optional
        Position of each point's expiry in ``quotes.taus``; goes with `log_moneyness`.

    Returns
    -------
    FloatArray, shape (p,)
        Decimal vol. Infinite for expiries where no quote is believed, and where a vol of any size would give
        the same price to the last digit: the quotes say nothing there.

    Raises
    ------
    CalibrationError
        If the fit belongs to other quotes.
    DataError
        If points are not finite, have no such expiry, or only one of the two arrays is given.

    Notes
    -----
    The penalty on roughness read as a prior, the fit is the mode of a posterior whose precision is
    ``A'A / noise² + smoothness·R`` on the weights that are not held at zero and keep sum and mean; A holds
    prices in half-spreads. A believed two-sided quote without a mid counts with the variance 1/3 of a price
    anywhere in its band; a one-sided one counts with none. To the variance of the price comes the square
    of what the share of the backbone moved it by. Where believed mids lie farther from the fit than their
    noise explains, the bars of the expiry are longer by that ratio (Birge). Calendar constraints are left
    out, which makes the bars a little too long, and so is the choice of which quotes to believe, which makes
    them too short where that was wrong. Where the fit raised its `mix` they are too short too, and so they
    are where the smile bends more sharply than kernels of their least width can.

    References
    ----------
    Birge (1932), The calculation of errors by the method of least squares.
    Wahba (1983), Bayesian "confidence intervals" for the cross-validated smoothing spline.
    """
    settings = settings or FlexibleSettings()
    k, owner = _points(quotes, fit, log_moneyness, expiry)
    surface = fit.surface
    slices = np.column_stack(surface.backbone.slice_parameters(quotes.taus))
    # A wide law that was added for the proof is not fitted.
    m = surface.mean.shape[1] - (fit.wide > 0.0)
    mean, weight = surface.mean[:, :m], surface.weight[:, :m]
    if np.ptp(mean, axis=1).min() == 0.0:
        return np.full(k.shape, np.inf)
    # A warm fit may have kept the kernels of an earlier backbone.
    z = kernel_basis(np.ones(1), settings.basis).z
    deviation = np.log(mean[:, -1]) / z[-1]
    basis = Basis(z=z, deviation=deviation, mean=mean, width=surface.width[:, :m])
    heavy = np.gradient(z) / (1.0 + np.abs(z)) ** 2
    scale = projected_weights(basis, *slices.T) + settings.tail * z.size * heavy / heavy.sum()
    out = np.full(k.shape, np.inf)
    for e in range(quotes.taus.size):
        at = np.flatnonzero(owner == e)
        information = _information(quotes, fit, basis, e, scale[e])
        if at.size == 0 or information is None:
            continue
        precision = information + settings.smoothness * _roughness(z.size) + HOLD * np.eye(z.size)
        covariance = _covariance(precision, scale[e], mean[e], weight[e])
        rows = _prices(basis, e, k[at]) * scale[e]
        own = rows @ (weight[e] / scale[e])
        variance = np.einsum("pm,mn,pn->p", rows, covariance, rows) * (1.0 - surface.mix) ** 2
        sd = _in_vol(fit, k[at], float(quotes.taus[e]), own, variance)
        out[at] = sd * _misfit(quotes, fit, e)
    return out


def _points(
    quotes: FlexibleQuotes, fit: FlexibleFit, log_moneyness: ArrayLike | None, expiry: ArrayLike | None
) -> tuple[FloatArray, IntArray]:
    own: IntArray = np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))
    if fit.used.shape != own.shape or not np.array_equal(fit.surface.expiries, quotes.expiries):
        raise CalibrationError("expected the quotes of the fit, found others; pass those it was fitted to")
    if (log_moneyness is None) != (expiry is None):
        raise DataError("expected log_moneyness and expiry together, found only one of them")
    if log_moneyness is None:
        return quotes.log_moneyness, own
    k, owner = np.broadcast_arrays(np.asarray(log_moneyness, dtype=np.float64), np.asarray(expiry))
    if k.ndim != 1 or not np.isfinite(k).all():
        raise DataError("expected one-dimensional finite log-moneyness ln(K / F); check strikes and forwards")
    if owner.dtype.kind not in "iu" or ((owner < 0) | (owner >= quotes.taus.size)).any():
        raise DataError(f"expected whole expiry positions from 0 to {quotes.taus.size - 1}")
    return k, owner.astype(np.int64)


def _prices(basis: Basis, e: int, k: FloatArray) -> FloatArray:
    """Out-of-the-money prices of the kernels of one expiry, forward 1, shape (k, m)."""
    strike, is_call = np.exp(k)[:, None], (k >= 0.0)[:, None]
    price: FloatArray = black76_price(basis.mean[e], strike, 1.0, basis.width[e], is_call)
    return price


def _information(
    quotes: FlexibleQuotes, fit: FlexibleFit, basis: Basis, e: int, scale: FloatArray
) -> FloatArray | None:
    """What the believed quotes of one expiry say about its weights, None where there is none."""
    rows = quotes.rows(e)
    used: BoolArray = fit.used[rows] & np.isfinite(quotes.bid_vol[rows]) & np.isfinite(quotes.ask_vol[rows])
    if not used.any():
        return None
    k, tau = quotes.log_moneyness[rows][used], float(quotes.taus[e])
    bid, ask = (
        black76_price(1.0, np.exp(k), tau, side[rows][used], k >= 0.0)
        for side in (quotes.bid_vol, quotes.ask_vol)
    )
    half = np.maximum(0.5 * (ask - bid), SMALLEST_HALF_SPREAD * np.median(basis.width[e]))
    a = _prices(basis, e, k) * scale / half[:, None]
    pulled = np.isfinite(quotes.mid_vol[rows][used])
    weight = np.where(pulled, fit.noise[e] ** -2.0, BAND_PRECISION) * quotes.reliance[rows][used]
    return np.asarray(a.T @ (a * weight[:, None]))


def _misfit(quotes: FlexibleQuotes, fit: FlexibleFit, e: int) -> float:
    """Root mean square of the believed mids' distances in units of their noise, at least 1."""
    rows = quotes.rows(e)
    pulled = fit.used[rows] & np.isfinite(quotes.mid_vol[rows]) & np.isfinite(fit.fitted_vol[rows])
    if not pulled.any():
        return 1.0
    half = np.maximum(0.5 * (quotes.ask_vol[rows] - quotes.bid_vol[rows])[pulled], 1e-4)
    distance = (quotes.mid_vol[rows] - fit.fitted_vol[rows])[pulled] / half
    return max(1.0, float(np.sqrt(np.mean(distance**2))) / float(fit.noise[e]))


def _roughness(m: int) -> FloatArray:
    second = np.diff(np.eye(m), 2, axis=0)
    return np.asarray(second.T @ second)


def _covariance(precision: FloatArray, scale: FloatArray, mean: FloatArray, weight: FloatArray) -> FloatArray:
    """Inverse of the precision on the weights above zero, whose sum and mean do not move."""
    free = np.flatnonzero(weight > SMALLEST_RATIO * scale)
    full = np.zeros_like(precision)
    if free.size <= 2:
        return full
    held = np.stack((scale[free], scale[free] * (mean[free] - 1.0)))
    null = np.linalg.svd(held)[2][2:].T
    inner = np.linalg.pinv(null.T @ precision[np.ix_(free, free)] @ null, hermitian=True)
    full[np.ix_(free, free)] = null @ inner @ null.T
    return full


def _in_vol(fit: FlexibleFit, k: FloatArray, tau: float, own: FloatArray, variance: FloatArray) -> FloatArray:
    vol = fit.surface.implied_vol(k, tau)
    total = vol * np.sqrt(tau)
    price = black76_price(1.0, np.exp(k), tau, vol, k >= 0.0)
    d1 = -k / total + 0.5 * total
    vega = np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi) * np.sqrt(tau)
    sd = np.sqrt(np.maximum(variance, 0.0) + (price - own) ** 2)
    return np.asarray(np.divide(sd, vega, out=np.full(k.shape, np.inf), where=vega > 1e-12))
