"""The search: the best combination of each set of venues, the most profitable first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.mispricing.arbitrage import StaticArbitrage, named
from ivhedge.hedge.mispricing.offers import Offer, Offers
from ivhedge.hedge.mispricing.outcomes import Outcomes, OutcomeSettings, outcomes
from ivhedge.hedge.mispricing.programme import best_combination, whole_lots

__all__ = ["Group", "StaticSettings", "Tally", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSettings:
    """What counts as a finding.

    Parameters
    ----------
    outcome : OutcomeSettings
    min_profit_usd : float
        Least certain profit of a finding.
    min_profit_bps : float
        The same per coin traded, in basis points of the index.
    max_findings : int
        Most findings of one expiry, and as many calendars.
    across_venues : bool
        Also combine venues: those that settle in coin or in a dollar of `at_par` with each other, those of
        another dollar currency among themselves, for its price at the settlement is not known.
    at_par : tuple of str
        Dollar currencies taken for one dollar at the settlement.
    calendar_expiries : int
        Later expiries whose options are also bought against an expiry, with the carry bounded; 0 for none.
    """

    outcome: OutcomeSettings = field(default_factory=OutcomeSettings)
    min_profit_usd: float = 1.0
    min_profit_bps: float = 0.05
    max_findings: int = 20
    across_venues: bool = True
    at_par: tuple[str, ...] = ("USD",)
    calendar_expiries: int = 2

    def __post_init__(self) -> None:
        if not (self.min_profit_usd > 0.0 and self.min_profit_bps > 0.0 and self.max_findings > 0):
            raise ConfigError(
                "expected min_profit_usd, min_profit_bps and max_findings above 0, found "
                f"{self.min_profit_usd}, {self.min_profit_bps}, {self.max_findings}"
            )


@dataclass(slots=True)
class Tally:
    """Programs solved, and combinations that gain in parts of lots only."""

    below_lot: int = 0
    programmes: int = 0
    unsolved: int = 0


@dataclass(slots=True)
class Group:
    """Offers that are combined with each other, and the best that is left of them."""

    offers: list[Offer]
    rows: IntArray
    found: Outcomes
    same: IntArray
    cost: FloatArray
    lot: FloatArray
    least: FloatArray
    dead: BoolArray
    size: FloatArray
    profit: float = -1.0  # below 0: to be solved

    @classmethod
    def of(
        cls, offers: Offers, rows: Sequence[int], expiry: int, costs: CostModel, settings: StaticSettings
    ) -> "Group":
        """Value the offers at these positions at an expiry."""
        chosen = [offers.offers[i] for i in rows]
        found = outcomes(
            chosen, expiry, ts_ns=offers.ts_ns, index=offers.index, fees=costs.fees,
            settings=settings.outcome, one_index=len({o.instrument.venue for o in chosen}) == 1,
        )  # fmt: skip
        same, cost = _same_contracts(chosen, offers.index)
        return cls(
            offers=chosen,
            rows=np.asarray(rows),
            found=found,
            same=same,
            cost=cost,
            lot=np.array([float(o.instrument.lot) for o in chosen]),
            least=np.array([float(o.instrument.min_size) for o in chosen]),
            dead=np.zeros(len(chosen), dtype=np.bool_),
            size=np.zeros(len(chosen)),
        )

    def count(self, excluded: dict[str, Counter[str]], expiry: int) -> None:
        """Count the offers without a known outcome, once: in the group of their venue."""
        if len({o.instrument.venue for o in self.offers}) > 1:
            return
        for offer, reason in zip(self.offers, self.found.reason, strict=True):
            if reason and offer.instrument.expiry_ns == expiry:
                excluded.setdefault(offer.instrument.venue, Counter())[reason] += 1

    def solve(self, left: FloatArray, index: float, settings: StaticSettings, scan: Tally) -> None:
        """Find the best in whole lots that is left; a profit of 0 says there is none."""
        room = left[self.rows]
        while True:
            free = ~self.dead & self.found.fits & (room >= self.least * (1.0 - 1e-12))
            scan.programmes += 1
            try:
                best = best_combination(self.found, _cheapest(free, self.same, self.cost), reference=index)
            except CalibrationError:
                scan.unsolved += 1
                self.profit = 0.0
                return
            if best.profit * 1e4 < settings.min_profit_bps:
                self.profit = 0.0
                return
            used = np.flatnonzero(best.coins)
            legs = np.union1d(used, self._helpers(free))
            contracts, profit = whole_lots(
                self.found, legs, lot=self.lot[legs], least=self.least[legs], room=room[legs]
            )
            if profit >= settings.min_profit_usd:
                self.size = np.zeros(len(self.offers))
                self.size[legs] = contracts
                self.profit = profit
                return
            # Without the leg with the least room, the next best combination may fit.
            scan.below_lot += 1
            self.dead[used[np.argmin(room[used] * self.found.size[used] / best.coins[used])]] = True

    def _helpers(self, free: BoolArray) -> IntArray:
        """Futures and the cheapest call and put to buy: they close what whole lots leave open."""
        item = [o.instrument for o in self.offers]
        dated = np.array([not i.is_option for i in item], dtype=np.bool_)
        chosen = list(np.flatnonzero(free & dated & _cheapest(free, self.same, self.cost)))
        bought = np.array([o.side > 0 for o in self.offers], dtype=np.bool_)
        price = np.array([o.price for o in self.offers])
        for is_call in (True, False):
            kind = np.array([i.is_call is is_call for i in item], dtype=np.bool_)
            rows = np.flatnonzero(free & bought & kind)
            if rows.size:
                chosen.append(rows[np.argmin(price[rows])])
        return np.array(chosen, dtype=np.int64)


def search(
    groups: Sequence[Group],
    left: FloatArray,
    expiry: int,
    index: float,
    settings: StaticSettings,
    scan: Tally,
) -> list[StaticArbitrage]:
    """Take the most profitable combination of all groups, its size off, until none is left."""
    findings: list[StaticArbitrage] = []
    while groups and len(findings) < settings.max_findings:
        for group in groups:
            if group.profit < 0.0:
                group.solve(left, index, settings, scan)
        best = max(groups, key=lambda g: g.profit)
        if best.profit <= 0.0:
            break
        findings.append(named(best.size, best.offers, best.found, expiry, index))
        left[best.rows] -= best.size
        taken = best.rows[best.size > 0.0]
        for group in groups:
            if group.profit > 0.0 and np.isin(group.rows[group.size > 0.0], taken).any():
                group.profit = -1.0
    return findings


def _same_contracts(offers: Sequence[Offer], index: float) -> tuple[IntArray, FloatArray]:
    """A number for each contract and side, whatever the venue, and what a coin of it costs."""
    numbers: dict[tuple[object, ...], int] = {}
    same = np.empty(len(offers), dtype=np.int64)
    cost = np.empty(len(offers))
    for i, o in enumerate(offers):
        item = o.instrument
        terms = (item.expiry_ns, item.strike, item.is_call, item.settlement, o.side)
        same[i] = numbers.setdefault(terms, len(numbers))
        per_coin = o.fee / float(item.multiplier)
        if item.is_inverse and not item.is_option:
            per_coin *= index * index  # coins per USD to USD per coin
        cost[i] = o.side * o.price + per_coin
    return same, cost


def _cheapest(available: BoolArray, same: IntArray, cost: FloatArray) -> BoolArray:
    """Of each contract and side only the best offer: the others come when it is used up."""
    rows = np.flatnonzero(available)
    order = rows[np.lexsort((cost[rows], same[rows]))]
    _, first = np.unique(same[order], return_index=True)
    chosen = np.zeros(available.size, dtype=np.bool_)
    chosen[order[first]] = True
    return chosen
