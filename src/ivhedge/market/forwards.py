"""The forward of every expiry, with an error bar and the method that gave it.

Per venue and expiry there are up to three candidates: the venue's dated **future**, put-call **parity**,
and the **venue**'s own forward column. Per expiry the venues are then pooled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, EmptyData, UnknownInstrument
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR, format_ns
from ivhedge.market.arrays import floats, median, nanoseconds
from ivhedge.market.forward_basis import DOLLAR, StablePrice, stable_prices
from ivhedge.market.moment import single_moment
from ivhedge.market.parity import MAD_TO_SD, ParityForward, outside_bands, parity_forwards

__all__ = [
    "ForwardCurve",
    "ForwardMethod",
    "ForwardSettings",
    "ForwardStatus",
    "estimate_forwards",
]

_TABLE_SCHEMA = {
    "venue": pl.String(),
    "expiry": pl.Datetime("ns", "UTC"),
    "forward": pl.Float64(),
    "std_error": pl.Float64(),
    "n_pairs": pl.Int64(),
    "method": pl.String(),
    "band_low": pl.Float64(),
    "band_high": pl.Float64(),
}
_STATUS_SCHEMA = {
    "venue": pl.String(),
    "expiry": pl.Datetime("ns", "UTC"),
    "status": pl.String(),
    "detail": pl.String(),
}
_BASIS_SCHEMA = {
    "currency": pl.String(),
    "price": pl.Float64(),
    "std_error": pl.Float64(),
    "source": pl.String(),
    "n_expiries": pl.Int64(),
}
_BASIS_POINT = 1e-4


class ForwardMethod(StrEnum):
    """Where a forward came from."""

    FUTURE = "future"
    PARITY = "parity"
    VENUE = "venue"


class ForwardStatus(StrEnum):
    """How the forward of a venue and expiry stands."""

    OK = "ok"
    CONTRADICTS_PARITY = "contradicts_parity"
    PARITY_DISJOINT = "parity_disjoint"
    NOT_POOLED = "not_pooled"
    NO_BASIS = "no_basis"
    NO_FORWARD = "no_forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardSettings:
    """How forwards are chosen and pooled.

    Parameters
    ----------
    methods : tuple of ForwardMethod
        Methods to use. The one with the smallest error bar wins, the earlier one among equals.
    max_pairs : int
        Strikes nearest to the forward used for parity.
    min_pairs : int
        Fewer pairs give no parity forward.
    floor_bp : float
        Smallest standard error, basis points of the forward.
    venue_share : float
        A venue's own number is only as good as its option market keeps it: this share of the parity
        forward's standard error is added (in squares) to the spread of the numbers shown.
    mark_error_bp : float
        Standard error of a future known by a mark or a last trade only, and the smallest of a venue's own
        forward that no `min_pairs` pairs check, basis points.
    drift_vol : float
        A future stamped another time than the chain is off by this annual volatility times the square
        root of the lag.
    band_slack_bp : float
        How far a future or the venue's own forward may lie outside the executable parity band before it
        is passed over, basis points. Fewer than `min_pairs` pairs may be stale together: two of their
        standard errors are added.
    outlier_bp : float
        A venue further than this (and than five of its standard errors) from the median of three or more
        venues is not pooled, basis points.
    currencies : tuple of (str, str)
        Venue and the currency its dollars are, such as ``("okx", "USDT")``; USD where not named.
    stable_prices : tuple of StablePrice
        Prices of such currencies, taken instead of estimates.
    """

    methods: tuple[ForwardMethod, ...] = (ForwardMethod.FUTURE, ForwardMethod.VENUE, ForwardMethod.PARITY)
    max_pairs: int = 64
    min_pairs: int = 2
    floor_bp: float = 0.2
    venue_share: float = 0.5
    mark_error_bp: float = 5.0
    drift_vol: float = 0.5
    band_slack_bp: float = 2.0
    outlier_bp: float = 25.0
    currencies: tuple[tuple[str, str], ...] = ()
    stable_prices: tuple[StablePrice, ...] = ()

    def __post_init__(self) -> None:
        if not self.methods or self.max_pairs < 1 or self.min_pairs < 1 or self.floor_bp <= 0:
            raise ConfigError(
                "expected at least one method, positive pair counts and a positive floor, found "
                f"methods={self.methods}, max_pairs={self.max_pairs}, min_pairs={self.min_pairs}, "
                f"floor_bp={self.floor_bp}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardCurve:
    """Forwards of one underlying at one time.

    Parameters
    ----------
    ts_ns : int
        Nanoseconds since the epoch, UTC.
    underlying : str
    table : pl.DataFrame
        One row per venue and expiry: ``venue, expiry, forward, std_error (USD), n_pairs, method, band_low,
        band_high``; the band is null where no pair was two-sided. In the venue's own currency, as its prices.
    expiry_ns : IntArray, shape (n,)
        Expiries, ascending.
    forwards, std_errors : FloatArray, shape (n,)
        Pooled over venues, in `currency`.
    currency : str
        USD unless every venue quotes in one and the same other currency whose price is not known.
    basis : pl.DataFrame
        Price of each other currency in USD, ``currency, price, std_error, source, n_expiries``: ``F_usd`` is
        the forward of such a venue times this price.
    status : pl.DataFrame
        ``venue, expiry, status, detail`` of every listed venue and expiry, a `ForwardStatus` each; the detail
        names the values that disagree. ``NO_BASIS`` and ``NOT_POOLED`` go before the others: rows of the
        former cannot stand beside forwards in `currency`, rows of the latter take the pooled forward.
    currencies : tuple of (str, str)
        Venues that quote in another currency than USD, and which.
    """

    ts_ns: int
    underlying: str
    table: pl.DataFrame
    expiry_ns: IntArray
    forwards: FloatArray
    std_errors: FloatArray
    currency: str = DOLLAR
    basis: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_BASIS_SCHEMA))
    status: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_STATUS_SCHEMA))
    currencies: tuple[tuple[str, str], ...] = ()

    def venue_factor(self, venue: str) -> float:
        """What turns a pooled forward into the currency of a venue's prices; NaN where no price is known."""
        unit = dict(self.currencies).get(venue, DOLLAR)
        if unit == self.currency:
            return 1.0
        prices = dict(self.basis.select("currency", "price").iter_rows())
        return 1.0 / prices[unit] if self.currency == DOLLAR and unit in prices else float("nan")

    def forward_of(self, expiry_ns: int) -> float:
        """Pooled forward of a listed expiry, USD.

        Raises
        ------
        UnknownInstrument
            If the expiry is not listed; `interpolate` serves those.
        """
        at = int(np.searchsorted(self.expiry_ns, expiry_ns))
        if at == self.expiry_ns.size or self.expiry_ns[at] != expiry_ns:
            raise UnknownInstrument(
                f"{self.underlying}: expected one of {self.expiry_ns.size} listed expiries, found "
                f"{format_ns(expiry_ns)}; use interpolate() between expiries"
            )
        return float(self.forwards[at])

    def interpolate(self, expiry_ns: ArrayLike) -> FloatArray:
        """Forward at any expiry: ``ln F`` linear in time, constant outside the listed expiries, USD."""
        wanted = np.asarray(expiry_ns, dtype=np.int64)
        # Seconds from the curve's time: nanoseconds since 1970 exceed float64's exact integers.
        at = (self.expiry_ns - self.ts_ns) / 1e9
        return np.asarray(np.exp(np.interp((wanted - self.ts_ns) / 1e9, at, np.log(self.forwards))))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    forward: float
    std_error: float


