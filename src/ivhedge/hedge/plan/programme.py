"""Planning, stage by stage: exposures, trigger, candidates, rows, choice, lots, margin, verdict."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import inf

import numpy as np

from ivhedge.core.errors import ConfigError, StaleQuote, UnknownInstrument
from ivhedge.core.instruments import Instrument
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.costs import CostModel
from ivhedge.hedge.factors import Factors, RiskModel, build_factors, leg_loadings
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.limits import HedgeLimits, Numeraire
from ivhedge.hedge.margin_guard import MarginGuard
from ivhedge.hedge.objectives.definitions import BucketedVega, HedgeObjective
from ivhedge.hedge.objectives.rows import RiskRows, risk_rows
from ivhedge.hedge.optimiser import HedgeProblem, Solution
from ivhedge.hedge.plan.candidates import Candidates, SideCosts, find_candidates, side_costs
from ivhedge.hedge.plan.draft import Draft, inside_margin, legs_of, solve_in_lots
from ivhedge.hedge.plan.outcome import finish
from ivhedge.hedge.plan.problem import build_problem, restrict
from ivhedge.hedge.plan.select import choose_options, reduce
from ivhedge.hedge.plan.terms import EdgeQuote, HoldingPeriod, check_holding, checked_edges, life_days
from ivhedge.hedge.plan.worth import why_no_option
from ivhedge.hedge.ratios import HedgeRatio
from ivhedge.hedge.result import HedgePlan, PlanLeg
from ivhedge.hedge.triggers import HedgeState
from ivhedge.ledger.book import Book
from ivhedge.risk.legs import check_legs, price_legs
from ivhedge.surface.base import VolSurface

__all__ = ["plan_hedge"]

_BUDGETS = 4


def plan_hedge(
    book: Book,
    surface: VolSurface | Mapping[str, VolSurface],
    market: HedgeMarket,
    limits: HedgeLimits,
    state: HedgeState,
    *,
    costs: CostModel,
    risk: RiskModel | None = None,
    margin: MarginGuard | Sequence[MarginGuard] | None = None,
    ratio: HedgeRatio | None = None,
    objective: HedgeObjective | None = None,
    holding: HoldingPeriod | None = None,
    max_hedge_options: int | None = None,
    hedge_keys: Collection[str] = (),
    edges: Mapping[str, EdgeQuote] | None = None,
) -> HedgePlan:
    """Plan the trades that bring one underlying's exposures where the limits want them, at least cost.

    Parameters
    ----------
    book : Book
        Positions in other underlyings than the market's are left alone.
    surface : VolSurface or mapping of underlying to VolSurface
    market : HedgeMarket
        Its time is the time of the plan.
    limits : HedgeLimits
    state : HedgeState
        Its trigger decides whether to hedge at all.
    costs : CostModel
        The object that also charges the fills.
    risk : RiskModel, optional
    margin : MarginGuard or sequence of MarginGuard, optional
        One per venue that may be traded. A plan beyond their limits is cut to the largest share of its lots
        that they let through, down to none.
    ratio : HedgeRatio, optional
        Whose delta is hedged; Black-Scholes without it.
    objective : HedgeObjective, optional
        What counts as risk; `BucketedVega` without it.
    holding : HoldingPeriod, optional
        How long options serve as hedges. Without it their cost counts against one horizon's risk, in full.
    max_hedge_options : int, optional
        Most options held as hedges after the plan, `hedge_keys` that are held counted.
    hedge_keys : collection of str
        Keys of the book's options that are there as hedges.
    edges : mapping of key to EdgeQuote, optional
        Expected profit of candidate trades; it does not count against the cost limit.

    Returns
    -------
    HedgePlan
        Never beyond a cap or the cost limit, never widening a band's violation by more than a lot, never
        worse in its objective than no trade. A problem that the solver cannot finish gives no trades.

    Raises
    ------
    UnknownInstrument
        If there is no surface for the market's underlying.
    StaleQuote
        If surface and market are further apart in time than the limits allow.
    DataError
        If a held instrument has no price on the surface.
    ConfigError
        If a venue has no fee schedule, the objective does not cover the underlying, its scenarios or bands
        are over another horizon than the risk model's, a holding period comes with a horizon that is not a
        day, `max_hedge_options` is negative, an edge is on an instrument that is not in the market, or a
        ratio comes with a risk model that correlates spot and vol: that would count the same thing twice.
    """
    if max_hedge_options is not None and max_hedge_options < 0:
        raise ConfigError(f"expected max_hedge_options at or above 0 or None, found {max_hedge_options}")
    risk, edges = risk or RiskModel(), checked_edges(edges, market.instruments)
    if holding is not None:
        check_holding(risk.horizon_days)
    if ratio is not None and risk.spot_vol_correlation != 0.0:
        raise ConfigError(
            f"expected spot_vol_correlation 0 with the hedge ratio {ratio.name}, found "
            f"{risk.spot_vol_correlation}; the ratio counts it already"
        )
    chosen = _surface_of(surface, market, limits)
    greeks = build_factors(limits, risk, chosen, market.index)
    positions, coins, notes = _own_positions(book, market, greeks)
    # How old the surface may be is the limits' business, and checked already.
    held = price_legs(positions, {market.underlying: chosen}, market.ts_ns, max_age_ns=None)
    check_legs(held, market.ts_ns)
    loads = leg_loadings(held, greeks, {market.underlying: chosen}, ratio)
    exposure = np.asarray(loads.sum(axis=1), dtype=np.float64)
    exposure[0] += coins
    decision = state.trigger.decide(
        market.ts_ns, state.last_hedge_ns, dict(zip(greeks.names, exposure.tolist(), strict=True))
    )
    candidates = find_candidates(market, limits, costs, wanted=decision.fire)
    rows = risk_rows(
        objective or BucketedVega(),
        greeks,
        exposure,
        positions,
        coins,
        candidates.instruments,
        chosen,
        risk,
        market.index,
        market.ts_ns,
        ratio,
    )
    hedges = {item.key: float(q) for item, q in positions if item.key in hedge_keys}
    life = life_days(held, loads, hedges) if holding is not None else inf
    counted = holding.counted_days(life) if holding is not None else None
    owned: dict[str, float] = {}
    for item, quantity in positions:
        owned[item.key] = owned.get(item.key, 0.0) + float(quantity)
    sides = side_costs(candidates, holding, life, market.ts_ns, hedges, edges, owned)
    full, count = build_problem(rows, risk, limits, candidates, sides), len(candidates.rows)
    draft = _Choice(market, rows, full, risk, candidates, sides).cut(max_hedge_options, hedges)
    draft, solution, legs = _within_cost(draft, costs, limits.max_cost_usd)
    refused: tuple[str, ...] = ()
    if margin is not None and legs:
        draft, refused = inside_margin(draft, legs, margin, book, chosen, costs)
        legs = legs_of(draft, costs) if refused else legs
    if holding is not None and not any(leg.instrument.is_option for leg in legs):
        notes += why_no_option(full, candidates, sides, risk, holding, life)
    return finish(
        draft, legs, solution, limits, decision.fire, decision.reason, notes, refused, count, counted
    )


def _within_cost(
    draft: Draft, costs: CostModel, most: float | None
) -> tuple[Draft, Solution, tuple[PlanLeg, ...]]:
    # Ticks, rounded fees and fees per fill may take the charges past a budget that the programme kept: then
    # it gets a smaller one. No trade is always within it.
    budget = draft.problem.budget
    for _ in range(_BUDGETS):
        problem = replace(draft.problem, budget=budget)
        problem, lots, solution = solve_in_lots(problem, draft.rows, draft.candidates, draft.risk)
        found = replace(draft, problem=problem, lots=lots)
        if not found.is_better:
            return found.none(), solution, ()
        legs = legs_of(found, costs)
        spent = sum(leg.cost.total_usd for leg in legs)
        if most is None or spent <= most:
            return found, solution, legs
        budget = 0.99 * budget * most / spent
    return found.none(), solution, ()


class _Choice:
    """The candidates that a plan with few options may use."""

    def __init__(
        self,
        market: HedgeMarket,
        rows: RiskRows,
        problem: HedgeProblem,
        risk: RiskModel,
        candidates: Candidates,
        sides: SideCosts,
    ) -> None:
        self.whole = Draft(
            market=market,
            rows=rows,
            problem=problem,
            risk=risk,
            candidates=candidates,
            sides=sides,
            lots=np.zeros(len(candidates.rows), dtype=np.int64),
        )

    def cut(self, limit: int | None, hedges: Mapping[str, float]) -> Draft:
        draft, problem = self.whole, self.whole.problem
        option = draft.candidates.is_option
        usable = np.flatnonzero(option & (problem.max_buy + problem.max_sell > 0.0))
        if limit is None or (not usable.size):
            return draft
        keys = [item.key for item in draft.candidates.instruments]
        held = np.array([j for j in usable if hedges.get(keys[j])], dtype=np.int64)
        elsewhere = sum(1 for key, size in hedges.items() if size and key not in {keys[j] for j in held})
        price = draft.risk.risk_price if draft.risk.aversion is None else None
        columns = choose_options(
            reduce(problem, option, price), usable, held, max(limit - elsewhere, held.size)
        )
        keep = np.sort(np.concatenate((np.flatnonzero(~option), columns)))
        fewer, rows = restrict(problem, draft.rows, keep)
        return replace(
            draft,
            problem=fewer,
            rows=rows,
            candidates=draft.candidates.only(keep.tolist()),
            sides=draft.sides.only(keep),
            lots=np.zeros(keep.size, dtype=np.int64),
        )


def _surface_of(
    surface: VolSurface | Mapping[str, VolSurface], market: HedgeMarket, limits: HedgeLimits
) -> VolSurface:
    found = surface.get(market.underlying) if isinstance(surface, Mapping) else surface
    if found is None or found.underlying != market.underlying:
        known = sorted(surface) if isinstance(surface, Mapping) else [surface.underlying]
        raise UnknownInstrument(f"expected a surface of {market.underlying}, found {known}; fit one first")
    hours = abs(market.ts_ns - found.ts_ns) / NS_PER_HOUR
    if hours > limits.max_surface_age_hours:
        raise StaleQuote(
            f"{market.underlying}: expected a surface within {limits.max_surface_age_hours:g} h of the "
            f"quotes, found it {hours:.1f} h away; fit a fresh one"
        )
    return found


def _own_positions(
    book: Book, market: HedgeMarket, greeks: Factors
) -> tuple[list[tuple[Instrument, Decimal]], float, tuple[str, ...]]:
    mine = [p for p in book.positions if p.instrument.underlying == market.underlying]
    dead = [p for p in mine if (p.instrument.expiry_ns or market.ts_ns + 1) <= market.ts_ns]
    notes = tuple(f"{p.instrument.key} has expired and waits for its settlement" for p in dead)
    coins = 0.0
    if greeks.numeraire is Numeraire.USD:
        # Coin held as collateral gains and loses USD with spot like any other long position.
        coins = sum(m.to_float() for m in book.cash if m.currency.code == market.underlying)
    return [(p.instrument, p.quantity) for p in mine if p not in dead], coins, notes
