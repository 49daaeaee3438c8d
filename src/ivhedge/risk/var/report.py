"""Value at risk and expected shortfall of a book over a set of joint scenarios."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, UnknownInstrument
from ivhedge.core.types import FloatArray
from ivhedge.risk.legs import MAX_AGE_NS, Legs, LegStatus, check_legs, price_legs
from ivhedge.risk.marks import ConservativeMarks, conservative_legs
from ivhedge.risk.var.revalue import revalue
from ivhedge.risk.var.shocks import ScenarioSet
from ivhedge.risk.var.tail import TailRisk, tail_risk
from ivhedge.surface.base import VolSurface

if TYPE_CHECKING:
    from ivhedge.ledger.book import Book

__all__ = ["StatedLosses", "VarReport", "var_report"]


_DOLLARS = ("USD", "USDC", "USDT")
_ARRAYS = (
    "quantity",
    "size",
    "is_option",
    "is_inverse",
    "is_call",
    "strike",
    "tau",
    "forward",
    "index",
    "vol",
    "expiry_ns",
    "entry_vol",
    "exit_vol",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VarReport:
    """Tail risk of a book.

    Parameters
    ----------
    ts_ns, horizon_ns : int
    items : tuple of str
        Instrument keys of the legs, then ``cash:BTC`` and so on: what contributions in USD belong to.
    usd : TailRisk
        Cash in coin counted.
    coin : mapping of underlying to TailRisk
        Of the legs of that underlying counted in its coin; contributions of other legs are 0.
    conservative : tuple of str
        Legs that a conservative mark or a stated loss stands in for.
    pnl_usd : FloatArray, shape (scenarios,)
        Profit of the book in each scenario.
    """

    ts_ns: int
    horizon_ns: int
    items: tuple[str, ...]
    usd: TailRisk
    coin: Mapping[str, TailRisk]
    conservative: tuple[str, ...]
    pnl_usd: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedLosses:
    """Losses that stand in for legs without any price, taken in every scenario.

    Parameters
    ----------
    usd : mapping of instrument key to float
        Loss of the whole position, positive.

    Raises
    ------
    ConfigError
        If a loss is not positive and finite.
    """

    usd: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, loss in self.usd.items():
            if not (isfinite(loss) and loss > 0.0):
                raise ConfigError(
                    f"expected a positive finite loss for {key}, found {loss}: no risk is never 0"
                )


def var_report(
    book: "Book",
    surfaces: Mapping[str, VolSurface],
    scenarios: ScenarioSet,
    level: float = 0.99,
    *,
    ts_ns: int,
    max_age_ns: int | None = MAX_AGE_NS,
    conservative: ConservativeMarks | None = None,
    losses: StatedLosses | None = None,
) -> VarReport:
    """Revalue a book in full in each scenario and measure its tail.

    Parameters
    ----------
    book : Book
    surfaces : mapping of underlying to surface
    scenarios : ScenarioSet
    level : float
    ts_ns : int
        Time of the valuation.
    max_age_ns : int or None
        Largest age of a surface; None for any.
    conservative : ConservativeMarks, optional
        Mark legs that the surface cannot price against their holder; without it they raise.
    losses : StatedLosses, optional
        For legs that have no price even then, and for expired ones that are not settled.

    Raises
    ------
    DataError
        If a leg has neither price nor stand-in (`UnknownInstrument`, `StaleQuote` where that is why), cash is
        in a coin without surface and scenarios, or an expired leg waits for its settlement.
    ConfigError
        If the scenarios are too few for the level.

    Notes
    -----
    Cash in dollar currencies has no risk here; a broken peg is a stress, not a quantile.
    """
    held = [(p.instrument, p.quantity) for p in book.positions]
    legs = price_legs(held, surfaces, ts_ns, max_age_ns=max_age_ns)
    if conservative is not None:
        legs = conservative_legs(legs, surfaces, conservative)
    stated = dict(losses.usd) if losses is not None else {}
    keys = tuple(item.key for item in legs.instruments)
    fixed = np.array(
        [not s.has_numbers and k in stated for s, k in zip(legs.status, keys, strict=True)], dtype=bool
    )
    priced = _rows(legs, np.flatnonzero(~fixed).tolist())
    _refuse_unpriced(priced, ts_ns)
    profits = revalue(priced, surfaces, scenarios, ts_ns)
    n = scenarios.values.shape[0]
    usd, coin = np.empty((n, len(keys))), np.empty((n, len(keys)))
    usd[:, ~fixed], coin[:, ~fixed] = profits.usd, profits.coin
    for row in np.flatnonzero(fixed).tolist():
        usd[:, row] = -stated[keys[row]]
        coin[:, row] = -stated[keys[row]] / _spot(surfaces, legs.underlyings[row])
    cash = _cash_profits(book, surfaces, scenarios)
    everything = np.concatenate([usd, *(c[:, None] for c in cash.values())], axis=1)
    names = np.array(legs.underlyings, dtype=object)
    return VarReport(
        ts_ns=ts_ns,
        horizon_ns=scenarios.horizon_ns,
        items=(*keys, *(f"cash:{code}" for code in cash)),
        usd=tail_risk(everything, level, weights=scenarios.weights, overlap=scenarios.overlap),
        coin={
            name: tail_risk(
                np.where(names == name, coin, 0.0),
                level,
                weights=scenarios.weights,
                overlap=scenarios.overlap,
            )
            for name in dict.fromkeys(legs.underlyings)
        },
        conservative=tuple(
            key
            for key, status, loss in zip(keys, legs.status, fixed, strict=True)
            if loss or status is LegStatus.CONSERVATIVE
        ),
        pnl_usd=everything.sum(axis=1),
    )


def _refuse_unpriced(legs: Legs, ts_ns: int) -> None:
    check_legs(legs, ts_ns)
    for key, status in zip((item.key for item in legs.instruments), legs.status, strict=True):
        if status is LegStatus.EXPIRED:
            raise DataError(f"{key}: expected a settled leg, found it expired; settle it, or state its loss")


def _rows(legs: Legs, rows: list[int]) -> Legs:
    if len(rows) == len(legs.instruments):
        return legs
    return replace(
        legs,
        instruments=tuple(legs.instruments[row] for row in rows),
        status=tuple(legs.status[row] for row in rows),
        **{name: getattr(legs, name)[rows] for name in _ARRAYS},
    )


def _spot(surfaces: Mapping[str, VolSurface], underlying: str) -> float:
    surface = surfaces.get(underlying)
    spot = np.nan if surface is None else float(surface.forward(0.0))
    if not (isfinite(spot) and spot > 0.0):
        raise UnknownInstrument(
            f"expected a surface with the spot of {underlying}, found none; fit one first"
        )
    return spot


def _cash_profits(
    book: "Book", surfaces: Mapping[str, VolSurface], scenarios: ScenarioSet
) -> dict[str, FloatArray]:
    profits = {}
    for money in book.cash:
        code = money.currency.code
        if money.units == 0 or code in _DOLLARS:
            continue
        first = scenarios.layout.start(code)
        moved = np.expm1(scenarios.values[:, first])
        profits[code] = money.to_float() * _spot(surfaces, code) * moved
    return profits
