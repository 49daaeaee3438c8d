"""Options that settle on an average: Deribit's expiries on the mean of the index over the last 30 minutes.

Before the window the settlement price A moves with the index but less of it: what moves late counts little.
Let S be a geometric Brownian motion without drift, r the part of the window that lies ahead and U its begin
(now, once the window is open). A lognormal with the mean and the second moment of the mean over r has the
total variance

    w = vol²·V(now, U) + ln m,     m = 2/r² · ∫_U^T (T − u)·exp(vol²·V(U, u)) du,

V calendar or variance time. With a constant rate and x = vol²·r, m = 2(eˣ − 1 − x)/x² = 1 + x/3 + x²/12 + …:
far from expiry the average takes two thirds of the window off the time to expiry.

Inside the window a share f of the average is known, with mean M. Then A − K = (1 − f)·(A' − K'), A' the mean
over the rest and K' = (K − f·M)/(1 − f): an option on A', exact but for the lognormal shape of A'.

References
----------
Turnbull, Wakeman (1991), A quick algorithm for pricing European average options (moment matching).
Levy (1992), Pricing European average rate currency options, equations 6 to 9 (two moments, known part).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, format_ns
from ivhedge.pricing import black76_price
from ivhedge.surface.clock import VarianceClock

__all__ = [
    "SETTLEMENT_WINDOW_NS",
    "AveragedTerms",
    "averaged_price",
    "averaged_terms",
    "averaged_total_variance",
]

SETTLEMENT_WINDOW_NS = 1_800 * NS_PER_SECOND
"""Deribit's averaging window before an expiry: 30 minutes."""

_SERIES_BELOW = 0.5
_SERIES_TERMS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragedTerms:
    """What turns an option on the average into a plain one.

    The value is `scale · option(forward, strike, total_variance)`.

    Parameters
    ----------
    forward : FloatArray
        Expected mean of the index over the part of the window that lies ahead, USD.
    strike : FloatArray
        K' of the module, USD; zero or below when the known part alone ends above the strike: a call is then
        sure to be exercised.
    scale : FloatArray
        Share 1 − f of the average that is still open: 1 before the window, 0 at expiry.
    total_variance : FloatArray
        Of the log of the mean ahead.
    expected_settlement : FloatArray
        f·M + (1 − f)·forward, USD: the forward of the settlement price.
    """

    forward: FloatArray
    strike: FloatArray
    scale: FloatArray
    total_variance: FloatArray
    expected_settlement: FloatArray


def averaged_total_variance(
    ts_ns: ArrayLike,
    expiry_ns: ArrayLike,
    vol: ArrayLike,
    window_ns: int = SETTLEMENT_WINDOW_NS,
    clock: VarianceClock | None = None,
) -> FloatArray:
    """Total variance of the part of a settlement average that is not known yet, by its exact second moment.

    Parameters
    ----------
    ts_ns, expiry_ns : integer array_like, broadcastable
        Now and the end of the window, nanoseconds UTC.
    vol : array_like, broadcastable
        Vol of the index, decimal, per year of the clock's time.
    window_ns : int
        Length of the window, above 0 and at most a day.
    clock : VarianceClock, optional
        Calendar time without it.

    Returns
    -------
    FloatArray
        Before the window of the whole average; inside it of the mean over the rest, which has only the weight
        `1 − f` in the settlement (`averaged_terms`). 0 at expiry; w → vol²·(tau − 2/3·window) long before.

    Raises
    ------
    ConfigError
        If the window is not above zero and at most a day.
    DataError
        If an expiry lies before its time, a vol is negative or not finite, or a time is not an integer.
    """
    ts, expiry, vol_ = _broadcast(ts_ns, expiry_ns, vol, window_ns)
    clock = clock if clock is not None else _CALENDAR
    opens = np.maximum(ts, expiry - window_ns)
    variance = vol_ * vol_
    before = variance * clock.variance_time(ts, opens)
    return np.asarray(before + np.log1p(_excess_moment(opens, expiry, variance, window_ns, clock)))


def averaged_terms(
    ts_ns: ArrayLike,
    expiry_ns: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    vol: ArrayLike,
    known_average: ArrayLike | None = None,
    window_ns: int = SETTLEMENT_WINDOW_NS,
    clock: VarianceClock | None = None,
) -> AveragedTerms:
    """Forward, strike, scale and total variance of an option on the settlement average.

    Parameters
    ----------
    ts_ns, expiry_ns, vol, window_ns, clock
        As in `averaged_total_variance`.
    forward : array_like
        Forward of the index, inside the window the index itself, USD.
    strike : array_like
        USD.
    known_average : array_like, optional
        Mean of the index from the start of the window until now, USD; needed inside the window only, ignored
        (and may be NaN) before it.

    Returns
    -------
    AveragedTerms
        Arrays of the broadcast shape. At expiry `scale` is 0 and `strike` the plain strike.

    Raises
    ------
    ConfigError, DataError
        As in `averaged_total_variance`; DataError too if a price is not positive, or `known_average` is
        missing inside the window.
    """
    given = np.nan if known_average is None else known_average
    ts, expiry, F, K, vol_, known = np.broadcast_arrays(ts_ns, expiry_ns, forward, strike, vol, given)
    total = averaged_total_variance(ts, expiry, vol_, window_ns, clock)
    F, K = _positive(F, "forward"), _positive(K, "strike")
    left = np.minimum(np.asarray(expiry, np.int64) - np.asarray(ts, np.int64), window_ns)
    scale = left / window_ns
    inside = left < window_ns
    if bool(inside.any()):
        _positive(np.where(inside, known, 1.0), "known_average inside the window")
    M = np.where(inside, known, 0.0)
    fixed = (1.0 - scale) * M
    rest = np.where(scale > 0.0, scale, 1.0)
    return AveragedTerms(
        forward=F,
        strike=np.where(scale > 0.0, (K - fixed) / rest, K),
        scale=np.asarray(scale),
        total_variance=total,
        expected_settlement=fixed + scale * F,
    )


