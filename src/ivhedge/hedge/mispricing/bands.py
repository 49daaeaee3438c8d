"""What each quote should be: the surface, the venue's bias, and what its neighbours say, with an error."""

from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.market.vols import QuoteStatus, QuoteVols
from ivhedge.pricing import black76_greeks, black76_price
from ivhedge.surface.base import VolSurface
from ivhedge.surface.fusion.fuse import FusedSurface
from ivhedge.surface.fusion.model import VenueModel
from ivhedge.surface.fusion.quotes import Z_LIMIT

__all__ = ["BandSettings", "FairBand", "VolError", "fair_band", "fused_error"]

_ROUNDS = 12
_HALF_LIFE_S = 60.0  # of a row's say in its venue's forward
_HUBER = 1.345
_MAD = 1.4826


class VolError(Protocol):
    """Error of a surface, as the `vol_error` of a `SurfaceFit` or a `StreamSnapshot`."""

    def __call__(self, log_moneyness: FloatArray, expiry: IntArray, /) -> FloatArray:
        """Standard deviation of the vol at log-moneyness and position of the expiry, decimal."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BandSettings:
    """How neighbours are asked.

    Parameters
    ----------
    bandwidth : float
        Of the kernel, in standard deviations of log-moneyness.
    floor_vol : float
        Least error of a neighbour's mid, decimal vol.
    min_quotes : float
        Neighbours' effective number below which a quote is not judged.
    unknown_error : float
        Standard deviation of the surface where it has no error of its own, decimal vol.
    max_forward_gap : float
        Largest distance of a venue's forward from the surface's, relative: beyond, the venue stands still or
        quotes in a currency off its peg, and is not judged.
    """

    bandwidth: float = 0.35
    floor_vol: float = 5e-4
    min_quotes: float = 3.0
    unknown_error: float = 5e-3
    max_forward_gap: float = 5e-3

    def __post_init__(self) -> None:
        for name in ("bandwidth", "floor_vol", "min_quotes", "unknown_error", "max_forward_gap"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0.0):
                raise ConfigError(f"expected {name} above 0, found {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FairBand:
    """Fair vols of the rows of a `QuoteVols`; arrays of shape (n,).

    Parameters
    ----------
    quotes : QuoteVols
    forward : FloatArray
        The venue's forward of the expiry now, USD: a quote that stood still carries an older one, and is
        traded against this.
    vol : FloatArray
        Fair mid vol of this venue's quote, decimal, its usual bias inside; NaN where not judged.
    error : FloatArray
        Standard deviation, decimal vol.
    deviation : FloatArray
        Mid vol, at the forward now, less `vol`, to first order; NaN unless two-sided.
    neighbours : FloatArray
        Effective number of quotes asked.
    judged : BoolArray
    """

    quotes: QuoteVols
    forward: FloatArray
    vol: FloatArray
    error: FloatArray
    deviation: FloatArray
    neighbours: FloatArray
    judged: BoolArray

    def keys(self) -> list[str]:
        """Keys of the instruments, ``venue:name``."""
        return [f"{v}:{n}" for v, n in zip(self.quotes.venue, self.quotes.instrument_name, strict=True)]


def fair_band(
    quotes: QuoteVols,
    surface: VolSurface,
    *,
    vol_error: VolError | None = None,
    venues: VenueModel | None = None,
    settings: BandSettings | None = None,
) -> FairBand:
    """Judge each quote by the surface and by the other quotes near it.

    Parameters
    ----------
    quotes : QuoteVols
        Of one or several venues.
    surface : VolSurface
    vol_error : VolError, optional
        The surface's own error; `unknown_error` without it.
    venues : VenueModel, optional
        Biases that belong to a venue and are no mispricing of a quote.
    settings : BandSettings, optional

    Returns
    -------
    FairBand
        Not judged are quotes of expiries the surface does not hold, those with too few neighbours, those
        whose bid is the smallest price there is, and those of a venue whose forward is off.

    Raises
    ------
    DataError
        If quotes, surface and venues are of different underlyings, or times more than a minute apart.

    Notes
    -----
    A smile model errs at the same place for all quotes there. So each quote is held against the surface plus
    a local mean of the residuals of the *other* quotes of its expiry, all venues, their biases taken off:
    Gaussian kernel in standardised log-moneyness, inverse variances, Huber's loss from the weighted median,
    the surface itself as one more observation. The quote judged takes no part in its own verdict.
    """
    settings = settings or BandSettings()
    _check(quotes, surface, venues)
    n = len(quotes)
    position = np.searchsorted(surface.expiries, quotes.expiry_ns)
    position = np.minimum(position, surface.expiries.size - 1)
    held = (surface.expiries[position] == quotes.expiry_ns) & np.isfinite(quotes.log_moneyness)
    held &= quotes.tau > 0.0
    base, error = np.full(n, np.nan), np.full(n, settings.unknown_error)
    k = quotes.log_moneyness
    base[held] = surface.implied_vol(k[held], quotes.tau[held])
    if vol_error is not None:
        own = np.asarray(vol_error(k[held], position[held].astype(np.int64)))
        error[held] = np.where(np.isfinite(own) & (own > 0.0), own, settings.unknown_error)
    atm = np.asarray(surface.implied_vol(np.zeros(n), np.where(held, quotes.tau, 1.0)))
    z = np.where(held, k, 0.0) / (atm * np.sqrt(np.where(held, quotes.tau, 1.0)))
    bias = _bias(quotes, np.clip(z, -Z_LIMIT, Z_LIMIT), venues)
    mid = quotes.centre_iv - bias
    source = held & np.isin(quotes.status, (QuoteStatus.TWO_SIDED,)) & quotes.is_otm & np.isfinite(mid)
    fair, sigma, count = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n)
    for stamp in np.unique(quotes.expiry_ns[held]):
        rows = np.flatnonzero(held & (quotes.expiry_ns == stamp))
        near = np.flatnonzero(source & (quotes.expiry_ns == stamp))
        shift, spread, number = _local(rows, near, z, mid - base, quotes, error, settings)
        fair[rows] = base[rows] + shift + bias[rows]
        sigma[rows], count[rows] = spread, number
    forward = _forwards_now(quotes)
    gap = np.abs(np.log(forward / np.asarray(surface.forward(np.where(held, quotes.tau, 1.0)))))
    judged = held & (count >= settings.min_quotes) & (fair > 0.0) & (gap <= settings.max_forward_gap)
    # Below the smallest price nothing shows what a wing is worth.
    judged &= ~quotes.at_one_tick
    return FairBand(
        quotes=quotes,
        forward=forward,
        vol=np.where(judged, fair, np.nan),
        error=np.where(judged, sigma, np.nan),
        deviation=_deviation(quotes, forward, fair, judged & quotes.is_two_sided),
        neighbours=count,
        judged=judged,
    )


def _forwards_now(quotes: QuoteVols) -> FloatArray:
    """Median of the rows' forwards by venue and expiry, the young ones' word first."""
    forward = np.full(len(quotes), np.nan)
    venue = np.unique(np.array(quotes.venue), return_inverse=True)[1]
    stamps, expiry = np.unique(quotes.expiry_ns, return_inverse=True)
    group = venue * stamps.size + expiry
    young = 2.0 ** (-quotes.age_s / _HALF_LIFE_S)
    for g in np.unique(group):
        rows = np.flatnonzero((group == g) & np.isfinite(quotes.forward))
        if rows.size:
            weight = np.maximum(young[rows], 1e-12)[None, :]
            forward[group == g] = _weighted_medians(quotes.forward[rows], weight)[0]
    return forward


def _deviation(quotes: QuoteVols, forward: FloatArray, fair: FloatArray, rows: BoolArray) -> FloatArray:
    """What the mid price is off fair, over vega."""
    off = np.full(len(quotes), np.nan)
    at = np.flatnonzero(rows)
    strike, tau, call = quotes.strike[at], quotes.tau[at], quotes.is_call[at]
    mid = np.asarray(black76_price(quotes.forward[at], strike, tau, quotes.centre_iv[at], call))
    greeks = black76_greeks(forward[at], strike, tau, fair[at], call, names=("vega",))
    right = np.asarray(black76_price(forward[at], strike, tau, fair[at], call))
    off[at] = (mid - right) / np.maximum(np.asarray(greeks["vega"]), 1e-9)
    return off


def fused_error(fused: FusedSurface) -> VolError:
    """Error at the money of a fused surface, for all strikes of an expiry; NaN where it had no quotes."""
    stamps = np.asarray(fused.fit.surface.expiries)
    error = np.full(stamps.size, np.nan)
    _, here, there = np.intersect1d(stamps, fused.quotes.expiry_ns, return_indices=True)
    error[here] = fused.atm_error[there]
    return lambda log_moneyness, expiry: error[expiry]


def _check(quotes: QuoteVols, surface: VolSurface, venues: VenueModel | None) -> None:
    names = {quotes.underlying, surface.underlying} | ({venues.underlying} if venues else set())
    if len(names) > 1:
        raise DataError(f"expected quotes, surface and venues of one underlying, found {sorted(names)}")
    gap = abs(quotes.ts_ns - surface.ts_ns) / 1e9
    if gap > 60.0:
        raise DataError(
            f"expected quotes and surface within 60 s, found {gap:.0f} s; fit these quotes, or publish anew"
        )


def _bias(quotes: QuoteVols, z: FloatArray, venues: VenueModel | None) -> FloatArray:
    bias = np.zeros(z.size)
    if venues is None:
        return bias
    level, _ = venues.state.at(0)
    slope, _ = venues.state.at(1)
    place = {int(e): s + 1 for s, e in enumerate(venues.state.expiry_ns)}
    slot = np.array([place.get(int(e), 0) for e in quotes.expiry_ns])  # 0: the venue's common part
    for v, name in enumerate(venues.venues):
        mine = np.array([venue == name for venue in quotes.venue], dtype=np.bool_)
        bias[mine] = level[v, slot[mine]] + slope[v, slot[mine]] * z[mine]
    return bias


def _local(
    rows: IntArray,
    near: IntArray,
    z: FloatArray,
    residual: FloatArray,
    quotes: QuoteVols,
    error: FloatArray,
    settings: BandSettings,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shift of each row by its neighbours, its standard deviation, and their effective number."""
    if near.size == 0:
        return np.zeros(rows.size), error[rows], np.zeros(rows.size)
    r = residual[near]
    noise = np.sqrt(1.0 / np.maximum(quotes.weight[near], 1e-12) + settings.floor_vol**2)
    kernel = np.exp(-0.5 * ((z[rows][:, None] - z[near][None, :]) / settings.bandwidth) ** 2)
    kernel[rows[:, None] == near[None, :]] = 0.0
    weight = kernel / noise**2
    # What the surface can be off by: its own error and what is common to the residuals of the expiry.
    loose = _MAD * float(np.median(np.abs(r - np.median(r))))
    prior = 1.0 / (error[rows] ** 2 + loose**2 + settings.floor_vol**2)
    shift = _weighted_medians(r, weight)
    for _ in range(_ROUNDS):
        u = np.abs(r[None, :] - shift[:, None]) / noise[None, :]
        w = weight * np.minimum(1.0, _HUBER / np.maximum(u, 1e-12))
        shift = (w @ r) / (w.sum(axis=1) + prior)
    total = w.sum(axis=1) + prior
    spread = np.minimum(np.abs(r[None, :] - shift[:, None]), _HUBER * noise[None, :])
    sampled = (w**2 * np.maximum(spread, 0.5 * noise[None, :]) ** 2).sum(axis=1)
    # Neighbours on one side only say nothing of the slope between them and the quote.
    apart = z[near][None, :] - z[rows][:, None]
    off = (w * apart).sum(axis=1) / total
    around = apart - off[:, None]
    tilt = (w * around * (r[None, :] - shift[:, None])).sum(axis=1)
    tilt = off * tilt / ((w * around**2).sum(axis=1) + prior * settings.bandwidth**2)
    number = w.sum(axis=1) ** 2 / np.maximum((w**2).sum(axis=1), 1e-300)
    number = np.where(kernel.max(axis=1) > np.exp(-4.5), number, 0.0)  # nobody within three bandwidths
    few = np.maximum(number, 1.5) / np.maximum(number - 1.0, 0.5)
    return shift, np.sqrt((sampled * few + prior) / total**2 + tilt**2), number


def _weighted_medians(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted median of the same values under each row of weights."""
    order = np.argsort(values)
    running = np.cumsum(weight[:, order], axis=1)
    middle = np.argmax(running >= 0.5 * running[:, -1:], axis=1)
    return np.asarray(values[order][middle])
