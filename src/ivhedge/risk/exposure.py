"""Exposures of a book on the fitted surface, per leg, in USD and in coin.

A delta is to the forward of the leg's own expiry, in coin units. In USD it is dV/dF; in coin it is the
premium-adjusted ``F · dc/dF`` of ``c = V / F``, which is what an account kept in coin has to hedge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.pricing import black76_greeks, coin_greeks
from ivhedge.risk.legs import Legs, LegStatus, check_legs, price_legs
from ivhedge.surface.base import VolSurface

if TYPE_CHECKING:
    from ivhedge.ledger.book import Book

__all__ = ["EXPOSURE_NAMES", "Exposures", "exposures", "leg_exposures"]

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
_USD_GREEKS = ("price", "delta", "gamma", "vega", "theta", "vanna", "volga")
_COIN_GREEKS = ("price_coin", "delta_coin", "gamma_coin_1pct", "vega_coin", "theta_coin")
_GROUPS = ("underlying", "expiry", "venue", "kind", "instrument")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """Exposures of a book, one row per leg.

    Parameters
    ----------
    ts_ns : int
    priced : Legs
        Forward, vol and status of every leg.
    values : mapping of name in `EXPOSURE_NAMES` to FloatArray, shape (n,)
        NaN where the status is not ok.

    Notes
    -----
    Sums skip legs without a price and count them in `unpriced`: a total with `unpriced` > 0 is not the
    book's.
    """

    ts_ns: int
    priced: Legs
    values: Mapping[str, FloatArray]

    @property
    def legs(self) -> pl.DataFrame:
        """Table of the legs, built at each call.

        Columns: instrument, venue, underlying, kind, expiry, contracts, forward, vol, status and
        `EXPOSURE_NAMES`; numbers are null where `status` is not ``"ok"``.
        """
        return _leg_table(self.priced, self.values)

    def by(self, *columns: str) -> pl.DataFrame:
        """Sum over legs that share `columns`, of underlying, expiry, venue, kind, instrument.

        Raises
        ------
        ConfigError
            If a column is none of these.
        """
        wrong = [name for name in columns if name not in _GROUPS]
        if wrong or not columns:
            raise ConfigError(f"expected columns of {_GROUPS}, found {list(columns)}")
        unpriced = (pl.col("status") != LegStatus.OK.value).sum().alias("unpriced")
        sums = [pl.col(name).sum() for name in EXPOSURE_NAMES]
        return self.legs.group_by(columns).agg(*sums, pl.len().alias("n_legs"), unpriced).sort(columns)

    def total(self, underlying: str) -> dict[str, float]:
        """Sums over one underlying's legs; zeros when it has none.

        The key `unpriced` counts the legs that have no price.
        """
        mine = np.array([name == underlying for name in self.priced.underlyings], dtype=np.bool_)
        rows = mine & self.priced.priced
        sums = {name: float(self.values[name][rows].sum()) for name in EXPOSURE_NAMES}
        return sums | {"unpriced": float((mine & ~rows).sum())}


def exposures(
    book: "Book",
    surfaces: Mapping[str, VolSurface],
    *,
    ts_ns: int,
    strict: bool = False,
) -> Exposures:
    """Measure a book on the surfaces.

    Parameters
    ----------
    book : Book
    surfaces : mapping of underlying to surface
    ts_ns : int
        Time of the valuation, nanoseconds since the epoch, UTC.
    strict : bool
        Raise instead of giving a leg that cannot be priced a status. Reports leave it off, hedging
        switches it on. Expired legs never raise: they wait for their settlement.

    Returns
    -------
    Exposures

    Raises
    ------
    UnknownInstrument
        With `strict`, if a held underlying has no surface.
    DataError
        With `strict`, if a surface has no forward or vol for a leg.
    """
    legs = price_legs([(p.instrument, p.quantity) for p in book.positions], surfaces, ts_ns)
    if strict:
        check_legs(legs, ts_ns)
    return Exposures(ts_ns=ts_ns, priced=legs, values=leg_exposures(legs))


def leg_exposures(legs: Legs) -> dict[str, FloatArray]:
    """Exposures of each leg, names as in `EXPOSURE_NAMES`, shape (n,); NaN where the status is not ok."""
    columns = {name: np.full(len(legs.instruments), np.nan) for name in EXPOSURE_NAMES}
    ok = legs.priced
    _fill_futures(columns, legs, np.flatnonzero(ok & ~legs.is_option))
    _fill_options(columns, legs, np.flatnonzero(ok & legs.is_option))
    return columns


def _fill_futures(columns: dict[str, FloatArray], legs: Legs, rows: IntArray) -> None:
    # Marked to market at every step, hence worth 0 now: an inverse contract pays q·M·(1/F − 1/F') coin
    # for a move F -> F', that is q·M·(F'/F − 1) USD; a linear one pays q·m·(F' − F) USD.
    for name in EXPOSURE_NAMES:
        columns[name][rows] = 0.0
    delta = np.where(legs.is_inverse, legs.size / legs.forward, legs.size)[rows]
    columns["delta_usd"][rows] = delta
    columns["delta_coin"][rows] = delta
    columns["gamma_1pct_coin"][rows] = -0.01 * delta


def _fill_options(columns: dict[str, FloatArray], legs: Legs, rows: IntArray) -> None:
    if rows.size == 0:
        return
    arguments = tuple(a[rows] for a in (legs.forward, legs.strike, legs.tau, legs.vol, legs.is_call))
    usd = black76_greeks(*arguments, names=_USD_GREEKS)
    coin = coin_greeks(*arguments, names=_COIN_GREEKS)
    per_unit = {
        "delta_usd": usd["delta"],
        "delta_coin": coin["delta_coin"],
        "gamma_1pct_usd": 0.01 * legs.forward[rows] * usd["gamma"],
        "gamma_1pct_coin": coin["gamma_coin_1pct"],
        "vega_usd_per_vol_point": VOL_POINT * usd["vega"],
        "vega_coin_per_vol_point": VOL_POINT * coin["vega_coin"],
        "theta_usd_per_day": usd["theta"] / DAYS_PER_YEAR,
        "theta_coin_per_day": coin["theta_coin"] / DAYS_PER_YEAR,
        "vanna": usd["vanna"],
        "volga": usd["volga"],
        "value_usd": usd["price"],
        "value_coin": coin["price_coin"],
    }
    for name, values in per_unit.items():
        columns[name][rows] = legs.size[rows] * values


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
