"""A smile in the market's own terms: strikes by delta, at-the-money vol, risk reversal, butterfly.

Deltas are those of the forward, undiscounted, with d1, d2 on the vol of the strike itself:

| convention | call | put |
|---|---|---|
| forward | N(d1) | −N(−d1) |
| premium-adjusted, the delta in coin of a coin-settled option | N(d1) − V/F = (K/F)·N(d2) | −(K/F)·N(−d2) |

The forward delta and the premium-adjusted put delta are monotone in the strike on any smile free of
arbitrage (Fukasawa 2012): one strike per delta. The premium-adjusted call delta is 0 at both ends and has a
maximum between: two strikes or none. The branch is the one of the higher strike, the largest strike with that
delta, as on FX desks (Reiswich, Wystup 2010).

Butterflies are smile strangles: the mean vol of the delta call and the delta put less the vol at the money.
They are not market strangles, whose single vol reprices the pair of options.

References
----------
Reiswich, Wystup (2010), A guide to FX options quoting conventions.
Clark (2011), Foreign exchange option pricing, chapter 3.
Fukasawa (2012), The normalizing transformation of the implied volatility smile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray, StatusArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.surface.base import VolSurface
from ivhedge.surface.density import law_reach

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "AtmConvention",
    "DeltaConvention",
    "DeltaStrikes",
    "SmileQuotes",
    "StrikeStatus",
    "atm_log_moneyness",
    "log_moneyness_of_d",
    "log_moneyness_of_delta",
    "smile_quotes",
    "smile_table",
    "strikes_of_delta",
]

_BRACKET_SD = 12.0
_DOUBLINGS = 10
_BISECTIONS = 60
_GRID = 400
_ZOOMS = 4


class DeltaConvention(StrEnum):
    """Which delta is quoted, see the head of the module."""

    FORWARD = "forward"
    PREMIUM_ADJUSTED = "premium_adjusted"


class AtmConvention(StrEnum):
    """Which strike is at the money: the forward, or where a straddle has no delta."""

    FORWARD = "forward"
    DELTA_NEUTRAL = "delta_neutral"


class StrikeStatus(IntEnum):
    """Whether a delta has a strike; strike and vol are NaN exactly where it is not `OK`."""

    OK = 0
    ABOVE_MAXIMUM = 1
    NO_STRIKE = 2

    def describe(self) -> str:
        """Say in words what happened and what to do about it."""
        return _REMEDIES[self.value]


_REMEDIES = {
    0: "strike found",
    1: "delta above the largest premium-adjusted call delta of this smile: ask for a smaller one",
    2: "no strike of this delta within reach: certify the surface",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaStrikes:
    """Strikes of given deltas, arrays of the broadcast shape.

    Parameters
    ----------
    log_moneyness, strike, vol : FloatArray
        ``ln(K / F)``, USD, decimal.
    status : StatusArray
        `StrikeStatus` per item.
    """

    log_moneyness: FloatArray
    strike: FloatArray
    vol: FloatArray
    status: StatusArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SmileQuotes:
    """A term structure of smiles at constant tenors, decimals, each of shape (n,).

    `atm_vol` is the vol at the forward; the risk reversal is the vol of the delta call less that of the
    delta put; the butterfly is their mean less `atm_vol`.
    """

    tau: FloatArray
    atm_vol: FloatArray
    risk_reversal: FloatArray
    butterfly: FloatArray


def log_moneyness_of_d(
    surface: VolSurface, tau: ArrayLike, target: ArrayLike, *, sign: float
) -> tuple[FloatArray, BoolArray]:
    """Log-moneyness at which d1 or d2 of the surface's own smile takes a value.

    Parameters
    ----------
    surface : VolSurface
    tau, target : array_like, broadcastable
        Years, positive; value of d.
    sign : float
        +1 for d1, −1 for d2.

    Returns
    -------
    (log_moneyness, found) : FloatArray, BoolArray
        By bisection: d1 and d2 fall in the strike on a smile free of arbitrage (Fukasawa 2012). Where
        `found` is False the value lies beyond the last strike tried, 12,288 standard deviations away.
    """
    years, wanted = np.broadcast_arrays(np.asarray(tau, dtype=float), np.asarray(target, dtype=float))

    def exceeds(k: FloatArray) -> BoolArray:
        total_vol = np.sqrt(surface.total_variance(k, years))
        return np.asarray(-k / total_vol + sign * 0.5 * total_vol > wanted)

    reach = _BRACKET_SD * np.sqrt(surface.total_variance(np.zeros_like(years), years))
    low, high = -reach, reach
    for _ in range(_DOUBLINGS):
        left, right = exceeds(low), ~exceeds(high)
        if left.all() and right.all():
            break
        low, high = np.where(left, low, 2.0 * low), np.where(right, high, 2.0 * high)
    found = exceeds(low) & ~exceeds(high)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        too_low = exceeds(middle)
        low = np.where(too_low, middle, low)
        high = np.where(too_low, high, middle)
    return np.asarray(0.5 * (low + high), dtype=np.float64), np.asarray(found)


def log_moneyness_of_delta(surface: VolSurface, tau: ArrayLike, call_delta: ArrayLike) -> FloatArray:
    """Log-moneyness whose option has a given forward call delta on the surface's own smile.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, broadcastable
        Years, positive.
    call_delta : array_like, broadcastable
        Forward delta ``N(d1)`` of the call, in (0, 1); the put of delta −0.25 has call delta 0.75.

    Returns
    -------
    FloatArray
        ``ln(K / F)``; solved by bisection, because ``d1`` falls in the strike on a smile free of
        arbitrage.

    Raises
    ------
    ConfigError
        If a tenor is not positive, a delta lies outside (0, 1), or no strike has that delta.
    """
    from scipy.special import ndtri

    tau_, delta_ = np.broadcast_arrays(np.asarray(tau, dtype=float), np.asarray(call_delta, dtype=float))
    if not (np.all(tau_ > 0) and np.all((delta_ > 0) & (delta_ < 1))):
        raise ConfigError("expected tau > 0 and call_delta in (0, 1)")
    k, found = log_moneyness_of_d(surface, tau_, ndtri(delta_), sign=1.0)
    if not found.all():
        raise ConfigError(
            f"expected deltas that the smile attains, found {delta_[~found].ravel()[:3].tolist()}; "
            "use strikes_of_delta for a status per item"
        )
    return k


def strikes_of_delta(
    surface: VolSurface,
    tau: ArrayLike,
    delta: ArrayLike,
    *,
    convention: DeltaConvention | str = DeltaConvention.FORWARD,
) -> DeltaStrikes:
    """Strikes, and their vols, of options with given deltas on the surface's own smile.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, broadcastable
        Years, positive.
    delta : array_like, broadcastable
        Signed: positive for a call, below 1; negative for a put, above −1 for the forward delta (a
        premium-adjusted put delta may be lower).
    convention : DeltaConvention or str

    Raises
    ------
    ConfigError
        If a tenor is not positive or a delta is impossible in the convention.
    """
    from scipy.special import ndtri

    convention = DeltaConvention(convention)
    adjusted = convention is DeltaConvention.PREMIUM_ADJUSTED
    years, wanted = np.broadcast_arrays(np.asarray(tau, dtype=float), np.asarray(delta, dtype=float))
    lowest = -np.inf if adjusted else -1.0
    if not (
        np.all((years > 0) & (years < np.inf)) and np.all((wanted > lowest) & (wanted < 1.0) & (wanted != 0))
    ):
        raise ConfigError(
            "expected tau > 0 and deltas in (0, 1) for calls, negative (forward delta: above -1) for puts, "
            f"found tau from {years.min()} and deltas from {wanted.min()} to {wanted.max()}"
        )
    if adjusted:
        k, status = _adjusted_strikes(surface, np.atleast_1d(years), np.atleast_1d(wanted))
        k, status = k.reshape(years.shape), status.reshape(years.shape)
    else:
        # N(d1) of the put's strike is 1 + delta.
        target = np.where(wanted > 0, ndtri(np.abs(wanted)), -ndtri(np.abs(wanted)))
        k, found = log_moneyness_of_d(surface, years, target, sign=1.0)
        status = np.where(found, StrikeStatus.OK, StrikeStatus.NO_STRIKE).astype(np.uint8)
    good = status == StrikeStatus.OK
    vol = np.asarray(surface.implied_vol(np.where(good, k, 0.0), years))
    k = np.where(good, k, np.nan)
    return DeltaStrikes(
        log_moneyness=k,
        strike=np.asarray(surface.forward(years) * np.exp(k)),
        vol=np.where(good, vol, np.nan),
        status=status,
    )


def atm_log_moneyness(
    surface: VolSurface,
    tau: ArrayLike,
    *,
    atm: AtmConvention | str = AtmConvention.FORWARD,
    convention: DeltaConvention | str = DeltaConvention.FORWARD,
) -> FloatArray:
    """Log-moneyness of the at-the-money strike.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like
        Years, positive.
    atm : AtmConvention or str
        The forward: 0. Delta-neutral straddle: d1 = 0, hence k = w/2, for the forward delta; d2 = 0,
        hence k = −w/2, for the premium-adjusted one.
    convention : DeltaConvention or str

    Raises
    ------
    ConfigError
        If a tenor is not positive, or no straddle is delta-neutral within reach.
    """
    years = np.asarray(tau, dtype=float)
    if not np.all((years > 0) & (years < np.inf)):
        raise ConfigError(f"expected tau > 0 in years, found {years.tolist()}")
    if AtmConvention(atm) is AtmConvention.FORWARD:
        return np.zeros_like(years)
    sign = 1.0 if DeltaConvention(convention) is DeltaConvention.FORWARD else -1.0
    k, found = log_moneyness_of_d(surface, years, 0.0, sign=sign)
    if not found.all():
        raise ConfigError(
            f"expected a delta-neutral straddle at every tenor, found none at {years[~found].tolist()}; "
            "certify the surface"
        )
    return k


def smile_quotes(surface: VolSurface, tau: ArrayLike, *, delta: float = 0.25) -> SmileQuotes:
    """Quote the surface at constant tenors.

    Parameters
    ----------
    surface : VolSurface
    tau : array_like, shape (n,)
        Years, positive.
    delta : float
        Absolute forward delta of the wings.

    Raises
    ------
    ConfigError
        If a tenor is not positive or `delta` lies outside (0, 0.5).
    """
    if not 0.0 < delta < 0.5:
        raise ConfigError(f"expected delta in (0, 0.5), found {delta}")
    tenors = np.atleast_1d(np.asarray(tau, dtype=float))
    call = surface.implied_vol(log_moneyness_of_delta(surface, tenors, delta), tenors)
    put = surface.implied_vol(log_moneyness_of_delta(surface, tenors, 1.0 - delta), tenors)
    atm = surface.implied_vol(np.zeros_like(tenors), tenors)
    return SmileQuotes(tau=tenors, atm_vol=atm, risk_reversal=call - put, butterfly=0.5 * (call + put) - atm)


def smile_table(
    surface: VolSurface,
    tenors: ArrayLike,
    deltas: ArrayLike = (0.25, 0.10),
    *,
    convention: DeltaConvention | str = DeltaConvention.FORWARD,
    atm: AtmConvention | str = AtmConvention.FORWARD,
) -> "pl.DataFrame":
    """Quote the surface at constant tenors and deltas, one row for each pair.

    Parameters
    ----------
    surface : VolSurface
    tenors : array_like, shape (n,)
        Years, positive.
    deltas : array_like, shape (m,)
        Absolute deltas of the wings, in (0, 0.5).
    convention : DeltaConvention or str
    atm : AtmConvention or str

    Returns
    -------
    pl.DataFrame
        tenor_days, tau, forward, atm_strike, atm_vol, delta, put_strike, put_vol, call_strike, call_vol,
        risk_reversal (call vol less put vol), butterfly (smile strangle, see the module), status (``ok``,
        or the name of the `StrikeStatus` of the side without a strike, whose columns are null).

    Raises
    ------
    ConfigError
        If a tenor is not positive or a delta lies outside (0, 0.5).
    """
    import polars as pl

    years = np.atleast_1d(np.asarray(tenors, dtype=float))
    size = np.atleast_1d(np.asarray(deltas, dtype=float))
    if years.ndim != 1 or size.ndim != 1 or not np.all((size > 0.0) & (size < 0.5)):
        raise ConfigError(f"expected tenors (n,) and deltas (m,) in (0, 0.5), found {size.tolist()}")
    at = atm_log_moneyness(surface, years, atm=atm, convention=convention)
    forward, atm_vol = np.asarray(surface.forward(years)), np.asarray(surface.implied_vol(at, years))
    tau, delta = (array.ravel() for array in np.meshgrid(years, size, indexing="ij"))
    call, put = (strikes_of_delta(surface, tau, side * delta, convention=convention) for side in (1.0, -1.0))
    worst = np.maximum(call.status, put.status)

    def each(values: FloatArray) -> FloatArray:
        return np.repeat(values, size.size)

    columns: dict[str, FloatArray | list[str]] = {
        "tenor_days": DAYS_PER_YEAR * tau,
        "tau": tau,
        "forward": each(forward),
        "atm_strike": each(forward * np.exp(at)),
        "atm_vol": each(atm_vol),
        "delta": delta,
        "put_strike": put.strike,
        "put_vol": put.vol,
        "call_strike": call.strike,
        "call_vol": call.vol,
        "risk_reversal": call.vol - put.vol,
        "butterfly": 0.5 * (call.vol + put.vol) - each(atm_vol),
        "status": [StrikeStatus(int(code)).name.lower() for code in worst],
    }
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def _adjusted_strikes(
    surface: VolSurface, years: FloatArray, wanted: FloatArray
) -> tuple[FloatArray, StatusArray]:
    """Premium-adjusted deltas: the largest strike with the delta for calls, the only one for puts."""
    from scipy.special import ndtr

    is_call = wanted > 0
    size = np.abs(wanted)

    def short_of(k: FloatArray) -> FloatArray:
        # Delta less the one asked for, both as sizes; the axes after those of `wanted` are strikes.
        extra = (...,) + (None,) * (k.ndim - wanted.ndim)
        root = np.sqrt(surface.total_variance(k, years[extra]))
        side = np.where(is_call, 1.0, -1.0)[extra]
        d2 = -k / root - 0.5 * root
        return np.asarray(np.exp(np.minimum(k, 700.0)) * ndtr(side * d2) - size[extra])

    unit = np.sqrt(surface.total_variance(np.zeros_like(years), years))[..., None]
    left, right = (np.arcsinh(end[..., None] / unit) for end in law_reach(surface, years))
    # Left to right over all of the law, dense at the money.
    grid = unit * np.sinh(-left + (left + right) * np.linspace(0.0, 1.0, _GRID))
    values = short_of(grid)
    peak = np.argmax(values, axis=-1)[..., None]
    rows = np.arange(_GRID)
    # Calls: last strike that still has the delta. Puts: the delta grows in the strike, first that has it.
    enough = values >= 0.0
    last = np.max(np.where(enough, rows, -1), axis=-1)
    first = np.min(np.where(enough, rows, _GRID), axis=-1)
    low_at = np.where(is_call, last, first - 1)
    inside = (low_at >= 0) & (low_at < _GRID - 1)
    low, high = (
        np.take_along_axis(grid, np.clip(low_at + step, 0, _GRID - 1)[..., None], axis=-1)[..., 0]
        for step in (0, 1)
    )
    # Where no grid strike has the call delta, the maximum itself may, between the neighbours of the peak.
    top, top_value = _zoom(short_of, grid, peak)
    near_peak = is_call & (last < 0) & (top_value >= 0.0)
    beyond = np.take_along_axis(grid, np.minimum(peak + 1, _GRID - 1), axis=-1)[..., 0]
    low, high = np.where(near_peak, top, low), np.where(near_peak, beyond, high)
    status = np.where(inside | near_peak, StrikeStatus.OK, StrikeStatus.NO_STRIKE)
    status = np.where(is_call & (last < 0) & ~near_peak, StrikeStatus.ABOVE_MAXIMUM, status)
    falls = np.where(is_call, 1.0, -1.0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        too_low = falls * short_of(middle) >= 0.0
        low = np.where(too_low, middle, low)
        high = np.where(too_low, high, middle)
    return np.asarray(0.5 * (low + high)), status.astype(np.uint8)


def _zoom(
    value: Callable[[FloatArray], FloatArray], grid: FloatArray, peak: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Strike and value of the maximum between the neighbours of the highest grid strike."""
    low, high = (
        np.take_along_axis(grid, np.clip(peak + step, 0, _GRID - 1), axis=-1)[..., 0] for step in (-1, 1)
    )
    share = np.linspace(0.0, 1.0, 33)
    for _ in range(_ZOOMS):
        fine = low[..., None] + (high - low)[..., None] * share
        found = value(fine)
        best = np.argmax(found, axis=-1)[..., None]
        low, high = (
            np.take_along_axis(fine, np.clip(best + step, 0, 32), axis=-1)[..., 0] for step in (-1, 1)
        )
    at, top = (np.take_along_axis(array, best, axis=-1)[..., 0] for array in (fine, found))
    return np.asarray(at), np.asarray(top)
