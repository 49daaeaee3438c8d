"""Findings as candidate trades of a plan."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.mispricing.arbitrage import StaticArbitrage
from ivhedge.hedge.mispricing.offers import Offer
from ivhedge.hedge.mispricing.pairs import PairMispricing
from ivhedge.hedge.mispricing.worth import QuoteMispricing
from ivhedge.hedge.plan.terms import EdgeQuote

__all__ = ["CandidateEdges", "Finding", "edge_quotes"]

Finding = QuoteMispricing | PairMispricing | StaticArbitrage
"""What `edge_quotes` hands on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateEdges:
    """Edges for `plan_hedge`.

    Parameters
    ----------
    edges : dict of key to EdgeQuote
    missing : tuple of str
        Instruments of findings that the market does not hold; choose it with ``also=``.
    dropped : tuple of (Finding, str)
        Findings of which nothing is handed on, and why: a leg is missing or has no quote on its side any
        more, prices have moved by more than the gain, or a better finding takes the same instrument.
    """

    edges: dict[str, EdgeQuote]
    missing: tuple[str, ...]
    dropped: tuple[tuple[Finding, str], ...] = ()


def edge_quotes(findings: Iterable[Finding], market: HedgeMarket, costs: CostModel) -> CandidateEdges:
    """Say what each instrument's trade gains against its mark, so that its net gain is the finding's.

    Parameters
    ----------
    findings : iterable of QuoteMispricing, PairMispricing or StaticArbitrage
    market : HedgeMarket
        Whose quotes the plan will trade at. Where they are worse than the finding's, it gains so much less.
    costs : CostModel
        The plan's own: an edge is the net gain plus what the plan will charge.

    Returns
    -------
    CandidateEdges
        `max_contracts` is what the finding shows. Arbitrages that trade the same side of an instrument share
        none of its size, so their contracts add up; of other findings the one that gains most is handed on.

    Notes
    -----
    A finding is handed on with all its legs or not at all. The gain of a pair or an arbitrage goes to the
    legs that are off their marks, by how much they are; where no mark tells, to all by what they cost. A plan
    decides leg by leg: one that takes some legs only carries their risk, which it sees and weighs as any
    other.
    """
    row = {item.key: i for i, item in enumerate(market.instruments)}
    taken: dict[str, _Taken] = {}
    missing: set[str] = set()
    dropped: list[tuple[Finding, str]] = []
    for finding in sorted(findings, key=lambda f: -_gain(f)):
        legs = _legs(finding, market, row)
        strangers = [offer.key for offer, _, _ in legs if offer.key not in row]
        missing.update(strangers)
        reason = f"not in the market: {', '.join(strangers)}" if strangers else _refused(finding, legs, taken)
        worse = 0.0
        for offer, _, contracts in () if reason else legs:
            quote = market.quote(row[offer.key])
            price, shown = (quote.ask, quote.ask_size) if offer.side > 0 else (quote.bid, quote.bid_size)
            unit = costs.unit_cost(market.instruments[row[offer.key]], quote)
            cost = unit.buy if offer.side > 0 else unit.sell
            if price is None or shown == 0.0 or not isfinite(cost):
                reason = f"no quote on its side any more: {offer.key}"
                break
            step = max(offer.side * (price - offer.price), 0.0)
            worse += step * _usd(offer, market.index) * contracts
        whole = sum(gain * contracts for _, gain, contracts in legs)
        if not reason and worse >= whole:
            reason = f"prices have moved by {worse:,.2f} USD, the gain was {whole:,.2f}"
        if reason:
            dropped.append((finding, reason))
            continue
        left = 1.0 - worse / whole
        for offer, gain, contracts in legs:
            known = taken.setdefault(offer.key, _Taken(offer.side, isinstance(finding, StaticArbitrage)))
            known.usd += left * gain * contracts
            known.contracts += contracts
    edges = {}
    for key, one in taken.items():
        # A leg at its mark gains nothing by itself: the plan may trade it as it may any other.
        if one.usd <= 0.0:
            continue
        unit = costs.unit_cost(market.instruments[row[key]], market.quote(row[key]))
        edge = one.usd / one.contracts + (unit.buy if one.side > 0 else unit.sell)
        edges[key] = EdgeQuote(buy=one.side * edge, sell=-one.side * edge, max_contracts=one.contracts)
    return CandidateEdges(edges=edges, missing=tuple(sorted(missing)), dropped=tuple(dropped))


@dataclass(slots=True)
class _Taken:
    """What is handed on of an instrument so far."""

    side: int
    is_static: bool
    usd: float = 0.0
    contracts: float = 0.0


def _refused(finding: Finding, legs: "list[_Leg]", taken: Mapping[str, _Taken]) -> str:
    """Why a finding cannot stand beside those handed on before; empty if it can."""
    for offer, _, _ in legs:
        known = taken.get(offer.key)
        both = known is not None and known.is_static and isinstance(finding, StaticArbitrage)
        if known is not None and not (both and known.side == offer.side):
            return f"a better finding trades {offer.key}"
    return ""


_Leg = tuple[Offer, float, float]


def _gain(finding: Finding) -> float:
    return finding.profit_usd if isinstance(finding, StaticArbitrage) else finding.capacity_usd


def _legs(finding: Finding, market: HedgeMarket, row: Mapping[str, int]) -> list[_Leg]:
    """Each trade with its net gain per contract, USD, and its contracts."""
    if isinstance(finding, QuoteMispricing):
        return [(finding.offer, finding.edge_usd, finding.offer.contracts)]
    if isinstance(finding, PairMispricing):
        offers = [finding.buy, finding.sell]
        sizes = [finding.coins / float(offer.instrument.multiplier) for offer in offers]
    else:
        offers = [leg.offer for leg in finding.legs]
        sizes = [float(leg.contracts) for leg in finding.legs]
    off = [_off_mark(offer, market, row) * size for offer, size in zip(offers, sizes, strict=True)]
    if sum(off) <= 0.0:
        off = [
            _usd(offer, market.index) * offer.price * size for offer, size in zip(offers, sizes, strict=True)
        ]
    gain, total = _gain(finding), sum(off)
    return [
        (offer, gain * share / total / size, size)
        for offer, size, share in zip(offers, sizes, off, strict=True)
    ]


def _usd(offer: Offer, index: float) -> float:
    """Of one price unit of one contract."""
    return float(offer.instrument.multiplier) * (index if offer.instrument.is_inverse else 1.0)


def _off_mark(offer: Offer, market: HedgeMarket, row: Mapping[str, int]) -> float:
    """USD by which a contract is to be had better than at its mark; 0 where there is none."""
    at = row.get(offer.key)
    mark = None if at is None else market.quote(at).mark
    return 0.0 if mark is None else max(offer.side * (mark - offer.price), 0.0) * _usd(offer, market.index)
