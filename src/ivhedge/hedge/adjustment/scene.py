"""All that a decision looks at, and what is left of it after some trades."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf

import numpy as np

from ivhedge.core.instruments import Instrument
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.hedge.adjustment.ruler import Ruler
from ivhedge.hedge.adjustment.settings import AdjustmentSettings
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.factors import RiskModel
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.limits import HedgeLimits
from ivhedge.hedge.margin_guard import MarginGuard
from ivhedge.hedge.result import PlanLeg
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.risk.controls import ControlSettings, Mode
from ivhedge.surface.base import VolSurface

__all__ = ["Scene", "closing_market", "eligible_market", "only", "trades_of"]

_COLUMNS = ("bid", "ask", "mark", "bid_size", "ask_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One decision's inputs; `market` holds what may be traded and is still displayed."""

    book: Book
    surface: VolSurface
    market: HedgeMarket
    limits: HedgeLimits
    costs: CostModel
    settings: AdjustmentSettings
    ruler: Ruler
    controls: ControlSettings | None
    guard: MarginGuard | None
    mode: Mode
    risk: RiskModel
    spent_usd: float = 0.0

    @property
    def cost_limit(self) -> float:
        """USD that the whole decision may cost, by the limits and the controls."""
        limits = [
            self.limits.max_cost_usd,
            None if self.controls is None else self.controls.max_plan_cost_usd,
        ]
        return min((limit for limit in limits if limit is not None), default=inf)

    def after(self, legs: Sequence[PlanLeg]) -> "Scene":
        """The scene once legs are filled; the ruler stays that of the book at the start."""
        if not legs:
            return self
        held = {p.instrument.key: p for p in self.book.positions}
        for leg in legs:
            key = leg.instrument.key
            before = held[key].quantity if key in held else Decimal(0)
            held[key] = Position(leg.instrument, before + leg.quantity)
        positions = tuple(p for p in held.values() if p.quantity != 0)
        book = Book(self.book.name, positions, self.book.cash)
        moved = trades_of(legs, self.ruler)
        guard = self.guard
        if guard is not None and self.ruler.margin is not None:
            rows, model = self.ruler.margin, self.ruler.margin.model
            p = model.positions
            mark = np.where(p.is_option, p.mark, 0.0)[model.column]
            premium = float((moved[list(rows.rows)] * rows.units * mark).sum())
            cost = sum(leg.cost.total for leg in legs if leg.instrument.venue == guard.venue)
            guard = replace(guard, account=replace(guard.account, cash=guard.account.cash - premium - cost))
        spent = self.spent_usd + sum(leg.cost.total_usd for leg in legs)
        return replace(self, book=book, guard=guard, market=_less(self.market, legs), spent_usd=spent)


def trades_of(legs: Sequence[PlanLeg], ruler: Ruler) -> FloatArray:
    """Contracts per instrument of the ruler, shape (n,)."""
    trades, keys = np.zeros(len(ruler.instruments)), ruler.keys
    for leg in legs:
        trades[keys[leg.instrument.key]] += float(leg.quantity)
    return trades


def only(market: HedgeMarket, keep: BoolArray) -> HedgeMarket:
    """Some of the instruments of a market."""
    return HedgeMarket(
        ts_ns=market.ts_ns,
        underlying=market.underlying,
        index=market.index,
        instruments=tuple(item for item, wanted in zip(market.instruments, keep, strict=True) if wanted),
        **{name: getattr(market, name)[keep] for name in _COLUMNS},
    )


def closing_market(market: HedgeMarket, held: dict[str, float], *, futures: bool) -> HedgeMarket:
    """Only what closes positions; with `futures` those may be traded either way."""
    bid_size, ask_size = market.bid_size.copy(), market.ask_size.copy()
    keep = np.zeros(len(market.instruments), dtype=np.bool_)
    for i, item in enumerate(market.instruments):
        if futures and not item.is_option:
            keep[i] = True
            continue
        size = held.get(item.key, 0.0)
        keep[i] = size != 0.0
        bid_size[i] = np.fmin(bid_size[i], max(size, 0.0)) if size > 0.0 else 0.0
        ask_size[i] = np.fmin(ask_size[i], -size) if size < 0.0 else 0.0
    return only(replace(market, bid_size=bid_size, ask_size=ask_size), keep)


def eligible_market(
    market: HedgeMarket,
    held: dict[str, float],
    controls: ControlSettings | None,
    guard: MarginGuard | None,
) -> HedgeMarket:
    """Leave out what the controls restrict, and venues without a guard where there is one.

    What is about to expire may only be closed.
    """
    if guard is not None:
        market = only(
            market, np.array([item.venue == guard.venue for item in market.instruments], dtype=bool)
        )
    if controls is None:
        return market
    names = controls.restricted
    free = np.array(
        [not {item.key, item.underlying, item.venue} & names for item in market.instruments], dtype=np.bool_
    )
    market = only(market, free)
    window = int(controls.expiry_window_s * NS_PER_SECOND) if np.isfinite(controls.expiry_window_s) else 2**62
    late = np.array([_expires_within(item, market.ts_ns, window) for item in market.instruments], dtype=bool)
    if not late.any():
        return market
    closing = closing_market(only(market, late), held, futures=False)
    rest = only(market, ~late)
    return HedgeMarket(
        ts_ns=market.ts_ns,
        underlying=market.underlying,
        index=market.index,
        instruments=(*rest.instruments, *closing.instruments),
        **{name: np.concatenate((getattr(rest, name), getattr(closing, name))) for name in _COLUMNS},
    )


def _expires_within(item: Instrument, ts_ns: int, window_ns: int) -> bool:
    return item.expiry_ns is not None and item.expiry_ns - ts_ns <= window_ns


def _less(market: HedgeMarket, legs: Sequence[PlanLeg]) -> HedgeMarket:
    # Displayed sizes that were taken are gone.
    bid_size, ask_size = market.bid_size.copy(), market.ask_size.copy()
    rows = {item.key: i for i, item in enumerate(market.instruments)}
    for leg in legs:
        i, size = rows.get(leg.instrument.key), float(leg.quantity)
        if i is not None and size > 0.0:
            ask_size[i] = max(ask_size[i] - size, 0.0) if np.isfinite(ask_size[i]) else ask_size[i]
        elif i is not None:
            bid_size[i] = max(bid_size[i] + size, 0.0) if np.isfinite(bid_size[i]) else bid_size[i]
    return replace(market, bid_size=bid_size, ask_size=ask_size)
