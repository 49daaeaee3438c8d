"""Exposures of a book on the fitted surface, per leg, in USD and in coin.

A coin-settled leg is worth ``c = V / F`` coins, hence ``c · S`` USD at the index S; one settled in dollars
is worth V USD, hence ``V / S`` coins. Forwards move in proportion to the index. A delta is to the index, in
coin units: in USD ``dV/dF`` of a coin-settled leg and ``dV/dF · F/S`` of one settled in dollars; in coin the
premium-adjusted ``S · d(coins)/dS``, which is what an account kept in coin has to hedge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.pricing import COIN_GREEK_NAMES, GREEK_NAMES, black76_greeks, coin_greeks
from ivhedge.risk.buckets import BUCKET_COLUMNS, DELTA_NODES, TENOR_NODES, VegaGrid, bucket_labels, vega_grid
from ivhedge.risk.legs import MAX_AGE_NS, Legs, LegStatus, check_legs, price_legs, vol_slopes
from ivhedge.risk.marks import ConservativeMarks, SettlementWindow, conservative_legs, settling_greeks
from ivhedge.surface.base import VolSurface
from ivhedge.surface.dynamics import SmileRule

if TYPE_CHECKING:
    from ivhedge.ledger.book import Book

__all__ = [
    "CARRY_NAMES",
    "EXPOSURE_NAMES",
    "GREEK_EXPOSURE_NAMES",
    "SMILE_NAMES",
    "Exposures",
    "exposures",
    "leg_exposures",
]

EXPOSURE_NAMES: Final = (
    "delta_usd",
    "delta_coin",
    "gamma_1pct_usd",
    "gamma_1pct_coin",
    "vega_usd_per_vol_point",
    "vega_coin_per_vol_point",
    "theta_usd_per_day",
    "theta_coin_per_day",
    "vanna",
    "volga",
    "value_usd",
    "value_coin",
)
CARRY_NAMES: Final = (
    "forward_usd_per_bp",
    "forward_coin_per_bp",
    "funding_usd_per_bp",
    "funding_coin_per_bp",
)
"""Per basis point: of the annualised carry rate ``ln(F/S)/tau``, and of a perpetual's 8-hour funding rate."""
SMILE_NAMES: Final = ("delta_smile_usd", "delta_smile_coin", "gamma_smile_1pct_usd", "gamma_smile_1pct_coin")
"""Delta and gamma in total, the vol of the strike moving along the rule of smile dynamics."""
_GROUPS = ("underlying", "expiry", "venue", "kind", "instrument", *BUCKET_COLUMNS)
_BP = 1e-4

_Per = Callable[[FloatArray, Legs, IntArray], FloatArray]


def _plain(value: FloatArray, legs: Legs, rows: IntArray) -> FloatArray:
    return value


def _one_percent(value: FloatArray, legs: Legs, rows: IntArray) -> FloatArray:
    return 0.01 * legs.forward[rows] * value


def _vol_point(value: FloatArray, legs: Legs, rows: IntArray) -> FloatArray:
    return VOL_POINT * value


def _day(value: FloatArray, legs: Legs, rows: IntArray) -> FloatArray:
    return value / DAYS_PER_YEAR


