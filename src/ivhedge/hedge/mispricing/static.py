"""Executable static arbitrage: trades at quoted prices that cannot lose, whatever the settlement price."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.mispricing.arbitrage import StaticArbitrage
from ivhedge.hedge.mispricing.offers import Offer, Offers
from ivhedge.hedge.mispricing.search import Group, StaticSettings, Tally, search

__all__ = ["ArbitrageScan", "static_arbitrages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageScan:
    """Findings of one moment, and what was not looked at.

    Parameters
    ----------
    findings : tuple of StaticArbitrage
        By profit, largest first. They do not share quoted size and may be done together.
    excluded : Mapping of venue to (mapping of reason to count)
        Sides of quotes that cannot be traded or have no known outcome.
    below_lot : int
        Combinations that gain, but not in whole lots.
    programmes : int
        Linear programs tried.
    unsolved : int
        Those the solver gave up on: the scan may have missed something there.
    """

    findings: tuple[StaticArbitrage, ...]
    excluded: Mapping[str, Mapping[str, int]]
    below_lot: int
    programmes: int
    unsolved: int


def static_arbitrages(
    offers: Offers, costs: CostModel, *, settings: StaticSettings | None = None
) -> ArbitrageScan:
    """Find butterflies, boxes, parity, calendars and pairs of venues that gain for certain at quoted prices.

    Parameters
    ----------
    offers : Offers
        As from `executable_offers`; their sizes are never exceeded.
    costs : CostModel
        Its fee schedules charge the delivery.
    settings : StaticSettings, optional

    Returns
    -------
    ArbitrageScan

    Notes
    -----
    Expiry by expiry, for each venue alone and for all together, `best_combination` gives one arbitrage of few
    legs, cut to sizes and lots and evaluated again by itself. The most profitable is taken and its size taken
    off, until none is left. Calendars come last. That is greedy: the sum of the profits need not be the
    largest possible. Certain is what is certain given fills at the quoted prices, the venues' solvency, and
    `OutcomeSettings`.
    """
    settings = settings or StaticSettings()
    excluded = {venue: Counter(counts) for venue, counts in offers.excluded.items()}
    left = np.array([offer.contracts for offer in offers.offers])
    findings: list[StaticArbitrage] = []
    scan = Tally()
    expiries = sorted({int(o.instrument.expiry_ns or 0) for o in offers.offers})
    # What is certain without a bound on the carry comes first.
    reaches = (0, settings.calendar_expiries) if settings.calendar_expiries else (0,)
    for reach, expiry in product(reaches, expiries):
        groups = [
            Group.of(offers, rows, expiry, costs, settings)
            for rows in _rows(offers.offers, expiry, reach, settings)
        ]
        if not reach:
            for group in groups:
                group.count(excluded, expiry)
        findings += search(groups, left, expiry, offers.index, settings, scan)
    findings.sort(key=lambda f: -f.profit_usd)
    return ArbitrageScan(
        findings=tuple(findings),
        excluded={venue: dict(counts) for venue, counts in excluded.items() if counts},
        below_lot=scan.below_lot,
        programmes=scan.programmes,
        unsolved=scan.unsolved,
    )


def _rows(offers: Sequence[Offer], expiry: int, reach: int, settings: StaticSettings) -> list[list[int]]:
    """Positions of the offers of each venue at an expiry, then of venues together; `reach` expiries ahead."""
    options = {int(o.instrument.expiry_ns or 0) for o in offers if o.instrument.is_option}
    later = sorted(e for e in options if e > expiry)[:reach]
    usable = [
        i
        for i, o in enumerate(offers)
        if o.instrument.expiry_ns == expiry
        or (o.side > 0 and o.instrument.is_option and o.instrument.expiry_ns in later)
    ]
    by_venue: dict[str, list[int]] = {}
    for i in usable:
        by_venue.setdefault(offers[i].instrument.venue, []).append(i)
    # Later options alone lock nothing.
    here = {o.instrument.venue for o in offers if o.instrument.expiry_ns == expiry}
    groups = [by_venue[venue] for venue in sorted(here)]
    if settings.across_venues:
        together: dict[str, list[int]] = {}
        for i in usable:
            item = offers[i].instrument
            money = item.settle_currency.code
            known = item.is_inverse or money in settings.at_par
            together.setdefault("" if known else money, []).append(i)
        groups += [same for same in together.values() if len({offers[i].instrument.venue for i in same}) > 1]
    return groups