def estimate_forwards(
    chain: pl.DataFrame,
    futures: pl.DataFrame | None = None,
    *,
    settings: ForwardSettings | None = None,
) -> ForwardCurve:
    """Estimate the forward of every expiry in a chain.

    Parameters
    ----------
    chain : pl.DataFrame
        Cleaned rows in `CHAIN_SCHEMA` of one time and underlying.
    futures : pl.DataFrame, optional
        In `FUTURES_SCHEMA`; dated futures of the same venues and expiries are used.
    settings : ForwardSettings, optional

    Raises
    ------
    EmptyData
        If no expiry has a forward by any method.
    DataError
        If the chain holds several times or underlyings.

    Notes
    -----
    A future and the venue's own forward are believed only inside the executable parity band (where there
    is one). Error bars: a two-sided future, half its spread over sqrt(3) and the lag of its stamp; parity,
    the scatter and width of its pairs; the venue's own forward, the robust spread of its values over the
    rows of the expiry and a share of the parity error, or at least that of a mark where no pairs check it;
    such a forward is not pooled if it contradicts the parity band of every other venue. Pooling weighs by
    inverse variance; the pooled error grows with the disagreement of the venues.
    """
    settings = settings or ForwardSettings()
    ts_ns, underlying = single_moment(chain)
    parity = parity_forwards(chain, max_pairs=settings.max_pairs, drift_vol=settings.drift_vol)
    own = _venue_candidates(chain, settings)
    dated = _future_candidates(futures, underlying, ts_ns, settings)
    stamps = nanoseconds(chain["expiry"])
    listed = set(zip(stamps.tolist(), chain["venue"].to_list(), strict=True))
    rows, notes = [], _Notes()
    for expiry_ns, venue in sorted(listed):
        row = _choose(venue, expiry_ns, parity, own, dated, settings, notes)
        if row is not None:
            rows.append(row)
    if not rows:
        raise EmptyData(
            f"{underlying}: expected a forward column, a future or a two-sided call-put pair, found none; "
            "use a chain with forwards or quotes"
        )
    table = pl.DataFrame(rows, schema=_TABLE_SCHEMA, orient="row")
    return _curve(ts_ns, underlying, table, {venue for _, venue in listed}, settings, notes)


