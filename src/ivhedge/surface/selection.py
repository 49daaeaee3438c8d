"""From quotes to what is fitted: which quotes count, and how much.

A quote counts as a value when it is two-sided, out of the money, bid above one tick, and not hopelessly wide;
what is left out is counted by reason. Out-of-the-money quotes of one side, and those bid at one tick, are
bounds of the fitted vol: they pull only where it leaves them. Weights are inverse variances from spread and
age; inside an expiry no venue may outweigh the one with the tightest fresh quotes, and no single quote
outweighs many ordinary ones.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR, format_ns, year_fraction
from ivhedge.market import QuoteVols
from ivhedge.surface.calibrate import FULL_SLICE, PackedQuotes, QuoteBounds

__all__ = ["QuoteSelection", "SelectionReason", "SelectionRules", "select_quotes"]


class SelectionReason(StrEnum):
    """Why a clean quote is not fitted as a value."""

    TOO_SHORT = "too_short"
    ONE_SIDED = "one_sided"
    IN_THE_MONEY = "in_the_money"
    ONE_TICK = "one_tick"
    TOO_WIDE = "too_wide"
    NO_WEIGHT = "no_weight"
    THIN_EXPIRY = "thin_expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRules:
    """Which quotes are fitted.

    Parameters
    ----------
    min_hours : float
        Expiries closer than this are left out: settlement averages the last half hour.
    min_quotes : int
        Expiries with fewer quotes are left out and reported.
    max_relative_half_spread : float
        Widest half-spread, as a fraction of the quote's own vol.
    max_weight_ratio : float
        The weight of a vol error is capped at this multiple of the median of its venue and expiry.
    max_staleness_half_lives : float
        Quotes whose age has cost them more half-lives of weight are left out.
    use_bounds : bool
        Whether one-sided and one-tick quotes bound the fit.
    bound_half_spread : float
        A bound missed by this fraction of its vol counts as an error of one half-spread.
    """

    min_hours: float = 1.0
    min_quotes: int = 3
    max_relative_half_spread: float = 0.5
    max_weight_ratio: float = 4.0
    max_staleness_half_lives: float = 20.0
    use_bounds: bool = True
    bound_half_spread: float = 0.5

    def __post_init__(self) -> None:
        if self.min_hours < 0.0 or self.min_quotes < 1 or self.max_relative_half_spread <= 0.0:
            raise ConfigError(
                "expected min_hours >= 0, min_quotes >= 1 and max_relative_half_spread > 0, "
                f"found {self.min_hours}, {self.min_quotes}, {self.max_relative_half_spread}"
            )
        if self.max_weight_ratio < 1.0 or self.max_staleness_half_lives <= 0.0:
            raise ConfigError(
                "expected max_weight_ratio >= 1 and max_staleness_half_lives > 0, "
                f"found {self.max_weight_ratio}, {self.max_staleness_half_lives}"
            )
        if not self.bound_half_spread > 0.0:
            raise ConfigError(f"expected bound_half_spread > 0, found {self.bound_half_spread}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSelection:
    """The quotes that are fitted.

    Parameters
    ----------
    rows : IntArray, shape (q,)
        Their rows in the `QuoteVols`, ordered by expiry and log-moneyness.
    expiries : IntArray, shape (n,)
        Fitted expiries, nanoseconds since the epoch, ascending.
    packed : PackedQuotes
    left_out : dict of str to int
        Number of clean quotes per `SelectionReason`.
    thin_expiries : tuple of str
        Expiries with too few quotes, in words.
    bound_rows : IntArray, shape (m,)
        Rows of `packed.bounds`: counted in `left_out` too, as they are no values.
    expiry_notes : dict of str to str
        What every expiry that is not fitted had, by its name in `thin_expiries`, and what fitted ones of few
        quotes lean on.
    """

    rows: IntArray
    expiries: IntArray
    packed: PackedQuotes
    left_out: dict[str, int]
    thin_expiries: tuple[str, ...]
    bound_rows: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    expiry_notes: dict[str, str] = field(default_factory=dict)


def select_quotes(quotes: QuoteVols, rules: SelectionRules) -> QuoteSelection:
    """Choose and weigh the quotes of one chain.

    Raises
    ------
    CalibrationError
        If no expiry keeps `min_quotes` quotes.
    """
    usable, left_out = _usable(quotes, rules)
    expiries, counts = np.unique(quotes.expiry_ns[usable], return_counts=True)
    thin = expiries[counts < rules.min_quotes]
    if thin.size:
        dropped = usable & np.isin(quotes.expiry_ns, thin)
        left_out[SelectionReason.THIN_EXPIRY.value] = int(dropped.sum())
        usable &= ~dropped
    expiries = expiries[counts >= rules.min_quotes]
    listed = np.unique(quotes.expiry_ns)
    if expiries.size == 0:
        raise CalibrationError(
            f"{quotes.underlying} {format_ns(quotes.ts_ns)}: expected an expiry with at least "
            f"{rules.min_quotes} two-sided out-of-the-money quotes above one tick, found none among "
            f"{len(quotes)} quotes ({_in_words(left_out)}); check the feed or the cleaning rules"
        )
    rows = np.flatnonzero(usable)
    # Every key that can tell rows apart, so that the order of the input does not matter.
    keys = (quotes.weight, quotes.mid_iv, quotes.strike, quotes.log_moneyness, quotes.expiry_ns)
    rows = rows[np.lexsort(tuple(key[rows] for key in keys))]
    offsets = np.searchsorted(quotes.expiry_ns[rows], expiries)
    offsets = np.append(offsets, rows.size).astype(np.int64)
    bound_rows = _bound_rows(quotes, rows, offsets, expiries) if rules.use_bounds else rows[:0]
    packed = PackedQuotes(
        log_moneyness=quotes.log_moneyness[rows],
        vol=quotes.centre_iv[rows],
        weight=_weights(quotes, rows, offsets, rules),
        offsets=offsets,
        taus=year_fraction(quotes.ts_ns, expiries),
        bounds=_bounds(quotes, bound_rows, expiries, rules) if bound_rows.size else None,
    )
    return QuoteSelection(
        rows=rows,
        expiries=expiries,
        packed=packed,
        left_out=left_out,
        thin_expiries=tuple(format_ns(int(e)) for e in listed if e not in expiries),
        bound_rows=bound_rows,
        expiry_notes=_expiry_notes(quotes, listed, expiries, np.diff(offsets), rules),
    )


def _is_bound(quotes: QuoteVols) -> BoolArray:
    some = np.isfinite(quotes.bid_iv) | np.isfinite(quotes.ask_iv)
    # A bid above its own ask bounds nothing.
    crossed = quotes.bid_iv > quotes.ask_iv
    return np.asarray(quotes.is_otm & some & ~crossed & (~quotes.is_two_sided | quotes.at_one_tick))


def _bound_rows(quotes: QuoteVols, rows: IntArray, offsets: IntArray, expiries: IntArray) -> IntArray:
    """Bounds of the fitted expiries, none older than the oldest value there."""
    oldest = np.maximum.reduceat(quotes.age_s[rows], offsets[:-1])
    at = np.minimum(np.searchsorted(expiries, quotes.expiry_ns), expiries.size - 1)
    mine = (expiries[at] == quotes.expiry_ns) & (quotes.age_s <= oldest[at])
    found = np.flatnonzero(_is_bound(quotes) & mine)
    keys = (quotes.ask_iv, quotes.bid_iv, quotes.log_moneyness, quotes.expiry_ns)
    return np.asarray(found[np.lexsort(tuple(key[found] for key in keys))], dtype=np.int64)


def _bounds(quotes: QuoteVols, rows: IntArray, expiries: IntArray, rules: SelectionRules) -> QuoteBounds:
    bid, ask = quotes.bid_iv[rows], quotes.ask_iv[rows]
    return QuoteBounds(
        log_moneyness=quotes.log_moneyness[rows],
        lower=np.nan_to_num(bid, nan=0.0),
        upper=np.nan_to_num(ask, nan=np.inf),
        weight=1.0 / (rules.bound_half_spread * np.fmax(bid, ask)),
        slices=np.searchsorted(expiries, quotes.expiry_ns[rows]).astype(np.int64),
    )


def _expiry_notes(
    quotes: QuoteVols, listed: IntArray, expiries: IntArray, counts: IntArray, rules: SelectionRules
) -> dict[str, str]:
    notes: dict[str, str] = {}
    bound = _is_bound(quotes)
    for expiry in listed.tolist():
        at = int(np.searchsorted(expiries, expiry))
        mine = quotes.expiry_ns == expiry
        n_bounds = int((mine & bound).sum())
        if at < expiries.size and expiries[at] == expiry:
            if counts[at] < FULL_SLICE:
                notes[format_ns(expiry)] = (
                    f"low confidence: {counts[at]} quotes and {n_bounds} bounds; skew and curvature lean on "
                    "the other expiries"
                )
            continue
        if expiry - quotes.ts_ns < rules.min_hours * NS_PER_HOUR:
            notes[format_ns(expiry)] = f"not fitted: closer than {rules.min_hours:g} hours"
            continue
        n_values = int((mine & quotes.is_two_sided & quotes.is_otm & ~quotes.at_one_tick).sum())
        notes[format_ns(expiry)] = (
            f"not fitted: expected {rules.min_quotes} usable two-sided quotes out of the money, found "
            f"{n_values} at most and {n_bounds} bounds; the surface is interpolated there"
        )
    return notes


def _usable(quotes: QuoteVols, rules: SelectionRules) -> tuple[BoolArray, dict[str, int]]:
    two_sided = quotes.is_two_sided
    wide = np.zeros(len(quotes), dtype=np.bool_)
    limit = rules.max_relative_half_spread * quotes.mid_iv[two_sided]
    # A half-spread that is not a number (no vega at all) is as wide as it gets.
    wide[two_sided] = ~(quotes.half_spread_iv[two_sided] <= limit)
    best = np.exp2(-rules.max_staleness_half_lives)
    width = np.where(two_sided, np.nan_to_num(quotes.half_spread_iv, nan=np.inf), np.inf)
    reasons: dict[SelectionReason, BoolArray] = {
        SelectionReason.TOO_SHORT: quotes.expiry_ns - quotes.ts_ns < rules.min_hours * NS_PER_HOUR,
        SelectionReason.ONE_SIDED: ~two_sided,
        SelectionReason.IN_THE_MONEY: ~quotes.is_otm,
        SelectionReason.ONE_TICK: quotes.at_one_tick,
        SelectionReason.TOO_WIDE: wide,
        SelectionReason.NO_WEIGHT: ~(quotes.weight * np.minimum(width, 10.0) ** 2 > best),
    }
    usable = np.ones(len(quotes), dtype=np.bool_)
    left_out: dict[str, int] = {}
    for reason, holds in reasons.items():
        count = int((usable & holds).sum())
        if count:
            left_out[reason.value] = count
        usable &= ~holds
    return usable, left_out


def _weights(quotes: QuoteVols, rows: IntArray, offsets: IntArray, rules: SelectionRules) -> FloatArray:
    """Weight of a vol error, per quote: square root of the balanced inverse variances."""
    weight = quotes.weight[rows].copy()
    names, venue = np.unique(np.array(quotes.venue)[rows], return_inverse=True)
    for s in range(offsets.size - 1):
        part = slice(int(offsets[s]), int(offsets[s + 1]))
        for v in range(names.size):
            # Within a venue: a crowd of wide quotes elsewhere says nothing about what is ordinary here.
            mine = np.flatnonzero(venue[part] == v) + part.start
            if mine.size:
                weight[mine] = np.minimum(weight[mine], rules.max_weight_ratio**2 * np.median(weight[mine]))
        if names.size > 1:
            weight[part] *= _venue_balance(weight[part], venue[part], names.size)
    return np.asarray(np.sqrt(weight))


def _venue_balance(weight: FloatArray, venue: IntArray, n_venues: int) -> FloatArray:
    """Factors by which many quotes buy a wider or staler venue no influence.

    A venue whose typical quote carries a quarter of the information of the tightest fresh venue's carries at
    most a quarter of its information in all, however many strikes it quotes.
    """
    counts = np.bincount(venue, minlength=n_venues)
    information = np.bincount(venue, weights=weight, minlength=n_venues)
    typical = np.array([np.median(weight[venue == v]) if counts[v] else 0.0 for v in range(n_venues)])
    best = int(np.argmax(typical))
    # A venue with a handful of tight quotes leaves the others enough for a smile of their own.
    standard = max(float(information[best]), FULL_SLICE * float(typical[best]))
    allowed = standard * typical / typical[best]
    factor = np.minimum(1.0, allowed / np.maximum(information, 1e-300))
    return np.asarray(factor[venue])


def _in_words(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "no quotes at all"
