"""Quotes of several venues as arrays, and what was kept out of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, year_fraction
from ivhedge.market import QuoteVols

__all__ = ["Z_LIMIT", "VenueQuotes", "forward_slopes"]

Z_LIMIT = 3.0
"""Standardised log-moneyness beyond which a slope bias stops growing."""
_FLOOR = 1e-3  # smallest half-spread, decimal vol
_NEAREST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueQuotes:
    """Two-sided out-of-the-money quotes of several venues at one time; build with `from_arrays`.

    Parameters
    ----------
    ts_ns : int
    underlying : str
    venues : tuple of str, length v
    expiry_ns : IntArray, shape (e,)
        Ascending.
    taus, atm_vol, forwards : FloatArray, shape (e,)
        Years; a robust vol at the money; consensus forward, USD.
    venue, expiry : IntArray, shape (q,)
        Positions in `venues` and `expiry_ns`.
    instrument : IntArray, shape (q,)
        Same number = same contract terms: where the errors of two venues can be compared.
    log_moneyness, vol, half_spread : FloatArray, shape (q,)
        ln(K/F) on the venue's own forward; mean of bid and ask vol; decimal vol.
    variance : FloatArray, shape (q,)
        Half-spread squared, divided by the depth factor and by ``2**(-age/half_life)``: error variance up to
        the venue's scale.
    forward_slope : FloatArray, shape (q,)
        Change of the implied vol per unit of log forward error.
    forward_error : FloatArray, shape (v, e)
        Standard deviation of the venue's forward, relative; 0 where it is taken as known.
    forward_bias : FloatArray, shape (v, e)
        Log of the venue's forward over the consensus; NaN where it has none.
    excluded : dict of str to (dict of str to int)
        Venue to reason to count of quotes kept out.
    """

    ts_ns: int
    underlying: str
    venues: tuple[str, ...]
    expiry_ns: IntArray
    taus: FloatArray
    atm_vol: FloatArray
    forwards: FloatArray
    venue: IntArray
    expiry: IntArray
    instrument: IntArray
    log_moneyness: FloatArray
    vol: FloatArray
    half_spread: FloatArray
    variance: FloatArray
    forward_slope: FloatArray
    forward_error: FloatArray
    forward_bias: FloatArray
    excluded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def standard_moneyness(self) -> FloatArray:
        """``ln(K/F) / (atm vol * sqrt(tau))``, shape (q,)."""
        return np.asarray(self.log_moneyness / self.unit[self.expiry])

    @property
    def unit(self) -> FloatArray:
        """``atm vol * sqrt(tau)`` of each expiry, shape (e,): log-moneyness of one standard deviation."""
        return np.asarray(self.atm_vol * np.sqrt(self.taus))

    def mid_vols(self, *, min_days: float = 1.0) -> dict[str, dict[int, float]]:
        """Mid vol by venue and instrument, for `StaleDetector.update`.

        Numbers of instruments made by `venue_quotes` are the same at every time. Expiries nearer than
        `min_days` are left out: at a standing price their vols move with the clock.
        """
        far = self.taus[self.expiry] * DAYS_PER_YEAR >= min_days
        found: dict[str, dict[int, float]] = {name: {} for name in self.venues}
        for v, number, vol in zip(self.venue[far], self.instrument[far], self.vol[far], strict=True):
            found[self.venues[v]][int(number)] = float(vol)
        return found

    def __len__(self) -> int:
        return int(self.vol.size)

    @classmethod
    def from_arrays(
        cls,
        *,
        ts_ns: int,
        underlying: str,
        venue: Sequence[str],
        expiry_ns: ArrayLike,
        log_moneyness: ArrayLike,
        bid_vol: ArrayLike,
        ask_vol: ArrayLike,
        age_s: ArrayLike = 0.0,
        depth_factor: ArrayLike = 1.0,
        instrument: ArrayLike | None = None,
        forward_slope: ArrayLike = 0.0,
        forward_error: Mapping[tuple[str, int], float] | None = None,
        forward_bias: Mapping[tuple[str, int], float] | None = None,
        forwards: Mapping[int, float] | None = None,
        half_life_s: float = 60.0,
        excluded: Mapping[str, Mapping[str, int]] | None = None,
        listed: Sequence[str] = (),
    ) -> "VenueQuotes":
        """Check and pack quotes; what cannot be used is counted by venue and reason.

        The order of rows is of no consequence. Of several quotes of one venue in one instrument the
        youngest stands, of equally old ones the widest; the others count as ``duplicate``.

        Parameters
        ----------
        ts_ns : int
        underlying : str
        venue : sequence of str, length n
        expiry_ns, log_moneyness, bid_vol, ask_vol : array_like, shape (n,)
        age_s, depth_factor, forward_slope : array_like, broadcast to (n,)
        instrument : array_like of int, shape (n,), optional
            By default, quotes of one expiry whose log-moneyness agrees to 1e-9 are of one instrument.
        forward_error, forward_bias : mapping of (venue, expiry) to float, optional
            Relative; no error where not given.
        forwards : mapping of expiry to float, optional
            USD; 1 where not given.
        half_life_s : float
            Age at which a quote's weight has halved.
        excluded : mapping, optional
            Counts of what was kept out before.
        listed : sequence of str
            Venues to keep a place for although they have no quotes.

        Raises
        ------
        DataError
            If the lengths differ, or a forward's error or price is not a finite number (>= 0, above 0).
        ConfigError
            If `half_life_s` is not above 0.
        EmptyData
            If no quote is usable; the message counts why.
        """
        if not half_life_s > 0.0:
            raise ConfigError(f"expected half_life_s above 0, found {half_life_s}")
        _check_forwards(forward_error or {}, forwards or {})
        names = np.asarray(venue, dtype=np.str_)
        shape = names.shape
        stamp = np.asarray(expiry_ns, dtype=np.int64)
        columns = [np.asarray(c, dtype=np.float64) for c in (log_moneyness, bid_vol, ask_vol)]
        if len(shape) != 1 or stamp.shape != shape or any(c.shape != shape for c in columns):
            raise DataError(
                f"expected venue, expiry_ns, log_moneyness, bid_vol, ask_vol of one shape (n,), "
                f"found {shape}, {stamp.shape}, {[c.shape for c in columns]}"
            )
        k, bid, ask = columns
        age, depth, bend = (
            np.broadcast_to(np.asarray(c, dtype=np.float64), shape)
            for c in (age_s, depth_factor, forward_slope)
        )
        counts = {str(v): dict(c) for v, c in (excluded or {}).items()}
        good = _usable(names, stamp > ts_ns, k, bid, ask, age, depth, bend, counts)
        number = _contract(stamp, k) if instrument is None else np.asarray(instrument, dtype=np.int64)
        if number.shape != shape:
            raise DataError(f"expected one instrument a quote, found {number.shape} for {shape}")
        good = _first_of_each(good, names, stamp, number, (age, bid - ask, bid), counts)
        if not good.any():
            told = ", ".join(f"{v}: {c}" for v, c in sorted(counts.items())) or "no rows"
            raise EmptyData(
                f"{underlying}: expected two-sided quotes of at least one venue, found none ({told}); "
                "check the feeds"
            )
        order = np.flatnonzero(good)
        order = order[np.lexsort((names[order], k[order], stamp[order]))]
        names, stamp, k, bid, ask = names[order], stamp[order], k[order], bid[order], ask[order]
        venues = tuple(sorted({*names.tolist(), *map(str, listed)}))
        expiries, at = np.unique(stamp, return_inverse=True)
        vol, half = 0.5 * (bid + ask), np.maximum(0.5 * (ask - bid), _FLOOR)
        # Beyond 60 half-lives a quote is worthless, whatever the exponent.
        stretch = np.exp2(np.minimum(age[order] / half_life_s, 60.0)) / depth[order]
        variance = half * half * stretch
        number = number[order]
        size = (len(venues), expiries.size)
        error, bias = np.zeros(size), np.full(size, np.nan)
        for target, given in ((error, forward_error), (bias, forward_bias)):
            for (name, stamp_ns), value in (given or {}).items():
                if name in venues and (slot := np.flatnonzero(expiries == stamp_ns)).size:
                    target[venues.index(name), slot[0]] = value
        known = forwards or {}
        return cls(
            ts_ns=ts_ns,
            underlying=underlying,
            venues=venues,
            expiry_ns=expiries,
            taus=year_fraction(ts_ns, expiries),
            atm_vol=np.array(
                [_atm(k[at == e], vol[at == e], variance[at == e]) for e in range(expiries.size)]
            ),
            forwards=np.array([known.get(int(e), 1.0) for e in expiries]),
            venue=np.searchsorted(np.array(venues), names).astype(np.int64),
            expiry=at.astype(np.int64),
            instrument=number.astype(np.int64).ravel(),
            log_moneyness=k,
            vol=vol,
            half_spread=half,
            variance=variance,
            forward_slope=bend[order].copy(),
            forward_error=error,
            forward_bias=bias,
            excluded=counts,
        )


def _usable(
    names: np.ndarray,
    alive: BoolArray,
    k: FloatArray,
    bid: FloatArray,
    ask: FloatArray,
    age: FloatArray,
    depth: FloatArray,
    bend: FloatArray,
    counts: dict[str, dict[str, int]],
) -> BoolArray:
    with np.errstate(invalid="ignore"):
        reasons = {
            "expired": ~alive,
            "not_finite": ~(np.isfinite(k) & np.isfinite(bid) & np.isfinite(ask) & np.isfinite(bend)),
            "crossed": bid > ask,
            "not_positive": bid <= 0.0,
            "bad_age": ~(np.isfinite(age) & (age >= 0.0)),
            "bad_depth": ~(np.isfinite(depth) & (depth > 0.0)),
        }
    good = np.ones(names.shape, dtype=np.bool_)
    for reason, holds in reasons.items():
        _tally(names[good & holds], reason, counts)
        good &= ~holds
    return good


def _check_forwards(error: Mapping[tuple[str, int], float], forward: Mapping[int, float]) -> None:
    # An error that is not a number must not become "known exactly".
    wrong = {key: x for key, x in error.items() if not 0.0 <= x < np.inf}
    if wrong:
        raise DataError(f"expected finite forward_error >= 0, found {wrong}; leave such a venue's quotes out")
    amiss = {key: x for key, x in forward.items() if not 0.0 < x < np.inf}
    if amiss:
        raise DataError(f"expected finite forwards above 0, found {amiss}")


def _contract(stamp: IntArray, k: FloatArray) -> IntArray:
    """Number of the contract: quotes of one expiry whose log-moneyness agrees."""
    same = np.round(np.where(np.isfinite(k), k, 0.0) * 1e9).astype(np.int64)
    _, number = np.unique(np.stack([stamp, same]), axis=1, return_inverse=True)
    return np.asarray(number, dtype=np.int64).ravel()


def _first_of_each(
    good: BoolArray,
    names: np.ndarray,
    stamp: IntArray,
    number: IntArray,
    rank: tuple[FloatArray, ...],
    counts: dict[str, dict[str, int]],
) -> BoolArray:
    """One quote of every venue, expiry and instrument: the first by `rank`; the others are counted."""
    rows = np.flatnonzero(good)
    order = rows[np.lexsort((*(r[rows] for r in reversed(rank)), number[rows], stamp[rows], names[rows]))]
    again = np.zeros(good.shape, dtype=np.bool_)
    again[order[1:]] = (
        (names[order[1:]] == names[order[:-1]])
        & (stamp[order[1:]] == stamp[order[:-1]])
        & (number[order[1:]] == number[order[:-1]])
    )
    _tally(names[again], "duplicate", counts)
    return good & ~again


def _tally(names: np.ndarray, reason: str, counts: dict[str, dict[str, int]]) -> None:
    for name, count in zip(*np.unique(names, return_counts=True), strict=True):
        mine = counts.setdefault(str(name), {})
        mine[reason] = mine.get(reason, 0) + int(count)


def _atm(k: FloatArray, vol: FloatArray, variance: FloatArray) -> float:
    """Weighted median vol of the quotes nearest to the money."""
    distance = np.abs(k)
    reach = np.partition(distance, min(_NEAREST, k.size) - 1)[min(_NEAREST, k.size) - 1]
    near = np.flatnonzero(distance <= reach * 1.5 + 1e-12)
    near = near[np.argsort(vol[near])]
    weight = np.cumsum(1.0 / variance[near])
    return float(vol[near[np.searchsorted(weight, 0.5 * weight[-1])]])


def forward_slopes(quotes: QuoteVols, in_coin: BoolArray) -> FloatArray:
    """Change of each quote's implied vol per unit of log error of the forward it was inverted with.

    From p(F, vol) held fixed: ``-dp/dlnF / vega`` for dollar prices; a coin price moves with the forward
    too, which adds ``p / vega``. NaN where there is no vol.
    """
    vol, tau, k = quotes.centre_iv, quotes.tau, quotes.log_moneyness
    total = vol * np.sqrt(tau)
    with np.errstate(divide="ignore", invalid="ignore"):
        d1 = -k / total + 0.5 * total
        density = np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
        side = np.where(quotes.is_call, 1.0, -1.0)
        share = np.where(in_coin, np.exp(k) * ndtr(side * (d1 - total)), ndtr(side * d1))
        return np.asarray(-side * share / (density * np.sqrt(tau)))
