"""Run stresses on a book: full revaluation, then what breaks besides prices."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.pricing import black76_greeks, black76_price
from ivhedge.risk.legs import MAX_AGE_NS, Legs, check_legs, price_legs
from ivhedge.risk.marks import ConservativeMarks, conservative_legs
from ivhedge.risk.stress.definitions import LiquidityShock, Stress, StressCatalogue
from ivhedge.risk.stress.report import StressReport, StressResult
from ivhedge.risk.stress.shocks import TimeRoll, futures_pnl, mend_legs, moved_vols, readable, skew_shape
from ivhedge.surface.base import VolSurface
from ivhedge.surface.dynamics import SmileRule, StickyStrike

if TYPE_CHECKING:
    from ivhedge.ledger.book import Book

__all__ = ["run_stress"]

_DOLLARS = ("USD", "USDC", "USDT")


def run_stress(
    book: "Book",
    surfaces: Mapping[str, VolSurface],
    catalogue: StressCatalogue,
    ts_ns: int,
    *,
    dynamics: SmileRule | None = None,
    conservative: ConservativeMarks | None = None,
    collateral: Mapping[str, Mapping[str, float]] | None = None,
    half_spreads: Mapping[str, float] | None = None,
    max_age_ns: int | None = MAX_AGE_NS,
    strict: bool = True,
) -> StressReport:
    """Revalue a book under each stress of a catalogue.

    Parameters
    ----------
    book : Book
        Its cash is the collateral; options count with their value, futures as marked to market.
    surfaces : mapping of underlying to surface
        Of every underlying held, as position or as cash.
    catalogue : StressCatalogue
    ts_ns : int
        Time of the valuation, nanoseconds since the epoch, UTC.
    dynamics : SmileRule, optional
        Sticky strike by default.
    conservative : ConservativeMarks, optional
        How legs without a price are marked; its defaults without it.
    collateral : mapping of venue to (currency code to amount), optional
        Where the book's cash lies; must add up to it. Without it all of it lies at whichever venue fails.
    half_spreads : mapping of instrument key to float, optional
        Usual half-spread in USD per unit of the underlying; replaces the stress's own where given.
    max_age_ns : int or None
        As for `ivhedge.risk.exposures`.
    strict : bool
        Raise for legs that even a conservative mark cannot price; off, they are in no sum
        (`StressResult.unpriced`).

    Returns
    -------
    StressReport

    Raises
    ------
    ConfigError
        If the split of the collateral does not add up, or a half-spread is not finite or negative.
    UnknownInstrument, DataError
        If cash in a coin has no surface; with `strict`, for a leg without a price.

    Notes
    -----
    A dollar currency below par lowers what is owed in it to the book, assets and gains, and not what the book
    owes; balances at different venues do not net. A linear contract is quoted in its currency: where the
    index is, too, a coin that keeps its dollars costs more of a currency that fell. Venues differ, so the
    worse of an index in dollars and one in the currency is taken, contract by contract.

    The vol of a conservative mark never rises for a long leg and never falls for a short one.
    """
    rule = StickyStrike() if dynamics is None else dynamics
    marks = ConservativeMarks() if conservative is None else conservative
    legs = price_legs(
        [(p.instrument, p.quantity) for p in book.positions], surfaces, ts_ns, max_age_ns=max_age_ns
    )
    legs = conservative_legs(legs, surfaces, marks)
    if strict:
        check_legs(legs, ts_ns)
    cash = {money.currency.code: money.to_float() for money in book.cash}
    indices = {name: float(surface.forward(0.0)) for name, surface in surfaces.items()} | {
        name: price for name, price in marks.indices.items() if name not in surfaces
    }
    for code in [*cash, *(code for at in (collateral or {}).values() for code in at)]:
        if code not in _DOLLARS and code not in indices:
            raise DataError(f"expected a surface or an index of {code} to value the cash, found none")
    _check_inputs(cash, collateral, half_spreads or {})
    results = tuple(
        _one(stress, legs, surfaces, rule, marks, cash, indices, collateral, half_spreads or {})
        for stress in catalogue.stresses
    )
    return StressReport(book=book.name, ts_ns=ts_ns, as_of=catalogue.as_of, results=results)


def _check_inputs(
    cash: Mapping[str, float],
    collateral: Mapping[str, Mapping[str, float]] | None,
    half_spreads: Mapping[str, float],
) -> None:
    bad = sorted(key for key, value in half_spreads.items() if not (np.isfinite(value) and value >= 0.0))
    if bad:
        raise ConfigError(f"expected half-spreads finite and at least 0, found another for {bad}")
    if collateral is None:
        return
    codes = sorted({*cash, *(code for amounts in collateral.values() for code in amounts)})
    for code in codes:
        found = sum(amounts.get(code, 0.0) for amounts in collateral.values())
        expected = cash.get(code, 0.0)
        if not abs(found - expected) <= 1e-9 * max(abs(expected), 1.0):
            raise ConfigError(f"expected collateral of {expected} {code} over all venues, found {found}")


def _one(
    stress: Stress,
    legs: Legs,
    surfaces: Mapping[str, VolSurface],
    rule: SmileRule,
    marks: ConservativeMarks,
    cash: Mapping[str, float],
    indices: Mapping[str, float],
    collateral: Mapping[str, Mapping[str, float]] | None,
    half_spreads: Mapping[str, float],
) -> StressResult:
    spots = np.array([stress.spot_of(name) for name in legs.underlyings], dtype=np.float64)
    tau = np.maximum(np.nan_to_num(legs.tau, nan=np.inf) - stress.days / DAYS_PER_YEAR, 0.0)
    legs, vol = _shocked_vols(stress, legs, surfaces, rule, marks, spots, tau)
    after = legs.forward * (1.0 + spots)
    value, usd, coin, delta, cost = np.full((5, len(legs.instruments)), np.nan)
    rows = np.flatnonzero(legs.priced & legs.is_option)
    F, K, call, size = legs.forward[rows], legs.strike[rows], legs.is_call[rows], legs.size[rows]
    # The index moves as the forwards do: what coins are worth in USD keeps its ratio to them.
    scale, index_after = size * legs.usd_scale[rows], legs.index * (1.0 + spots)
    before_price = scale * black76_price(F, K, legs.tau[rows], legs.opening_vol[rows], call)
    after_price = scale * black76_price(after[rows], K, tau[rows], vol[rows], call)
    value[rows] = before_price
    rate = np.array([stress.currency.get(item.settle_currency.code, 1.0) for item in legs.instruments])
    paid = np.where(after_price > 0.0, rate[rows], 1.0) * after_price
    dear = _quoted(after[rows], rate[rows], legs.is_inverse[rows])
    quoted = scale * black76_price(dear, K, tau[rows], vol[rows], call)
    paid = np.minimum(paid, np.where(quoted > 0.0, rate[rows], 1.0) * quoted)
    usd[rows] = paid - before_price
    coin[rows] = paid / index_after[rows] - before_price / legs.index[rows]
    state = after[rows], K, tau[rows], vol[rows], call
    to_index = size * legs.coin_scale[rows]
    delta[rows] = to_index * black76_greeks(*state, names=["delta"])["delta"]
    linear = np.flatnonzero(legs.priced & ~legs.is_option)
    coins = np.where(legs.is_inverse[linear], 1.0 / legs.forward[linear], legs.coin_scale[linear])
    delta[linear] = legs.size[linear] * coins
    moved = futures_pnl(legs, linear, spots[None, linear])
    haircut = np.where(moved[0][0] > 0.0, rate[linear], 1.0)
    gain, coins_gained = haircut * moved[0][0], haircut * moved[1][0]
    dear = _quoted(after[linear], rate[linear], legs.is_inverse[linear])
    other = legs.size[linear] * (dear - legs.forward[linear])
    other = np.where(other > 0.0, rate[linear], 1.0) * other
    worse = ~legs.is_inverse[linear] & (other < gain)
    value[linear], usd[linear] = 0.0, np.where(worse, other, gain)
    coin[linear] = np.where(worse, other / index_after[linear], coins_gained)
    if stress.liquidity is not None:
        cost[rows], cost[linear] = 0.0, 0.0
        _exit_costs(stress.liquidity, legs, after, tau, vol, after_price, rows, linear, half_spreads, cost)
    held = _collateral(stress, cash, indices, collateral)
    lost, venue = _lost(stress, legs, value + usd, held, collateral, indices)
    numbers = {
        "vol_before": legs.opening_vol,
        "vol_after": vol,
        "value_before_usd": value,
        "pnl_usd": usd,
        "pnl_coin": coin,
        "delta_after_usd": delta,
        "exit_cost_usd": cost,
    }
    texts = {
        "instrument": [item.key for item in legs.instruments],
        "venue": [item.venue for item in legs.instruments],
        "underlying": list(legs.underlyings),
        "currency": [item.settle_currency.code for item in legs.instruments],
        "status": [status.value for status in legs.status],
    }
    table = pl.DataFrame(
        {name: pl.Series(name, values, dtype=pl.String) for name, values in texts.items()}
        | {"spot_shock": pl.Series("spot_shock", spots, dtype=pl.Float64)}
        | {name: pl.Series(name, values, dtype=pl.Float64).fill_nan(None) for name, values in numbers.items()}
    )
    return StressResult(
        stress=stress,
        legs=table,
        collateral=held,
        lost_usd=lost,
        lost_venue=venue,
        indices_after={name: price * (1.0 + stress.spot_of(name)) for name, price in indices.items()},
    )


def _shocked_vols(
    stress: Stress,
    legs: Legs,
    surfaces: Mapping[str, VolSurface],
    rule: SmileRule,
    marks: ConservativeMarks,
    spots: FloatArray,
    tau: FloatArray,
) -> tuple[Legs, FloatArray]:
    vol = np.full(len(legs.instruments), np.nan)
    names, options = np.array(legs.underlyings, dtype=object), legs.priced & legs.is_option
    for underlying in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero((names == underlying) & options)
        spot = np.array([stress.spot_of(underlying)])
        read = moved_vols(legs, rows, surfaces.get(underlying), spot, rule, tau[rows], TimeRoll.TENOR)
        legs, _, (mended,) = mend_legs(legs, rows, readable(read), [read], marks)
        vol[rows] = np.atleast_2d(mended)[0]
    rows = np.flatnonzero(legs.priced & legs.is_option)
    held, years = vol[rows], tau[rows]
    moved = held
    if stress.skew is not None:
        forward = legs.forward[rows] * (1.0 + spots[rows])
        shape = skew_shape(forward, legs.strike[rows], years, held)
        moved = np.maximum(moved + VOL_POINT * stress.skew.points * shape, 0.0)
    if stress.vol is not None:
        moved = stress.vol.applied(moved, years)
    marked = legs.marked[rows]
    against = np.where(legs.size[rows] >= 0.0, np.minimum(moved, held), np.maximum(moved, held))
    vol[rows] = np.where(marked, against, moved)
    return legs, vol


def _exit_costs(
    shock: LiquidityShock,
    legs: Legs,
    forward: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    value: FloatArray,
    options: IntArray,
    linear: IntArray,
    half_spreads: Mapping[str, float],
    cost: FloatArray,
) -> None:
    given = np.array([half_spreads.get(item.key, np.nan) for item in legs.instruments], dtype=np.float64)
    rows, units = options, np.abs(legs.size[options])
    size = units * legs.usd_scale[rows]
    vega = black76_greeks(
        forward[rows], legs.strike[rows], tau[rows], vol[rows], legs.is_call[rows], names=["vega"]
    )["vega"]
    # The vega of a conservative mark is no measure of its spread: take the largest at any vol.
    vega = np.where(legs.marked[rows], forward[rows] * np.sqrt(tau[rows] / (2.0 * np.pi)), vega)
    by_vol = shock.option_half_spread_vol_points * VOL_POINT * vega * size
    # What lies in the money is closed with a future at the spread of futures, which is small beside this.
    inside = np.where(legs.is_call[rows], 1.0, -1.0) * (forward[rows] - legs.strike[rows])
    time_value = np.maximum(np.abs(value) - size * np.maximum(inside, 0.0), 0.0)
    usual = np.maximum(by_vol, shock.option_half_spread_share * time_value)
    usual = np.where(np.isfinite(given[rows]), given[rows] * units, usual)
    thin = np.sqrt(np.maximum(size * forward[rows] / (shock.option_depth_usd * shock.depth_left), 1.0))
    worst = shock.spread_multiple * usual * thin
    # A long option cannot be sold below nothing, and what has settled is closed.
    worst = np.where(tau[rows] > 0.0, worst, 0.0)
    cost[rows] = np.where(value > 0.0, np.minimum(worst, value), worst)
    rows = linear
    coins = np.abs(np.where(legs.is_inverse[rows], legs.size[rows] / legs.forward[rows], legs.size[rows]))
    notional = coins * forward[rows]
    usual = shock.future_half_spread_bps * 1e-4 * notional
    usual = np.where(np.isfinite(given[rows]), given[rows] * coins, usual)
    thin = np.sqrt(np.maximum(notional / (shock.future_depth_usd * shock.depth_left), 1.0))
    cost[rows] = shock.spread_multiple * usual * thin


def _quoted(forward: FloatArray, rate: FloatArray, inverse: BoolArray) -> FloatArray:
    """Forwards of linear contracts in their currency, where it has fallen and the coin has not."""
    return np.where(inverse, forward, forward / rate)


def _worth(stress: Stress, code: str, amount: float, indices: Mapping[str, float]) -> float:
    """USD of a balance after the stress: what is owed to the book loses with the currency, debts do not."""
    if code in _DOLLARS:
        return amount * (stress.currency.get(code, 1.0) if amount > 0.0 else 1.0)
    moved = indices[code] * (1.0 + stress.spot_of(code))
    return amount * moved * (stress.currency.get(code, 1.0) if amount > 0.0 else 1.0)


def _collateral(
    stress: Stress,
    cash: Mapping[str, float],
    indices: Mapping[str, float],
    collateral: Mapping[str, Mapping[str, float]] | None,
) -> pl.DataFrame:
    rows = []
    for code in dict.fromkeys([*cash, *(code for at in (collateral or {}).values() for code in at)]):
        amount = cash.get(code, 0.0)
        price = 1.0 if code in _DOLLARS else indices[code]
        parts = [amount] if collateral is None else [at.get(code, 0.0) for at in collateral.values()]
        worth = sum(_worth(stress, code, part, indices) for part in parts)
        rows.append((code, amount, amount * price, worth - amount * price))
    names = ("currency", "amount", "value_before_usd", "pnl_usd")
    kinds = (pl.String, pl.Float64, pl.Float64, pl.Float64)
    return pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")


def _lost(
    stress: Stress,
    legs: Legs,
    after: FloatArray,
    held: pl.DataFrame,
    collateral: Mapping[str, Mapping[str, float]] | None,
    indices: Mapping[str, float],
) -> tuple[float, str | None]:
    # What a venue owes: positions and collateral there, netted; nothing where the book owes the venue.
    if stress.venue is None:
        return 0.0, None
    everything = float((held["value_before_usd"] + held["pnl_usd"]).sum())
    venues = sorted({item.venue for item in legs.instruments} | set(collateral or {}))
    owed: dict[str, float] = {}
    for venue in venues:
        mine = np.array([item.venue == venue for item in legs.instruments], dtype=np.bool_)
        owed[venue] = float(np.nansum(after[mine])) + (
            everything
            if collateral is None
            else sum(
                _worth(stress, code, amount, indices) for code, amount in collateral.get(venue, {}).items()
            )
        )
    if stress.venue.venue != "each":
        venue = stress.venue.venue
        return stress.venue.lost_share * max(owed.get(venue, 0.0), 0.0), venue if venue in owed else None
    if not owed:
        return 0.0, None
    worst = max(owed, key=lambda name: owed[name])
    return stress.venue.lost_share * max(owed[worst], 0.0), worst
