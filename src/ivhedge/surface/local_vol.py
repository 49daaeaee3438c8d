"""Local volatility of a surface, Dupire's formula in log-moneyness and total variance.

    σ_loc²(k, τ) = ∂w/∂τ at fixed k ÷ g(k)                 (Gatheral 2006, equation 1.10)

g is the butterfly factor `density_factor`; k = ln(K/F(τ)) on the forward of the same time, so that carry and
funding do not enter. Surfaces are piecewise smooth in time: at a fitted expiry the left and the right
derivative differ, and the one of the interval asked for is taken, never a mean of both. Nothing is floored: a
falling total variance or a density that is not positive is a status, not a number.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np

from ivhedge.core.errors import ArbitrageError, ConfigError
from ivhedge.core.types import ArrayLike, FloatArray, StatusArray
from ivhedge.core.units import year_fraction
from ivhedge.surface.base import VolSurface
from ivhedge.surface.certificate import density_factor
from ivhedge.surface.density import checked_tau, smile_derivatives

__all__ = ["LocalVariance", "LocalVolStatus", "local_variance", "local_vol", "time_slope"]

Side: TypeAlias = Literal["right", "left"]
"""Which interval a fitted expiry belongs to."""

_STEP = 1e-3
_ROUNDING = 1e-13
_NO_DENSITY = 1e-12


class LocalVolStatus(IntEnum):
    """Whether a local variance exists; it is NaN exactly where the status is not `OK`."""

    OK = 0
    CALENDAR = 1
    BUTTERFLY = 2
    NOT_FINITE = 3

    def describe(self) -> str:
        """Say in words what happened and what to do about it."""
        return _REMEDIES[self.value]


_REMEDIES = {
    0: "local variance found",
    1: "total variance falls in time at this strike: calendar arbitrage; certify the surface",
    2: "the density is not positive at this strike: butterfly arbitrage; certify the surface",
    3: "a total variance is not positive and finite here; check strikes, or certify the surface",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalVariance:
    """Local variances and why some are missing, arrays of the broadcast shape.

    Parameters
    ----------
    variance : FloatArray
        Annualised; NaN exactly where the status is not ok.
    status : StatusArray
        `LocalVolStatus` per item.
    """

    variance: FloatArray
    status: StatusArray


def time_slope(
    surface: VolSurface,
    log_moneyness: ArrayLike,
    tau: ArrayLike,
    *,
    side: Side = "right",
) -> FloatArray:
    """Slope of the total variance in time at fixed log-moneyness.

    Parameters
    ----------
    surface : VolSurface
    log_moneyness, tau : array_like, broadcastable
        ``ln(K / F)``; years, positive.
    side : {"right", "left"}
        Which interval a fitted expiry belongs to.

    Returns
    -------
    FloatArray

    Raises
    ------
    ConfigError
        If a tau is not positive and finite, or `side` is unknown.

    Notes
    -----
    Differences of fourth order whose five times all lie in one interval between fitted expiries: central
    inside, one-sided at its ends. The interval before the first expiry reaches to 0, that after the last to
    infinity.
    """
    return _time_slope(surface, log_moneyness, tau, side)[0]


def local_variance(
    surface: VolSurface,
    log_moneyness: ArrayLike,
    tau: ArrayLike,
    *,
    side: Side = "right",
) -> LocalVariance:
    """Dupire's local variance, with a status per item.

    Parameters
    ----------
    surface : VolSurface
    log_moneyness, tau : array_like, broadcastable
        ``ln(S / F(tau))``; years, positive.
    side : {"right", "left"}
        Which interval a fitted expiry belongs to; a step forward in time from there needs the right one.

    Returns
    -------
    LocalVariance

    Raises
    ------
    ConfigError
        If a tau is not positive and finite, or `side` is unknown.
    """
    k, years = np.broadcast_arrays(np.asarray(log_moneyness, dtype=np.float64), checked_tau(tau))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        rise, step = _time_slope(surface, k, years, side)
        w, slope, curvature = smile_derivatives(surface, k, years)
        density = density_factor(k, w, slope, curvature)
        finite = np.isfinite(rise) & np.isfinite(density) & (w > 0.0) & np.isfinite(w)
        # A slope of zero may come out negative by the rounding of the differences.
        rise = np.where((rise < 0.0) & (rise > -_ROUNDING * w / step), 0.0, rise)
        status = np.where(density > _NO_DENSITY, LocalVolStatus.OK, LocalVolStatus.BUTTERFLY)
        status = np.where(rise >= 0.0, status, LocalVolStatus.CALENDAR)
        status = np.where(finite, status, LocalVolStatus.NOT_FINITE)
        good = status == LocalVolStatus.OK
        variance = np.where(good, rise / np.where(good, density, 1.0), np.nan)
    return LocalVariance(variance=np.asarray(variance), status=status.astype(np.uint8))


def local_vol(
    surface: VolSurface,
    log_moneyness: ArrayLike,
    tau: ArrayLike,
    *,
    side: Side = "right",
) -> FloatArray:
    """Dupire's local volatility where it exists everywhere asked for.

    Parameters
    ----------
    surface, log_moneyness, tau, side
        As in `local_variance`.

    Returns
    -------
    FloatArray
        Decimal vol.

    Raises
    ------
    ConfigError
        As in `local_variance`.
    ArbitrageError
        If a point has none; the message names the first and the reason.
    """
    found = local_variance(surface, log_moneyness, tau, side=side)
    bad = found.status != LocalVolStatus.OK
    if bad.any():
        k, years = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
        reason = LocalVolStatus(int(found.status[bad].flat[0])).describe()
        raise ArbitrageError(
            f"expected a local volatility at every point, found none at {int(bad.sum())} of {bad.size}, the "
            f"first at log-moneyness {k[bad].flat[0]:.4g}, tau {years[bad].flat[0]:.4g}: {reason}"
        )
    return np.asarray(np.sqrt(found.variance))


def _time_slope(
    surface: VolSurface, log_moneyness: ArrayLike, tau: ArrayLike, side: Side
) -> tuple[FloatArray, FloatArray]:
    """Slope of the total variance in time, and the step of its differences."""
    if side not in ("right", "left"):
        raise ConfigError(f"expected side 'right' or 'left', found {side!r}")
    k, years = np.broadcast_arrays(np.asarray(log_moneyness, dtype=np.float64), checked_tau(tau))
    knots = year_fraction(surface.ts_ns, surface.expiries)
    edges = np.concatenate(([0.0], knots[knots > 0.0], [np.inf]))
    # A tau that was rounded on its way belongs to the expiry it was meant for.
    nearest = edges[np.argmin(np.abs(edges[:-1] - years[..., None]), axis=-1)]
    years = np.where(np.isclose(years, nearest, rtol=1e-12, atol=0.0), nearest, years)
    at = np.searchsorted(edges, years, side=side) - 1
    low, high = edges[at], edges[at + 1]
    step = _STEP * np.minimum(high - low, years)
    # First of the five times in steps from tau: −2 is central.
    start = np.full(years.shape, -2.0)
    start = np.where(years - 2.0 * step < low, 0.0, start)
    start = np.where(years + 2.0 * step > high, -4.0, start)
    forward = start == 0.0
    signed = np.where(forward, step, -step)
    central = start == -2.0

    def at_step(n: float) -> FloatArray:
        return np.asarray(surface.total_variance(k, years + n * np.where(central, step, signed)))

    one, two = at_step(1.0), at_step(2.0)
    middle = (8.0 * (one - at_step(-1.0)) - (two - at_step(-2.0))) / (12.0 * step)
    if central.all():
        return np.asarray(middle), np.asarray(step)
    ends = -25.0 * at_step(0.0) + 48.0 * one - 36.0 * two + 16.0 * at_step(3.0) - 3.0 * at_step(4.0)
    return np.asarray(np.where(central, middle, ends / (12.0 * signed))), np.asarray(step)
