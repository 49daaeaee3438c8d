"""A coin's volatility outlook: forecast by tenor, regime, and the view against a surface."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError, SchemaError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, format_ns
from ivhedge.forecast import (
    Bars,
    OnlineForecaster,
    TermStructure,
    bars_from_frame,
    best_forecaster,
    daily_measures,
    forecast_term_structure,
    walk_forward,
)
from ivhedge.forecast.view import (
    HoldingCosts,
    RichCheap,
    SpikeState,
    VariancePremium,
    ViewRules,
    VolView,
    rich_cheap,
    spike_start,
    spike_update,
    standardised_returns,
    variance_premium,
    vega_expectation,
    vega_targets,
)
from ivhedge.market import MarketSnapshot
from ivhedge.surface import fit_surface
from ivhedge.surface.base import VolSurface

__all__ = ["TENORS_DAYS", "Outlook", "read_bars", "vol_outlook"]

TENORS_DAYS = (1.0, 3.0, 7.0, 14.0, 30.0, 60.0)
_HORIZONS = (1, 2, 3, 5, 7, 14, 30, 60, 90, 120)
_SETTLE_DAYS = 28
"""Last days that the spike state walks through, after learning on what is before them."""
_FAR = 0.1
_FIRST_FIT = 250
_SMILE_HORIZONS = (1, 3, 7, 14, 30, 60)
_SEED = 20260601
"""Of the bootstrap of the smile's error bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected of a coin's volatility.

    Parameters
    ----------
    source : str
        Name of the bars.
    days : int
        Days of history.
    curve : TermStructure
    spike : SpikeState
    premium : VariancePremium or None
        Against the surface; None without one.
    view : VolView or None
    smile : RichCheap or None
        Against the surface by delta; None unless asked for.
    repaired : int
        Bars that were missing, doubled, out of order or cut off.
    """

    source: str
    days: int
    curve: TermStructure
    spike: SpikeState
    premium: VariancePremium | None
    view: VolView | None
    smile: RichCheap | None
    repaired: int


def read_bars(path: Path) -> Bars:
    """Hourly bars of a parquet file, repaired where that is safe.

    Raises
    ------
    ConfigError
        If there is no file.
    SchemaError
        If it is no parquet file.
    DataError
        As `bars_from_frame`.
    """
    if not path.is_file():
        raise ConfigError(f"expected a parquet file of bars, found nothing at {path}")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise SchemaError(
            f"{path}: expected a parquet file with timestamp, open, high, low, close: {exc}"
        ) from exc
    return bars_from_frame(frame, repair=True)


def vol_outlook(
    bars: Bars,
    *,
    source: str,
    snapshot: MarketSnapshot | None = None,
    rules: ViewRules | None = None,
    costs: HoldingCosts | None = None,
    moneyness: bool = False,
) -> Outlook:
    """Forecast volatility and hold it against a snapshot's surface.

    Parameters
    ----------
    bars : Bars
        Whole days; with a snapshot only those before it are used.
    source : str
        What to call them.
    snapshot : MarketSnapshot, optional
        Of the same coin, at most two days after the last of those days.
    rules : ViewRules, optional
    costs : HoldingCosts, optional
    moneyness : bool
        Also hold the smile against the one that past returns would pay for: walks the forecaster through the
        history, some seconds.

    Raises
    ------
    DataError
        If there are too few days before the snapshot, the bars are another coin's, or end more than two
        days before it (`StaleQuote`).
    CalibrationError, ArbitrageError
        If the snapshot gives no certified surface.
    """
    surface = None
    if snapshot is not None:
        bars = _before(bars, snapshot.ts_ns, source)
        _check_coin(bars, snapshot, source)
        surface = fit_surface(snapshot.chain, futures=snapshot.futures).published()
    state = OnlineForecaster(best_forecaster(), daily_measures(bars), _HORIZONS)
    curve = forecast_term_structure(state, TENORS_DAYS)
    spike = _spike(bars)
    premium, view, smile = None, None, None
    if surface is not None:
        tau = _tenors(surface, curve.tenor_days)
        premium = variance_premium(surface, state, tau)
        rules = rules or ViewRules(capital_usd=1e6, max_vega_usd=1e3)
        expected = vega_expectation(surface, state, rules.tenors, costs=costs or HoldingCosts())
        view = vega_targets(
            expected, rules, ts_ns=surface.ts_ns, underlying=surface.underlying, may_sell=spike.may_sell
        )
        if moneyness:
            smile = _smile(surface, premium, bars)
    found = bars.repairs
    return Outlook(
        source=source,
        days=int(bars.day_ns.size),
        curve=curve,
        spike=spike,
        premium=premium,
        view=view,
        smile=smile,
        repaired=found.sorted_rows + found.duplicates_dropped + found.missing_bars + found.edge_bars_dropped,
    )


def _smile(surface: VolSurface, premium: VariancePremium, bars: Bars) -> RichCheap:
    history, model = daily_measures(bars), best_forecaster()
    first = min(_FIRST_FIT, len(history) - 1)
    run = walk_forward(history, (*model.members, model), _SMILE_HORIZONS, start=first)
    returns = standardised_returns(history, run, model.name)
    return rich_cheap(surface, premium.outlook, returns, np.random.default_rng(_SEED))


def _before(bars: Bars, ts_ns: int, source: str) -> Bars:
    """Whole days that have ended by a time."""
    count = int(((bars.day_ns + NS_PER_DAY) <= ts_ns).sum())
    if count == 0:
        raise DataError(
            f"{source}: expected days before the snapshot of {format_ns(ts_ns)}, found the first on "
            f"{format_ns(int(bars.day_ns[0]))[:10]}; give older bars"
        )
    return Bars(
        day_ns=bars.day_ns[:count],
        open=bars.open[:count],
        high=bars.high[:count],
        low=bars.low[:count],
        close=bars.close[:count],
        interval_ns=bars.interval_ns,
        repairs=bars.repairs,
    )


def _check_coin(bars: Bars, snapshot: MarketSnapshot, source: str) -> None:
    """Refuse bars of another coin where they end close to the snapshot."""
    last, end = float(bars.close[-1, -1]), int(bars.day_ns[-1]) + NS_PER_DAY
    near = snapshot.ts_ns - end <= NS_PER_DAY
    if near and last > 0.0 and not 1.0 - 3.0 * _FAR < last / snapshot.index < 1.0 + 3.0 * _FAR:
        raise DataError(
            f"{source}: expected bars of {snapshot.underlying}, found a last close of {last:g} against an "
            f"index of {snapshot.index:g}; pass that coin's bars"
        )


def _tenors(surface: VolSurface, days: FloatArray) -> FloatArray:
    """Tenors within the surface's expiries, years; all of them where none is."""
    first = (int(surface.expiries[0]) - surface.ts_ns) / NS_PER_DAY
    last = (int(surface.expiries[-1]) - surface.ts_ns) / NS_PER_DAY
    inside = days[(days >= first) & (days <= last)]
    return (inside if inside.size else days) / DAYS_PER_YEAR


def _spike(bars: Bars) -> SpikeState:
    learn = max(int(bars.day_ns.size) - _SETTLE_DAYS, 1)
    state = spike_start(_before(bars, int(bars.day_ns[learn - 1]) + NS_PER_DAY, "bars"))
    for close in bars.close[learn:].ravel().tolist():
        # A missing bar has not moved.
        price = close if close == close else state.close
        state = spike_update(state, float(price), state.ts_ns + state.step_ns)
    return state