def averaged_price(terms: AveragedTerms, strike: ArrayLike, is_call: ArrayLike) -> FloatArray:
    """Undiscounted value of options on the settlement average.

    Parameters
    ----------
    terms : AveragedTerms
    strike : array_like
        The options' own strikes, USD.
    is_call : array_like of bool

    Returns
    -------
    FloatArray
        USD, of the shape of the terms.
    """
    K, call, k_adj = np.broadcast_arrays(
        np.asarray(strike, np.float64), np.asarray(is_call, bool), terms.strike
    )
    # A strike that the known part has passed leaves a forward contract; Black-76 needs a positive one.
    open_ = (k_adj > 0.0) & (terms.scale > 0.0) & (terms.total_variance > 0.0)
    call = np.array(call)
    plain = black76_price(
        np.array(np.broadcast_to(terms.forward, call.shape)),
        np.where(open_, k_adj, terms.forward),
        1.0,
        np.sqrt(np.where(open_, terms.total_variance, 1.0)),
        call,
    )
    sign = np.where(call, 1.0, -1.0)
    intrinsic = np.maximum(sign * (terms.expected_settlement - K), 0.0)
    return np.asarray(np.where(open_, terms.scale * plain, intrinsic))


_CALENDAR = VarianceClock.calendar()


def _broadcast(
    ts_ns: ArrayLike, expiry_ns: ArrayLike, vol: ArrayLike, window_ns: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Checked times and vols of one shape."""
    if not 0 < window_ns <= NS_PER_DAY:
        raise ConfigError(f"expected a window above zero and at most a day, found {window_ns} ns")
    ts, expiry, vols = np.broadcast_arrays(ts_ns, expiry_ns, vol)
    for name, times in (("ts_ns", ts), ("expiry_ns", expiry)):
        if not np.issubdtype(times.dtype, np.integer):
            raise DataError(f"expected {name} as integer nanoseconds UTC, found {times.dtype}; use to_ns")
    late = np.flatnonzero(expiry.ravel() < ts.ravel())
    if late.size:
        at = int(late[0])
        raise DataError(
            f"expected expiries at or after their times, found {format_ns(int(expiry.ravel()[at]))} before "
            f"{format_ns(int(ts.ravel()[at]))}; drop what has expired"
        )
    vols = np.asarray(vols, dtype=np.float64)
    if not bool((np.isfinite(vols) & (vols >= 0.0)).all()):
        raise DataError("expected finite vols of zero or more, found one that is not; drop or mend it")
    return ts.astype(np.int64), expiry.astype(np.int64), vols


def _positive(prices: ArrayLike, name: str) -> FloatArray:
    """Prices, each finite and above zero."""
    # A copy: views of broadcast arrays are read-only in a way that compiled kernels warn about.
    array = np.array(prices, dtype=np.float64)
    if not bool((np.isfinite(array) & (array > 0.0)).all()):
        raise DataError(f"expected a positive, finite {name}, found one that is not")
    return array


def _excess_moment(
    opens: IntArray, expiry: IntArray, variance: FloatArray, window_ns: int, clock: VarianceClock
) -> FloatArray:
    """Give m − 1 of the module, piece by piece of constant speed, cut at hours and edges of events."""
    hour = (opens // NS_PER_HOUR + 1) * NS_PER_HOUR
    cuts = [opens, *(hour + n * NS_PER_HOUR for n in range(window_ns // NS_PER_HOUR + 1)), expiry]
    cuts += [np.full_like(opens, edge) for event in clock.events for edge in (event.start_ns, event.end_ns)]
    edges = np.sort(np.clip(np.stack(cuts), opens, expiry), axis=0)
    length = (expiry - opens).astype(np.float64)
    length = np.where(length > 0.0, length, 1.0)
    total, so_far = np.zeros(opens.shape), np.zeros(opens.shape)
    for begin, end in pairwise(edges):
        z = variance * clock.variance_time(begin, end)
        part, after = (end - begin) / length, (expiry - end) / length
        grown = np.expm1(so_far)
        one, half = z * _phi(z, 2), z * _phi(z, 3)
        # e^s·φ1 − 1 and e^s·φ2 − 1/2, without the cancellation that a tiny variance would suffer.
        total += 2.0 * part * (after * (grown * (1.0 + one) + one) + part * (grown * (0.5 + half) + half))
        so_far = so_far + z
    return total


def _phi(z: FloatArray, order: int) -> FloatArray:
    """Give φ_n(z) = Σ z^j/(j + n)!, the exponential less its first n terms over zⁿ."""
    small = np.where(z < _SERIES_BELOW, z, 0.0)
    factorial = float(np.prod(np.arange(1.0, _SERIES_TERMS + order + 1.0)))
    series = np.zeros_like(z)
    for j in range(_SERIES_TERMS, -1, -1):
        series = series * small + 1.0 / factorial
        factorial /= j + order
    large = np.where(z < _SERIES_BELOW, 1.0, z)
    value = np.expm1(large) / large
    inverse = 1.0
    for n in range(1, order):
        inverse /= n
        value = (value - inverse) / large
    return np.where(z < _SERIES_BELOW, series, value)