class _Notes:
    """What there is to say about each venue and expiry; the first word stands unless overruled."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, str], tuple[ForwardStatus, str]] = {}

    def say(self, venue: str, expiry_ns: int, status: ForwardStatus, detail: str = "") -> None:
        self._said.setdefault((expiry_ns, venue), (status, detail))

    def overrule(self, venue: str, expiry_ns: int, status: ForwardStatus, detail: str) -> None:
        """Say what the rows must not be used for, with what was said before behind it."""
        before = self._said.get((expiry_ns, venue), (status, ""))[1]
        self._said[expiry_ns, venue] = status, "; ".join(text for text in (detail, before) if text)

    def table(self) -> pl.DataFrame:
        rows = [(venue, at, status.value, text) for (at, venue), (status, text) in sorted(self._said.items())]
        return pl.DataFrame(rows, schema=_STATUS_SCHEMA, orient="row")


def _curve(
    ts_ns: int,
    underlying: str,
    table: pl.DataFrame,
    listed: set[str],
    settings: ForwardSettings,
    notes: _Notes,
) -> ForwardCurve:
    """Forwards of all venues in one currency, pooled."""
    stamps, venues = nanoseconds(table["expiry"]), table["venue"].to_list()
    forward, error = table["forward"].to_numpy().copy(), table["std_error"].to_numpy().copy()
    quoted = dict(settings.currencies)
    units = [quoted.get(venue, DOLLAR) for venue in venues]
    prices = stable_prices(units, stamps, forward, error, settings.stable_prices)
    # A venue without any forward of its own takes the pooled one at the given price of its currency.
    wanted = {quoted.get(venue, DOLLAR) for venue in listed}
    prices = {p.currency: p for p in settings.stable_prices if p.currency in wanted - {DOLLAR}} | prices
    alone = len(set(units)) == 1 and units[0] not in prices
    usable = np.ones(forward.size, dtype=np.bool_)
    rate, doubt = np.ones(forward.size), np.zeros(forward.size)
    for number, unit in enumerate(units):
        if unit == DOLLAR or alone:
            continue
        if unit not in prices:
            usable[number] = False
            text = (
                f"expected a price of {unit} or an expiry shared with a USD venue, found neither; not pooled"
            )
            notes.overrule(venues[number], int(stamps[number]), ForwardStatus.NO_BASIS, text)
            continue
        price = prices[unit]
        error[number] = price.price * float(
            np.hypot(error[number], forward[number] * price.std_error / price.price)
        )
        forward[number] *= price.price
        rate[number], doubt[number] = price.price, price.std_error / price.price
    currency = units[0] if alone else DOLLAR
    low, high = (np.where(usable, floats(table[b]) * rate, np.nan) for b in ("band_low", "band_high"))
    judged = (table["method"] == ForwardMethod.VENUE.value).to_numpy() & np.isnan(low) & usable
    room = settings.band_slack_bp * _BASIS_POINT * forward + 2.0 * error
    against = outside_bands(stamps, forward, room, judged, low - 2.0 * doubt * low, high + 2.0 * doubt * high)
    for number, (bottom, top) in against.items():
        text = (
            f"{forward[number]:.2f} {currency}, without pairs of its own, lies outside the executable parity "
            f"bands of the other venues, {bottom:.2f} to {top:.2f}; not pooled"
        )
        notes.overrule(venues[number], int(stamps[number]), ForwardStatus.NOT_POOLED, text)
        usable[number] = False
    for number in np.flatnonzero(_left_out(stamps, forward, error, usable, settings)).tolist():
        text = f"{forward[number]:.2f} {currency} lies far from the median of the venues; not pooled"
        notes.overrule(venues[number], int(stamps[number]), ForwardStatus.NOT_POOLED, text)
        usable[number] = False
    for venue, expiry_ns in zip(venues, stamps.tolist(), strict=True):
        notes.say(venue, expiry_ns, ForwardStatus.OK)
    expiry_ns, forwards, std_errors = _pool(stamps[usable], forward[usable], error[usable])
    basis = [(p.currency, p.price, p.std_error, p.source, p.n_expiries) for p in prices.values()]
    return ForwardCurve(
        ts_ns=ts_ns,
        underlying=underlying,
        table=table,
        expiry_ns=expiry_ns,
        forwards=forwards,
        std_errors=std_errors,
        currency=currency,
        basis=pl.DataFrame(basis, schema=_BASIS_SCHEMA, orient="row"),
        status=notes.table(),
        currencies=settings.currencies,
    )


_Key = tuple[str, int]
_Row = tuple[str, int, float, float, int, str, float | None, float | None]


def _venue_candidates(chain: pl.DataFrame, settings: ForwardSettings) -> dict[_Key, _Candidate]:
    shown: dict[_Key, list[float]] = {}
    stamps, numbers = nanoseconds(chain["expiry"]).tolist(), floats(chain["forward"]).tolist()
    for venue, expiry_ns, number in zip(chain["venue"].to_list(), stamps, numbers, strict=True):
        if 0.0 < number < np.inf:
            shown.setdefault((venue, expiry_ns), []).append(number)
    return {key: _middle(np.array(values), settings) for key, values in shown.items()}


def _middle(shown: FloatArray, settings: ForwardSettings) -> _Candidate:
    forward = median(shown)
    spread = MAD_TO_SD * median(np.abs(shown - forward))
    return _Candidate(forward=forward, std_error=max(spread, _floor(forward, settings)))


def _future_candidates(
    futures: pl.DataFrame | None, underlying: str, ts_ns: int, settings: ForwardSettings
) -> dict[_Key, _Candidate]:
    if futures is None or futures.is_empty():
        return {}
    mine = (pl.col("kind") == "future") & (pl.col("underlying") == underlying)
    stamp = pl.coalesce("ts_event", "ts").dt.epoch("ns")
    dated = futures.lazy().filter(mine & pl.col("expiry").is_not_null())
    columns = dated.select("venue", pl.col("expiry").dt.epoch("ns"), stamp, "bid", "ask", "mark").collect()
    found: dict[_Key, _Candidate] = {}
    for venue, expiry_ns, stamp_ns, bid, ask, mark in columns.iter_rows():
        if bid is not None and ask is not None and 0 < bid <= ask:
            middle, error = 0.5 * (bid + ask), 0.5 * (ask - bid) / 3.0**0.5
        elif mark is not None and mark > 0 and np.isfinite(mark):
            middle, error = mark, settings.mark_error_bp * _BASIS_POINT * mark
        else:
            continue
        drift = settings.drift_vol * middle * (abs(ts_ns - stamp_ns) / NS_PER_YEAR) ** 0.5
        error = max((error**2 + drift**2) ** 0.5, _floor(middle, settings))
        # Of rows that claim the same contract the sharpest stays, in whatever order they come.
        best = found.get((venue, expiry_ns))
        if best is None or (error, middle) < (best.std_error, best.forward):
            found[venue, expiry_ns] = _Candidate(forward=middle, std_error=error)
    return found


def _floor(forward: float, settings: ForwardSettings) -> float:
    return settings.floor_bp * _BASIS_POINT * forward


def _choose(
    venue: str,
    expiry_ns: int,
    parity: dict[_Key, ParityForward],
    own: dict[_Key, _Candidate],
    dated: dict[_Key, _Candidate],
    settings: ForwardSettings,
    notes: _Notes,
) -> _Row | None:
    key = (venue, expiry_ns)
    band = parity.get(key)
    # Too few pairs for a forward can still contradict one.
    pair = band if band is not None and band.n_pairs >= settings.min_pairs else None
    available: dict[ForwardMethod, _Candidate] = {}
    for method, candidates in ((ForwardMethod.FUTURE, dated), (ForwardMethod.VENUE, own)):
        if key not in candidates:
            continue
        if band and _is_outside(candidates[key].forward, band, settings):
            text = (
                f"{method.value} {candidates[key].forward:.2f} lies outside the executable parity band "
                f"{band.band_low:.2f} to {band.band_high:.2f}; parity gives {band.forward:.2f}"
            )
            # Coin prices of the rows are turned into USD by their own forward, whatever the methods.
            if method in settings.methods or method is ForwardMethod.VENUE:
                notes.say(venue, expiry_ns, ForwardStatus.CONTRADICTS_PARITY, text)
        else:
            available[method] = candidates[key]
    if ForwardMethod.VENUE in available:
        shown = available[ForwardMethod.VENUE]
        if pair is not None:
            error = float(np.hypot(shown.std_error, settings.venue_share * pair.std_error))
        else:
            error = max(shown.std_error, settings.mark_error_bp * _BASIS_POINT * shown.forward)
        available[ForwardMethod.VENUE] = _Candidate(forward=shown.forward, std_error=error)
    if pair is not None:
        error = max(pair.std_error, _floor(pair.forward, settings))
        available[ForwardMethod.PARITY] = _Candidate(forward=pair.forward, std_error=error)
    usable = [method for method in settings.methods if method in available]
    if not usable:
        notes.say(venue, expiry_ns, ForwardStatus.NO_FORWARD, "no future, forward column or two-sided pair")
        return None
    if pair is not None and pair.disjoint:
        text = f"pairs contradict each other, bands from {pair.band_low:.2f} to {pair.band_high:.2f}"
        notes.say(venue, expiry_ns, ForwardStatus.PARITY_DISJOINT, text)
    method = min(usable, key=lambda m: available[m].std_error)
    best = available[method]
    low, high = (band.band_low, band.band_high) if band else (None, None)
    n_pairs = band.n_pairs if band else 0
    return venue, expiry_ns, best.forward, best.std_error, n_pairs, method.value, low, high


def _is_outside(forward: float, pair: ParityForward, settings: ForwardSettings) -> bool:
    slack = settings.band_slack_bp * _BASIS_POINT * forward
    if pair.n_pairs < settings.min_pairs:
        slack += 2.0 * pair.std_error
    return not pair.band_low - slack <= forward <= pair.band_high + slack


def _left_out(
    stamps: IntArray, forward: FloatArray, error: FloatArray, usable: BoolArray, settings: ForwardSettings
) -> BoolArray:
    """Venues that lie far from the median of three or more at their expiry."""
    far = np.zeros(forward.size, dtype=np.bool_)
    for expiry in np.unique(stamps[usable]):
        at = np.flatnonzero((stamps == expiry) & usable)
        if at.size >= 3:
            middle = median(forward[at])
            limit = np.maximum(5.0 * error[at], settings.outlier_bp * _BASIS_POINT * middle)
            away = np.abs(forward[at] - middle) > limit
            far[at] = away & ~away.all()
    return far


def _pool(
    stamps: IntArray, forward: FloatArray, error: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    expiries = np.unique(stamps)
    pooled = [_pool_one(forward[stamps == e], error[stamps == e]) for e in expiries]
    return expiries, *_columns(pooled)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    array = np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
    return array[:, 0].copy(), array[:, 1].copy()


def _pool_one(forward: FloatArray, error: FloatArray) -> tuple[float, float]:
    weight = error**-2.0
    mean = float(np.sum(weight * forward) / np.sum(weight))
    pooled = float(np.sum(weight)) ** -0.5
    if forward.size > 1:
        chi2 = float(np.sum(weight * (forward - mean) ** 2)) / (forward.size - 1)
        pooled *= max(1.0, chi2**0.5)
    return mean, pooled