# Which Greek of the pricing room each exposure is made of, and its unit.
_RECIPES: dict[str, tuple[str, _Per]] = {
    "delta_usd": ("delta", _plain),
    "delta_coin": ("delta_coin", _plain),
    "gamma_1pct_usd": ("gamma", _one_percent),
    "gamma_1pct_coin": ("gamma_coin_1pct", _plain),
    "vega_usd_per_vol_point": ("vega", _vol_point),
    "vega_coin_per_vol_point": ("vega_coin", _vol_point),
    "theta_usd_per_day": ("theta", _day),
    "theta_coin_per_day": ("theta_coin", _day),
    "vanna": ("vanna", _plain),
    "volga": ("volga", _plain),
    "value_usd": ("price", _plain),
    "value_coin": ("price_coin", _plain),
    "rho_coin": ("price_coin", lambda v, legs, rows: -legs.tau[rows] * v),
}
_RAW = tuple(name for name in GREEK_NAMES if name not in ("price", "delta"))
_COIN_NAME = {"price": "price_coin", "delta": "c_F", "gamma": "c_FF", "speed": "c_FFF"}
_RECIPES |= {f"{name}_usd": (name, _plain) for name in _RAW}
_RECIPES |= {f"{name}_coin": (_COIN_NAME.get(name, f"{name}_coin"), _plain) for name in _RAW if name != "rho"}
_PER_FORWARD = ("gamma", "vanna", "charm", "speed", "zomma", "color", "dvanna_dvol", "dvanna_dt")
_AT_INDEX: Final = frozenset(f"{name}_usd" for name in _RAW if name not in _PER_FORWARD) | {
    "vega_usd_per_vol_point",
    "theta_usd_per_day",
    "volga",
    "value_usd",
}
"""USD of a value, not per move of the forward: a coin-settled leg's are the coins' at the index."""
GREEK_EXPOSURE_NAMES: Final = tuple(f"{name}_{unit}" for name in _RAW for unit in ("usd", "coin"))
"""Every other Greek of the pricing room, a plain derivative per unit of vol and per calendar year."""
_SMILE_USD = ("delta", "gamma", "vega", "vanna", "volga")
_SMILE_COIN = ("c_F", "c_FF", "vega_coin", "vanna_coin", "volga_coin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """Exposures of a book, one row per leg.

    Parameters
    ----------
    ts_ns : int
    priced : Legs
        Forward, vol and status of every leg.
    values : mapping of name to FloatArray, shape (n,)
        NaN where the leg has no price.
    cash : mapping of currency code to float
        Balances of the book.
    indices : mapping of underlying to float
        Forward at tau = 0 of the surfaces, USD.

    Notes
    -----
    Sums skip legs without a price and count them in `unpriced`: a total with `unpriced` > 0 is not the
    book's.
    """

    ts_ns: int
    priced: Legs
    values: Mapping[str, FloatArray]
    cash: Mapping[str, float] = field(default_factory=dict)
    indices: Mapping[str, float] = field(default_factory=dict)

    @property
    def legs(self) -> pl.DataFrame:
        """Table of the legs, built at each call.

        Columns: instrument, venue, underlying, kind, expiry, contracts, forward, vol, status and the names
        of `values`; numbers are null where the leg has no price.
        """
        return _leg_table(self.priced, self.values)

    def by(self, *columns: str) -> pl.DataFrame:
        """Sum over legs that share `columns`.

        Parameters
        ----------
        columns : str
            Of underlying, expiry, venue, kind, instrument, tenor_bucket, delta_bucket, moneyness_bucket.

        Raises
        ------
        ConfigError
            If a column is none of these.
        """
        wrong = [name for name in columns if name not in _GROUPS]
        if wrong or not columns:
            raise ConfigError(f"expected columns of {_GROUPS}, found {list(columns)}")
        labels = [
            pl.Series(name, bucket_labels(self.priced, name), dtype=pl.String)
            for name in columns
            if name in BUCKET_COLUMNS
        ]
        valued = [LegStatus.OK.value, LegStatus.CONSERVATIVE.value]
        unpriced = (~pl.col("status").is_in(valued)).sum().alias("unpriced")
        sums = [pl.col(name).sum() for name in self.values]
        table = self.legs.with_columns(labels)
        return table.group_by(columns).agg(*sums, pl.len().alias("n_legs"), unpriced).sort(columns)

    def total(self, underlying: str) -> dict[str, float]:
        """Sums over one underlying's legs.

        The key `unpriced` counts the legs that have no price.

        Raises
        ------
        ConfigError
            If there is neither a leg nor a surface of the underlying.
        """
        known = sorted({*self.priced.underlyings, *self.indices})
        if known and underlying not in known:
            raise ConfigError(f"expected an underlying of {known}, found {underlying!r}")
        mine = np.array([name == underlying for name in self.priced.underlyings], dtype=np.bool_)
        rows = mine & self.priced.priced
        sums = {name: float(values[rows].sum()) for name, values in self.values.items()}
        return sums | {"unpriced": float((mine & ~rows).sum())}

    def account(self, underlying: str) -> dict[str, float]:
        """Delta of positions and collateral together.

        Returns
        -------
        dict of str to float
            `collateral_coin`, `collateral_usd`: balances in the coin and in dollar currencies, these at par.
            `delta_usd`: of the account's value in USD, positions plus the coin balance. `delta_coin`: of its
            value in coin, positions less the dollars over the index. `unpriced`: legs in neither.

        Raises
        ------
        DataError
            If dollars must be turned into coin and no surface gave an index.
        """
        total = self.total(underlying)
        coin = self.cash.get(underlying, 0.0)
        dollars = sum(amount for code, amount in self.cash.items() if code in _DOLLARS)
        index = self.indices.get(underlying)
        if dollars and index is None:
            raise DataError(f"expected a surface of {underlying} to turn dollars into coin, found none")
        return {
            "collateral_coin": coin,
            "collateral_usd": dollars,
            "delta_usd": total["delta_usd"] + coin,
            "delta_coin": total["delta_coin"] - (dollars / index if index else 0.0),
            "unpriced": total["unpriced"],
        }

    def vega_grid(
        self,
        underlying: str,
        *,
        tenors: Sequence[float] = TENOR_NODES,
        deltas: Sequence[float] = DELTA_NODES,
    ) -> VegaGrid:
        """Vega of one underlying over tenor and delta, see `ivhedge.risk.buckets.vega_grid`."""
        usd, coin = (self.values[f"vega_{unit}_per_vol_point"] for unit in ("usd", "coin"))
        return vega_grid(self.priced, usd, coin, underlying=underlying, tenors=tenors, deltas=deltas)


_DOLLARS = ("USD", "USDC", "USDT")


def exposures(
    book: "Book",
    surfaces: Mapping[str, VolSurface],
    *,
    ts_ns: int,
    strict: bool = True,
    dynamics: SmileRule | None = None,
    extra: Sequence[str] = (),
    max_age_ns: int | None = MAX_AGE_NS,
    conservative: ConservativeMarks | None = None,
    settlement: SettlementWindow | None = None,
) -> Exposures:
    """Measure a book on the surfaces.

    Parameters
    ----------
    book : Book
    surfaces : mapping of underlying to surface
    ts_ns : int
        Time of the valuation, nanoseconds since the epoch, UTC.
    strict : bool
        Raise for a leg that cannot be priced; off, it gets a status and is in no sum. Expired legs never
        raise: they wait for their settlement.
    dynamics : SmileRule, optional
        Adds `SMILE_NAMES`, total delta and gamma along this rule, beside those at a fixed vol.
    extra : sequence of str
        Further exposures, of `GREEK_EXPOSURE_NAMES` and `CARRY_NAMES`.
    max_age_ns : int or None
        Legs on a surface further away in time have the status `stale_surface`; None for any.
    conservative : ConservativeMarks, optional
        Mark legs without a price against their holder instead of leaving them out; their status says so.
    settlement : SettlementWindow, optional
        Price options close to expiry on the average that they settle on. Without it an option whose average
        runs (the last half hour) has no price, `no_average`: as a plain option its risk would be wrong.

    Returns
    -------
    Exposures

    Raises
    ------
    ConfigError
        If a name of `extra` is unknown.
    UnknownInstrument
        With `strict`, if a held underlying has no surface.
    StaleQuote
        With `strict`, if a surface is too old.
    DataError
        If a size is not finite; with `strict`, if a surface has no forward or vol for a leg.
    """
    unknown = [name for name in extra if name not in (*GREEK_EXPOSURE_NAMES, *CARRY_NAMES)]
    if unknown:
        raise ConfigError(f"expected extra of GREEK_EXPOSURE_NAMES and CARRY_NAMES, found {unknown}")
    positions = [(p.instrument, p.quantity) for p in book.positions]
    legs = price_legs(positions, surfaces, ts_ns, max_age_ns=max_age_ns)
    legs = (settlement or SettlementWindow()).refuse_unknown(legs, ts_ns)
    if conservative is not None:
        legs = conservative_legs(legs, surfaces, conservative)
    if strict:
        check_legs(legs, ts_ns)
    values = leg_exposures(legs, (*EXPOSURE_NAMES, *extra), settlement=settlement, ts_ns=ts_ns)
    if dynamics is not None:
        values |= _smile_exposures(legs, surfaces, dynamics, settlement, ts_ns)
    return Exposures(
        ts_ns=ts_ns,
        priced=legs,
        values=values,
        cash={money.currency.code: money.to_float() for money in book.cash},
        indices={name: float(surface.forward(0.0)) for name, surface in surfaces.items()},
    )


def leg_exposures(
    legs: Legs,
    names: Sequence[str] = EXPOSURE_NAMES,
    *,
    settlement: SettlementWindow | None = None,
    ts_ns: int = 0,
) -> dict[str, FloatArray]:
    """Exposures of each leg, shape (n,); NaN where it has no price.

    Parameters
    ----------
    legs : Legs
    names : sequence of str
        Of `EXPOSURE_NAMES`, `GREEK_EXPOSURE_NAMES` and `CARRY_NAMES`.
    settlement, ts_ns
        As for `exposures`.
    """
    columns = {name: np.full(len(legs.instruments), np.nan) for name in names}
    priced = legs.priced
    _fill_futures(columns, legs, np.flatnonzero(priced & ~legs.is_option))
    rows = np.flatnonzero(priced & legs.is_option)
    if rows.size:
        needed = {_RECIPES[name][0] for name in names if name in _RECIPES}
        if any(name.startswith("forward_") for name in names):
            needed |= {"delta", "c_F"}
        greeks = _greeks(legs, rows, needed, settlement, ts_ns)
        for name in names:
            if name in _RECIPES:
                source, unit = _RECIPES[name]
                columns[name][rows] = _scale(name, legs, rows) * unit(greeks[source], legs, rows)
            elif name.startswith("forward_"):
                columns[name][rows] = legs.size[rows] * _carry(greeks, legs, rows, name)
            else:
                columns[name][rows] = 0.0
    return columns


def _scale(name: str, legs: Legs, rows: IntArray) -> FloatArray:
    """Size of each leg, times what turns its Greek by the forward into USD or coin at the index."""
    return np.asarray(legs.size[rows] * (legs.usd_scale if name in _AT_INDEX else legs.coin_scale)[rows])


def _carry(greeks: Mapping[str, FloatArray], legs: Legs, rows: IntArray, name: str) -> FloatArray:
    """What a basis point of carry is worth per unit: the forward moves and the index stands still."""
    F, S = legs.forward[rows], legs.index[rows]
    usd = _BP * F * legs.tau[rows] * np.where(legs.is_inverse[rows], S * greeks["c_F"], greeks["delta"])
    return np.asarray(usd if "_usd_" in name else usd / S)


def _fill_futures(columns: dict[str, FloatArray], legs: Legs, rows: IntArray) -> None:
    # Marked to market at every step, hence worth 0 now: an inverse contract pays q·M·(1/F − 1/F') coin
    # for a move F -> F', that is q·M·(F'/F − 1) USD; a linear one pays q·m·(F' − F) USD.
    forward, index = legs.forward[rows], legs.index[rows]
    # Per move of the index: a linear contract on a forward above it moves by more.
    delta = np.where(legs.is_inverse[rows], legs.size[rows] / forward, legs.size[rows] * forward / index)
    dated = np.nan_to_num(legs.tau[rows], nan=0.0)
    perpetual = np.isnan(legs.tau[rows])
    values = {
        "delta_usd": delta,
        "delta_coin": delta,
        "gamma_1pct_coin": -0.01 * delta,
        "gamma_coin": -2.0 * delta / forward**2,
        "speed_coin": 6.0 * delta / forward**3,
        # A basis point of carry moves the forward while the index stands still.
        "forward_usd_per_bp": _BP * dated * index * delta,
        "forward_coin_per_bp": _BP * dated * delta,
        # The long side pays a positive rate.
        "funding_usd_per_bp": np.where(perpetual, -_BP * forward * delta, 0.0),
        "funding_coin_per_bp": np.where(perpetual, -_BP * delta, 0.0),
    }
    for name, column in columns.items():
        column[rows] = values.get(name, 0.0)


def _greeks(
    legs: Legs, rows: IntArray, needed: set[str], settlement: SettlementWindow | None, ts_ns: int
) -> dict[str, FloatArray]:
    # Greeks per unit by their names in the pricing room.
    greeks = _greeks_at(legs, rows, legs.vol[rows], needed)
    marked = legs.marked[rows]
    if marked.any():
        _against_holder(greeks, legs, rows, marked, needed)
    close = np.zeros(0, np.bool_) if settlement is None else settlement.applies(legs, ts_ns)[rows]
    if settlement is not None and close.any():
        inside = rows[close]
        for name, values in settling_greeks(legs, inside, settlement, ts_ns).items():
            if name in greeks:
                greeks[name][close] = values
    return greeks


def _greeks_at(legs: Legs, rows: IntArray, vol: FloatArray, needed: set[str]) -> dict[str, FloatArray]:
    arguments = legs.forward[rows], legs.strike[rows], legs.tau[rows], vol, legs.is_call[rows]
    usd = [name for name in GREEK_NAMES if name in needed]
    coin = [name for name in COIN_GREEK_NAMES if name in needed]
    greeks = black76_greeks(*arguments, names=usd) if usd else {}
    return greeks | (coin_greeks(*arguments, names=coin) if coin else {})


def _against_holder(
    greeks: dict[str, FloatArray], legs: Legs, rows: IntArray, marked: BoolArray, needed: set[str]
) -> None:
    """Conservative marks, in place: each Greek the larger at usual and stressed vol; value at exit."""
    mine = rows[marked]
    stressed = np.fmax(legs.opening_vol[mine], legs.closing_vol[mine])
    other = _greeks_at(legs, mine, stressed, needed)
    worth = _greeks_at(legs, mine, legs.closing_vol[mine], {"price", "price_coin"} & needed)
    for name, values in greeks.items():
        usual = values[marked]
        values[marked] = worth.get(name, np.where(np.abs(usual) >= np.abs(other[name]), usual, other[name]))


def _smile_exposures(
    legs: Legs,
    surfaces: Mapping[str, VolSurface],
    rule: SmileRule,
    settlement: SettlementWindow | None,
    ts_ns: int,
) -> dict[str, FloatArray]:
    columns = {name: np.full(len(legs.instruments), np.nan) for name in SMILE_NAMES}
    sources = ("delta_usd", "delta_coin", "gamma_1pct_usd", "gamma_1pct_coin")
    linear = dict(zip(SMILE_NAMES, sources, strict=True))
    rows = np.flatnonzero(legs.priced & ~legs.is_option)
    flat = {name: np.full(len(legs.instruments), np.nan) for name in linear.values()}
    _fill_futures(flat, legs, rows)
    for name, source in linear.items():
        columns[name][rows] = flat[source][rows]
    rows = np.flatnonzero(legs.priced & legs.is_option)
    if rows.size == 0:
        return columns
    greeks = _greeks(legs, rows, {*_SMILE_USD, *_SMILE_COIN}, settlement, ts_ns)
    first, second = vol_slopes(legs, rows, surfaces, rule)
    F, held = legs.forward[rows], legs.size[rows] * legs.coin_scale[rows]
    for unit, names in (("usd", _SMILE_USD), ("coin", _SMILE_COIN)):
        value_F, value_FF, vega, vanna, volga = (greeks[name] for name in names)
        slope = value_F + vega * first
        bend = value_FF + 2.0 * vanna * first + volga * first**2 + vega * second
        delta = slope if unit == "usd" else F * slope
        gamma = 0.01 * F * bend if unit == "usd" else 0.01 * (delta + F * F * bend)
        columns[f"delta_smile_{unit}"][rows] = held * delta
        columns[f"gamma_smile_1pct_{unit}"][rows] = held * gamma
    return columns


def _leg_table(legs: Legs, columns: Mapping[str, FloatArray]) -> pl.DataFrame:
    items = legs.instruments
    expiries = pl.Series("expiry", [item.expiry_ns for item in items], dtype=pl.Int64)
    texts = {
        "instrument": [item.key for item in items],
        "venue": [item.venue for item in items],
        "underlying": [item.underlying for item in items],
        "kind": [item.kind.value for item in items],
        "status": [status.value for status in legs.status],
    }
    numbers = {"contracts": legs.quantity, "forward": legs.forward, "vol": legs.vol, **columns}
    table = pl.DataFrame(
        {name: pl.Series(name, values, dtype=pl.String) for name, values in texts.items()}
        | {name: pl.Series(name, values, dtype=pl.Float64) for name, values in numbers.items()}
    )
    return table.with_columns(
        expiries.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"),
        pl.col("contracts", "forward", "vol", *columns).fill_nan(None),
    )
