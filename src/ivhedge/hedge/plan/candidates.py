"""Which instruments a plan may trade, at what cost per contract, up to what size."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

import numpy as np

from ivhedge.core.instruments import Instrument
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.hedge.costs import CostModel, UnitCost
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.limits import HedgeLimits
from ivhedge.hedge.plan.terms import EdgeQuote, HoldingPeriod
from ivhedge.hedge.rounding import LotGrid

_NEVER_NS = 2**62

__all__ = ["Candidates", "SideCosts", "find_candidates", "side_costs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """n instruments that can be traded.

    Parameters
    ----------
    rows : tuple of int
        Places in the market.
    instruments : tuple of Instrument
    units : tuple of UnitCost
    caps : tuple of float
        By the limits.
    without_depth : int
        Instruments that would do but for their quotes or sizes.
    """

    rows: tuple[int, ...]
    instruments: tuple[Instrument, ...]
    units: tuple[UnitCost, ...]
    caps: tuple[float, ...]
    without_depth: int = 0

    @property
    def grid(self) -> LotGrid:
        """Sizes that can be traded."""
        return LotGrid(lot=self.lot, min_size=np.array([float(item.min_size) for item in self.instruments]))

    @property
    def lot(self) -> FloatArray:
        """Contracts, shape (n,)."""
        return np.array([float(item.lot) for item in self.instruments])

    @property
    def is_option(self) -> BoolArray:
        """Shape (n,)."""
        return np.array([item.is_option for item in self.instruments], dtype=np.bool_)

    def only(self, keep: Collection[int]) -> "Candidates":
        """Some of them."""
        return Candidates(
            rows=tuple(self.rows[j] for j in keep),
            instruments=tuple(self.instruments[j] for j in keep),
            units=tuple(self.units[j] for j in keep),
            caps=tuple(self.caps[j] for j in keep),
            without_depth=self.without_depth,
        )

    def column(self, name: str) -> FloatArray:
        """One field of the unit costs, shape (n,)."""
        return np.array([getattr(unit, name) for unit in self.units], dtype=np.float64)


def find_candidates(
    market: HedgeMarket, limits: HedgeLimits, costs: CostModel, *, wanted: bool
) -> Candidates:
    """Instruments of the market that the limits allow and that can be traded on a side."""
    rows, units, caps, dry = [], [], [], 0
    for row, instrument in enumerate(market.instruments if wanted else ()):
        alive = instrument.expiry_ns is None or instrument.expiry_ns > market.ts_ns
        cap = limits.cap_of(instrument)
        too_small = cap < float(instrument.min_size)
        if not alive or too_small or instrument.kind not in limits.allowed_kinds:
            continue
        unit = costs.unit_cost(instrument, market.quote(row))
        if unit.max_buy > 0.0 or unit.max_sell > 0.0:
            rows.append(row)
            units.append(unit)
            caps.append(cap)
        else:
            dry += 1
    return Candidates(
        rows=tuple(rows),
        instruments=tuple(market.instruments[row] for row in rows),
        units=tuple(units),
        caps=tuple(caps),
        without_depth=dry,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCosts:
    """Costs and sizes as the programme sees them, shape (n,) each.

    Parameters
    ----------
    buy, sell : FloatArray
        USD per contract, or USD a day with a holding period; less the edge.
    max_buy, max_sell : FloatArray
    plain : FloatArray
        The cheaper side without edge: what a way back costs.
    per_day : FloatArray
        What a USD of cost counts: 1, or a day's share of getting in and out.
    edge_buy, edge_sell : FloatArray
        USD per contract.
    """

    buy: FloatArray
    sell: FloatArray
    max_buy: FloatArray
    max_sell: FloatArray
    plain: FloatArray
    per_day: FloatArray
    edge_buy: FloatArray
    edge_sell: FloatArray

    def only(self, keep: IntArray) -> "SideCosts":
        """Some of them."""
        return SideCosts(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


def side_costs(
    candidates: Candidates,
    holding: HoldingPeriod | None,
    life_days: float,
    ts_ns: int,
    hedges: Mapping[str, float],
    edges: Mapping[str, EdgeQuote],
    positions: Mapping[str, float],
) -> SideCosts:
    """Costs per contract by side.

    Parameters
    ----------
    candidates : Candidates
    holding : HoldingPeriod or None
    life_days : float
        Of the book, see `HoldingPeriod`; an option that expires before serves for its own life.
    ts_ns : int
    hedges : mapping of key to contracts
        Options held as hedges: taking one off has no exit to pay, and it is not turned round in one plan.
    edges : mapping of key to EdgeQuote
    positions : mapping of key to contracts
        What the book holds: it counts against the size of an edge.
    """
    caps = np.array(candidates.caps)
    max_buy = np.minimum(candidates.column("max_buy"), caps)
    max_sell = np.minimum(candidates.column("max_sell"), caps)
    buy, sell = candidates.column("buy"), candidates.column("sell")
    # A side that cannot be traded has no room; any finite cost will do there.
    other = np.where(np.isfinite(buy), buy, sell)
    buy, sell = np.where(max_buy > 0.0, buy, other), np.where(max_sell > 0.0, sell, other)
    per_day, day = np.ones(buy.size), np.ones(buy.size)
    if holding is not None:
        # Futures count like options: else a plan would hedge delta with options.
        lives = [(item.expiry_ns or _NEVER_NS) - ts_ns for item in candidates.instruments]
        day = np.array([1.0 / holding.counted_days(min(life_days, ns / NS_PER_DAY)) for ns in lives])
        per_day = (1.0 + holding.exit_share) * day
    buy, sell, in_buy, in_sell = buy * per_day, sell * per_day, buy * day, sell * day
    edge_buy, edge_sell = np.zeros(buy.size), np.zeros(buy.size)
    too_short = holding is not None and life_days < holding.least_life_days
    for j, item in enumerate(candidates.instruments):
        held = hedges.get(item.key, 0.0)
        if holding is not None and held > 0.0:
            sell[j], max_sell[j] = in_sell[j], min(max_sell[j], held)
        elif holding is not None and held < 0.0:
            buy[j], max_buy[j] = in_buy[j], min(max_buy[j], -held)
        if too_short and item.is_option:
            max_buy[j], max_sell[j] = (
                (max_buy[j] if held < 0.0 else 0.0),
                (max_sell[j] if held > 0.0 else 0.0),
            )
        edge = edges.get(item.key)
        if edge is not None:
            edge_buy[j], edge_sell[j] = edge.buy, edge.sell
            room_buy, room_sell = edge.room(positions.get(item.key, 0.0))
            max_buy[j], max_sell[j] = min(max_buy[j], room_buy), min(max_sell[j], room_sell)
    plain = np.minimum(buy, sell)
    buy, sell = buy - edge_buy * day, sell - edge_sell * day
    # Who sells what it pays to buy forgoes that: a round trip never earns.
    better = buy <= sell
    sell = np.where(better, np.maximum(sell, -buy), sell)
    buy = np.where(better, buy, np.maximum(buy, -sell))
    return SideCosts(
        buy=buy,
        sell=sell,
        max_buy=max_buy,
        max_sell=max_sell,
        plain=plain,
        per_day=per_day,
        edge_buy=edge_buy,
        edge_sell=edge_sell,
    )
