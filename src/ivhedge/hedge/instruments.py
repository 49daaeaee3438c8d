"""Which instruments a hedge may use, and at what quotes."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.instruments import Instrument, InstrumentKind
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_YEAR
from ivhedge.hedge.costs import Quote
from ivhedge.market.instruments import instruments_of
from ivhedge.market.snapshot import MarketSnapshot
from ivhedge.pricing import black76_greeks
from ivhedge.surface.base import VolSurface

__all__ = ["HedgeMarket", "InstrumentRules", "hedge_market"]

_QUOTE_COLUMNS = ("bid", "ask", "bid_size", "ask_size", "mark")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRules:
    """Which instruments are candidates.

    Parameters
    ----------
    venues : tuple of str
        Empty = every venue of the snapshot.
    kinds : frozenset of InstrumentKind
    min_abs_delta, max_abs_delta : float
        Range of an option's forward delta on the surface.
    min_tenor_days, max_tenor_days : float
        Range of an option's time to expiry.
    max_spread_vol : float
        Widest bid-ask of an option, as a vol (decimal): ask less bid over vega.
    options_per_expiry : int
        The options with the narrowest bid-ask in vol, per venue and expiry.
    """

    venues: tuple[str, ...] = ()
    kinds: frozenset[InstrumentKind] = field(default_factory=lambda: frozenset(InstrumentKind))
    min_abs_delta: float = 0.10
    max_abs_delta: float = 0.60
    min_tenor_days: float = 2.0
    max_tenor_days: float = 400.0
    max_spread_vol: float = 0.05
    options_per_expiry: int = 4

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_abs_delta < self.max_abs_delta <= 1.0:
            raise ConfigError(
                "expected 0 <= min_abs_delta < max_abs_delta <= 1, "
                f"found {self.min_abs_delta}, {self.max_abs_delta}"
            )
        if not 0.0 <= self.min_tenor_days < self.max_tenor_days:
            raise ConfigError(
                "expected 0 <= min_tenor_days < max_tenor_days, "
                f"found {self.min_tenor_days}, {self.max_tenor_days}"
            )
        if not self.max_spread_vol > 0.0 or self.options_per_expiry < 0:
            raise ConfigError(
                f"expected max_spread_vol above 0 and options_per_expiry at or above 0, "
                f"found {self.max_spread_vol}, {self.options_per_expiry}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeMarket:
    """Tradable instruments of one underlying at one time, as parallel arrays.

    Parameters
    ----------
    ts_ns : int
    underlying : str
    index : float
        USD.
    instruments : tuple of Instrument, length n
    bid, ask, mark : FloatArray, shape (n,)
        In each instrument's price unit; NaN = missing.
    bid_size, ask_size : FloatArray, shape (n,)
        Displayed contracts; NaN = unknown.
    """

    ts_ns: int
    underlying: str
    index: float
    instruments: tuple[Instrument, ...]
    bid: FloatArray
    ask: FloatArray
    mark: FloatArray
    bid_size: FloatArray
    ask_size: FloatArray

    def __post_init__(self) -> None:
        if not (np.isfinite(self.index) and self.index > 0.0):
            raise DataError(f"{self.underlying}: expected a positive index price, found {self.index}")
        for name in _QUOTE_COLUMNS:
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != (len(self.instruments),):
                raise DataError(
                    f"expected {name} of shape ({len(self.instruments)},) as there are instruments, "
                    f"found {values.shape}"
                )
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        keys = [item.key for item in self.instruments]
        if len(set(keys)) < len(keys):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            raise DataError(f"expected each instrument once, found {twice} again; clean the snapshot first")
        strangers = [item.key for item in self.instruments if item.underlying != self.underlying]
        if strangers:
            raise DataError(f"expected instruments on {self.underlying}, found {strangers}")

    def quote(self, row: int) -> Quote:
        """Quote of the instrument at a position."""
        return Quote(
            bid=float(self.bid[row]),
            ask=float(self.ask[row]),
            mark=float(self.mark[row]),
            bid_size=float(self.bid_size[row]),
            ask_size=float(self.ask_size[row]),
            index=self.index,
        )


def hedge_market(
    snapshot: MarketSnapshot,
    surface: VolSurface,
    *,
    rules: InstrumentRules | None = None,
    also: Collection[str] = (),
) -> HedgeMarket:
    """Choose the instruments a hedge may use.

    Parameters
    ----------
    snapshot : MarketSnapshot
    surface : VolSurface
        Measures an option's delta and the width of its quote in vol.
    rules : InstrumentRules, optional
    also : collection of str
        Keys of options that are candidates whatever the rules say, as long as they quote; the book's own
        positions, say, so that they can be reduced.

    Returns
    -------
    HedgeMarket
        Perpetuals and live futures with a quote or a mark, then options with both sides, by expiry.

    Raises
    ------
    DataError
        If surface and snapshot are of different underlyings, or an instrument comes twice.
    """
    rules = rules or InstrumentRules()
    if surface.underlying != snapshot.underlying:
        raise DataError(f"expected the surface of {snapshot.underlying}, found that of {surface.underlying}")
    tables = [_futures(snapshot, rules), _options(snapshot, surface, rules, frozenset(also))]
    instruments: list[Instrument] = []
    for table in tables:
        built = instruments_of(table) if table.height else {}
        keys = (f"{venue}:{name}" for venue, name in table.select("venue", "instrument_name").iter_rows())
        instruments.extend(built[key] for key in keys)
    columns = {
        name: np.concatenate([table[name].to_numpy().astype(np.float64) for table in tables])
        for name in _QUOTE_COLUMNS
    }
    return HedgeMarket(
        ts_ns=snapshot.ts_ns,
        underlying=snapshot.underlying,
        index=snapshot.index,
        instruments=tuple(instruments),
        **columns,
    )


def _futures(snapshot: MarketSnapshot, rules: InstrumentRules) -> pl.DataFrame:
    table = _of_venues(snapshot.futures, rules).with_columns(pl.col(_QUOTE_COLUMNS).fill_nan(None))
    kinds = [kind.value for kind in rules.kinds if kind is not InstrumentKind.OPTION]
    live = pl.col("expiry").is_null() | (pl.col("expiry").dt.epoch("ns") > snapshot.ts_ns)
    priced = pl.any_horizontal(pl.col("bid", "ask", "mark").is_not_null())
    # Perpetuals first: on a tie the optimiser keeps the earlier column.
    return table.filter(pl.col("kind").is_in(kinds) & live & priced).sort("expiry", "venue", nulls_last=False)


def _options(
    snapshot: MarketSnapshot, surface: VolSurface, rules: InstrumentRules, also: frozenset[str]
) -> pl.DataFrame:
    table = _of_venues(snapshot.chain, rules).with_columns(pl.col(_QUOTE_COLUMNS).fill_nan(None))
    key = pl.concat_str("venue", pl.lit(":"), "instrument_name")
    table = table.filter(
        (pl.col("bid") > 0.0)
        & (pl.col("ask") >= pl.col("bid"))
        & (pl.col("expiry").dt.epoch("ns") > snapshot.ts_ns)
        & pl.lit(InstrumentKind.OPTION in rules.kinds)
    ).with_columns(key.is_in(list(also)).alias("wanted"))
    if table.height == 0:
        return table
    table = table.with_columns(*_measures(table, surface, snapshot.ts_ns))
    fits = (
        pl.col("abs_delta").is_between(rules.min_abs_delta, rules.max_abs_delta)
        & pl.col("days").is_between(rules.min_tenor_days, rules.max_tenor_days)
        & (pl.col("spread_vol") <= rules.max_spread_vol)
    )
    rank = pl.col("spread_vol").rank("ordinal").over("venue", "expiry")
    chosen = table.filter(fits).filter(rank <= rules.options_per_expiry)
    extra = table.filter(pl.col("wanted")).join(chosen, on=["venue", "instrument_name"], how="anti")
    return pl.concat([chosen, extra]).sort("expiry", "strike", "is_call", "venue")


def _of_venues(table: pl.DataFrame, rules: InstrumentRules) -> pl.DataFrame:
    return table.filter(pl.col("venue").is_in(list(rules.venues))) if rules.venues else table


def _measures(table: pl.DataFrame, surface: VolSurface, ts_ns: int) -> list[pl.Series]:
    tau = (table["expiry"].dt.epoch("ns").to_numpy() - ts_ns) / NS_PER_YEAR
    strike, is_call = table["strike"].to_numpy(), table["is_call"].to_numpy()
    forward = np.asarray(surface.forward(tau))
    vol = np.asarray(surface.implied_vol(np.log(strike / forward), tau))
    greeks = black76_greeks(forward, strike, tau, vol, is_call, names=("delta", "vega"))
    in_coin = table["settlement"].to_numpy() == "coin"
    width = (table["ask"] - table["bid"]).to_numpy() * np.where(in_coin, forward, 1.0)
    spread_vol: FloatArray = width / np.maximum(greeks["vega"], 1e-12)
    return [
        pl.Series("days", tau * DAYS_PER_YEAR),
        pl.Series("abs_delta", np.abs(greeks["delta"])),
        pl.Series("spread_vol", spread_vol),
    ]
