"""The same contract at two venues."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.mispricing.offers import Offer, Offers
from ivhedge.hedge.mispricing.worth import StatisticalSettings

__all__ = ["PairMispricing", "pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMispricing:
    """The same contract, dearer to sell at one venue than to buy at another, held to its settlement.

    Parameters
    ----------
    buy, sell : Offer
    coins : float
        That both sides show and better pairs leave.
    gross_usd : float
        Of one coin: proceeds less price.
    edge_usd : float
        Of one coin, less both trading fees, the expected delivery fees and the distance of the two venues'
        forwards times the delta.
    error_usd : float
        Standard deviation by the difference of the settlement prices and the errors of the forwards.
    settles_in_s : float
        Until the gain is paid; an earlier meeting of the quotes pays it sooner.
    """

    buy: Offer
    sell: Offer
    coins: float
    gross_usd: float
    edge_usd: float
    error_usd: float
    settles_in_s: float

    @property
    def z(self) -> float:
        """Net edge in standard errors."""
        return self.edge_usd / self.error_usd

    @property
    def capacity_usd(self) -> float:
        """Net edge of all that is shown."""
        return self.edge_usd * self.coins


def pairs(
    offers: Sequence[Offer],
    delta: FloatArray,
    forward: FloatArray,
    market: Offers,
    costs: CostModel,
    settings: StatisticalSettings,
) -> list[PairMispricing]:
    """Pairs that pay for being traded, best first, each size counted once; delta and forward by offer.

    What a contract is dearer for where its venue's forward stands higher is paid back when it settles.
    """
    by_terms: dict[tuple[object, ...], list[int]] = {}
    for i, o in enumerate(offers):
        item = o.instrument
        by_terms.setdefault(
            (item.expiry_ns, item.strike, item.is_call, item.settlement, item.settle_currency.code), []
        ).append(i)
    found = []
    for same in by_terms.values():
        buys = [i for i in same if offers[i].side > 0]
        sells = [i for i in same if offers[i].side < 0]
        for i in buys:
            for j in sells:
                if offers[i].instrument.venue == offers[j].instrument.venue:
                    continue
                gap = max(float(delta[i] * (forward[j] - forward[i])), 0.0)
                pair = _pair(offers[i], offers[j], abs(float(delta[i])), gap, market, costs, settings)
                if pair is not None:
                    found.append(pair)
    return _each_size_once(sorted(found, key=lambda pair: -pair.edge_usd))


def _each_size_once(pairs: Sequence[PairMispricing]) -> list[PairMispricing]:
    """Give each pair what better ones have left; those with less than an order left are none."""
    left: dict[tuple[str, int], float] = {}
    kept = []
    for pair in pairs:
        sides = [
            ((o.key, o.side), o.contracts * float(o.instrument.multiplier)) for o in (pair.buy, pair.sell)
        ]
        coins = min([pair.coins, *(left.get(key, size) for key, size in sides)])
        least = max(
            float(o.instrument.min_size) * float(o.instrument.multiplier) for o in (pair.buy, pair.sell)
        )
        if coins < least * (1.0 - 1e-12):
            continue
        for key, size in sides:
            left[key] = left.get(key, size) - coins
        kept.append(replace(pair, coins=coins))
    return kept


def _pair(
    buy: Offer,
    sell: Offer,
    delta: float,
    gap: float,
    market: Offers,
    costs: CostModel,
    settings: StatisticalSettings,
) -> PairMispricing | None:
    usd = market.index if buy.instrument.is_inverse else 1.0
    gross = (sell.price - buy.price) * usd
    if gross <= 0.0:
        return None
    fees, coins = 0.0, np.inf
    for offer in (buy, sell):
        size = float(offer.instrument.multiplier)
        schedule = costs.fees.get(offer.instrument.venue)
        if schedule is None:
            raise ConfigError(
                f"expected a fee schedule for {offer.instrument.venue}, found {sorted(costs.fees)}; load it"
            )
        rate = schedule.rule_for(offer.instrument).delivery
        if rate is None:
            return None
        fees += offer.fee / size * usd + float(rate) * delta * market.index
        coins = min(coins, offer.contracts * size)
    edge = gross - fees - gap
    spread = hypot(settings.index_error, 2.0**0.5 * settings.forward_error)
    error = max(spread * delta * market.index, 1e-12)
    least = settings.min_edge_usd / max(float(buy.instrument.multiplier), 1e-12)
    if edge < max(settings.min_z * error, least):
        return None
    return PairMispricing(
        buy=buy,
        sell=sell,
        coins=float(coins),
        gross_usd=gross,
        edge_usd=edge,
        error_usd=error,
        settles_in_s=(int(buy.instrument.expiry_ns or 0) - market.ts_ns) / 1e9,
    )
