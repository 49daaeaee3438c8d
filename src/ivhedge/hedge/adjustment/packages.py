"""What can be closed together: options with the futures that hedge them, and pairs that share their vega.

A package is a vector of trades at full size that leaves the delta (and for pairs the vega) where it is. Each
is also offered in shares, down to a sixty-fourth, in whole lots.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.hedge.adjustment.ruler import Ruler
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.instruments import HedgeMarket

__all__ = ["Tradable", "packages", "tradable"]

_SHARES = (1.0, 0.75, 0.5, 0.375, 0.25, 0.125, 0.0625, 0.03125, 0.015625)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradable:
    """Sizes and costs in the ruler's order; shape (n,) each.

    Parameters
    ----------
    max_buy, max_sell : FloatArray
        Contracts; 0 where there is no quote.
    buy, sell : FloatArray
        USD per contract; infinite where it cannot be traded.
    lot, least : FloatArray
        Contracts.
    is_option : BoolArray
    """

    max_buy: FloatArray
    max_sell: FloatArray
    buy: FloatArray
    sell: FloatArray
    lot: FloatArray
    least: FloatArray
    is_option: BoolArray

    def cost(self, trades: FloatArray) -> FloatArray:
        """USD of trades of shape (p, n)."""
        buys, sells = np.maximum(trades, 0.0), np.maximum(-trades, 0.0)
        buy = np.where(np.isfinite(self.buy), self.buy, 0.0)
        sell = np.where(np.isfinite(self.sell), self.sell, 0.0)
        return np.asarray(buys @ buy + sells @ sell)

    def room(self, row: int, size: float) -> float:
        """Share of a trade that can be had."""
        most = self.max_buy[row] if size > 0.0 else self.max_sell[row]
        return 1.0 if size == 0.0 else min(1.0, float(most) / abs(size))


def tradable(ruler: Ruler, market: HedgeMarket, costs: CostModel) -> Tradable:
    """Look up what the market lets trade of each instrument."""
    n = len(ruler.instruments)
    max_buy, max_sell = np.zeros(n), np.zeros(n)
    buy, sell = np.full(n, inf), np.full(n, inf)
    keys = ruler.keys
    for row, item in enumerate(market.instruments):
        i = keys.get(item.key)
        if i is None:
            continue
        unit = costs.unit_cost(item, market.quote(row))
        max_buy[i], max_sell[i], buy[i], sell[i] = unit.max_buy, unit.max_sell, unit.buy, unit.sell
    return Tradable(
        max_buy=max_buy,
        max_sell=max_sell,
        buy=buy,
        sell=sell,
        lot=ruler.lots(),
        least=np.array([float(item.min_size) for item in ruler.instruments]),
        is_option=np.array([item.is_option for item in ruler.instruments], dtype=np.bool_),
    )


def packages(ruler: Ruler, held: FloatArray, sides: Tradable, *, reduce_only: bool) -> FloatArray:
    """All packages in whole lots within quotes, shape (p, n).

    Parameters
    ----------
    ruler : Ruler
    held : FloatArray, shape (n,)
        Contracts now.
    sides : Tradable
    reduce_only : bool
        Futures too may only be closed; otherwise those with a quote may also be opened as the hedge.
    """
    rows = list(_whole(ruler, held, sides, reduce_only))
    if not rows:
        return np.zeros((0, held.size))
    full = np.stack(rows)
    shares = np.concatenate([share * full for share in _SHARES])
    options = np.where(sides.is_option, shares, 0.0)
    options = np.trunc(options / sides.lot + 1e-9 * np.sign(options)) * sides.lot
    futures = np.where(sides.is_option, 0.0, shares)
    # The hedge is that of the options in lots.
    wanted, rounded = np.where(sides.is_option, shares, 0.0) @ ruler.delta, options @ ruler.delta
    scale = np.divide(rounded, wanted, out=np.ones_like(wanted), where=wanted != 0.0)
    trades = options + np.rint(futures * scale[:, None] / sides.lot) * sides.lot
    close = np.where(sides.is_option | reduce_only, np.abs(held), inf)
    trades = np.clip(trades, -np.minimum(sides.max_sell, close), np.minimum(sides.max_buy, close))
    # What is shown need not be whole lots.
    trades = np.trunc(trades / sides.lot + 1e-9 * np.sign(trades)) * sides.lot
    trades = np.where(np.abs(trades) < sides.least * (1.0 - 1e-9), 0.0, trades)
    return np.unique(trades[np.any(trades != 0.0, axis=1)], axis=0)


def _whole(ruler: Ruler, held: FloatArray, sides: Tradable, reduce_only: bool) -> Iterator[FloatArray]:
    closable = []
    for i in np.flatnonzero(held).tolist():
        size = -float(held[i]) * sides.room(i, -float(held[i]))
        if size != 0.0:
            closable.append((i, size))
    options = [(i, size) for i, size in closable if sides.is_option[i]]
    futures = [(i, size) for i, size in closable if not sides.is_option[i]]
    for i, size in futures:
        yield _vector(held.size, (i, size))
    for i, size in options:
        yield from _hedged(ruler, held, sides, _vector(held.size, (i, size)), reduce_only)
    for place, (i, size) in enumerate(options):
        for j, other in options[place + 1 :]:
            a, b = ruler.vega[i] * size, ruler.vega[j] * other
            if a * b < 0.0:
                # The larger one is closed only as far as the smaller one makes up for its vega.
                part = min(1.0, -b / a), min(1.0, -a / b)
                pair = _vector(held.size, (i, size * part[0]), (j, other * part[1]))
                yield from _hedged(ruler, held, sides, pair, reduce_only)


def _hedged(
    ruler: Ruler, held: FloatArray, sides: Tradable, trades: FloatArray, reduce_only: bool
) -> Iterator[FloatArray]:
    # The package by itself, then with each future that can take its delta.
    yield trades
    moved = float(ruler.delta @ trades)
    for f in np.flatnonzero(~sides.is_option & (ruler.delta != 0.0)).tolist():
        size = -moved / float(ruler.delta[f])
        closes = size * held[f] < 0.0
        most = sides.max_buy[f] if size > 0.0 else sides.max_sell[f]
        if closes:
            # As far as the held future reaches: hedge and option shrink together.
            part = min(1.0, abs(float(held[f]) / size), float(most) / abs(size))
            if part > 0.0:
                hedged = part * trades
                hedged[f] += part * size
                yield hedged
        if not reduce_only and size != 0.0 and most > 0.0:
            part = min(1.0, float(most) / abs(size))
            hedged = part * trades
            hedged[f] += part * size
            yield hedged


def _vector(n: int, *entries: tuple[int, float]) -> FloatArray:
    trades = np.zeros(n)
    for row, size in entries:
        trades[row] = size
    return trades
