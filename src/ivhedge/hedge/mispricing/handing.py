"""Findings as candidate trades of a plan."""

from collections.abc import Iterable
from dataclasses import dataclass

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
    """

    edges: dict[str, EdgeQuote]
    missing: tuple[str, ...]


def edge_quotes(findings: Iterable[Finding], market: HedgeMarket, costs: CostModel) -> CandidateEdges:
    """Say what each instrument's trade gains against its mark, so that its net gain is the finding's.

    Parameters
    ----------
    findings : iterable of QuoteMispricing, PairMispricing or StaticArbitrage
    market : HedgeMarket
        Whose quotes the plan will trade at.
    costs : CostModel
        The plan's own: an edge is the net gain plus what the plan will charge.

    Returns
    -------
    CandidateEdges
        `max_contracts` is what the finding shows; of several findings on one side the better one counts.

    Notes
    -----
    The gain of a pair or an arbitrage is shared equally by its legs. A plan decides leg by leg: one that
    takes some legs only carries their risk, which it sees and weighs as any other.
    """
    row = {item.key: i for i, item in enumerate(market.instruments)}
    best: dict[str, tuple[int, float, float]] = {}
    missing: set[str] = set()
    for finding in findings:
        for offer, gain, contracts in _legs(finding):
            if offer.key not in row:
                missing.add(offer.key)
                continue
            known = best.get(offer.key)
            if known is None or gain > known[1]:
                best[offer.key] = (offer.side, gain, contracts)
    edges = {}
    for key, (side, gain, contracts) in best.items():
        place = row[key]
        unit = costs.unit_cost(market.instruments[place], market.quote(place))
        edge = gain + (unit.buy if side > 0 else unit.sell)
        edges[key] = EdgeQuote(buy=side * edge, sell=-side * edge, max_contracts=contracts)
    return CandidateEdges(edges=edges, missing=tuple(sorted(missing)))


def _legs(finding: Finding) -> list[tuple[Offer, float, float]]:
    """Each trade with its net gain per contract, USD, and its contracts."""
    if isinstance(finding, QuoteMispricing):
        return [(finding.offer, finding.edge_usd, finding.offer.contracts)]
    if isinstance(finding, PairMispricing):
        return [
            (offer, 0.5 * finding.edge_usd * size, finding.coins / size)
            for offer in (finding.buy, finding.sell)
            for size in (float(offer.instrument.multiplier),)
        ]
    share = finding.profit_usd / len(finding.legs)
    return [(leg.offer, share / float(leg.contracts), float(leg.contracts)) for leg in finding.legs]
