"""The plan: what to trade now, why, at what cost, and what it leaves.

`plan_hedge` is pure. Replay, simulation, paper and live trading call it unchanged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite

import numpy as np

from ivhedge.core.errors import StaleQuote, UnknownInstrument
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.aversion import priced_objective, solve_at_price
from ivhedge.hedge.costs import CostModel, UnitCost
from ivhedge.hedge.factors import Factors, RiskModel, build_factors, factor_loadings
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.limits import HedgeLimits, Numeraire
from ivhedge.hedge.margin_guard import MarginGuard
from ivhedge.hedge.optimiser import (
    HedgeProblem,
    Solution,
    SolverStatus,
    band_violation,
    objective,
    solve,
    variance,
)
from ivhedge.hedge.reasons import leg_reason
from ivhedge.hedge.result import FactorChange, HedgePlan, PlanLeg, PlanStatus, SolverInfo
from ivhedge.hedge.rounding import LotGrid, round_to_lots
from ivhedge.hedge.triggers import HedgeState
from ivhedge.ledger.book import Book
from ivhedge.surface.base import VolSurface

__all__ = ["plan_hedge"]

_NOT_MUCH_DEARER = 5.0
_SHARES = tuple(i / 16 for i in range(15, 0, -1))
"""Shares of a plan to try where margin limits refuse all of it."""


def plan_hedge(
    book: Book,
    surface: VolSurface | Mapping[str, VolSurface],
    market: HedgeMarket,
    limits: HedgeLimits,
    state: HedgeState,
    *,
    costs: CostModel,
    risk: RiskModel | None = None,
    margin: MarginGuard | None = None,
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
    margin : MarginGuard, optional
        A plan beyond its limits is cut to the largest share of its lots that they let through, down to none.

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
        If a venue has no fee schedule.
    """
    risk = risk or RiskModel()
    chosen = _surface_of(surface, market, limits)
    surfaces = {market.underlying: chosen}
    factors = build_factors(limits, risk, chosen, market.index)
    exposure, notes = _book_exposure(book, surfaces, market, factors)
    decision = state.trigger.decide(
        market.ts_ns, state.last_hedge_ns, dict(zip(factors.names, exposure.tolist(), strict=True))
    )
    candidates = _candidates(market, limits, costs, wanted=decision.fire)
    held = tuple(market.instruments[row] for row in candidates.rows)
    loadings = factor_loadings([(item, Decimal(1)) for item in held], surfaces, factors, market.ts_ns)
    loadings = loadings.reshape(len(factors.names), -1)
    problem = _problem(exposure, factors, risk, limits, candidates, held, loadings)
    problem, lots, solution = _solve_in_lots(problem, candidates.grid(held), risk)
    draft = _Draft(
        market=market,
        factors=factors,
        problem=problem,
        risk=risk,
        candidates=candidates,
        held=held,
        lots=lots,
    )
    if not draft.is_better:
        draft = replace(draft, lots=np.zeros_like(lots))
    legs = _legs(draft, costs)
    if limits.max_cost_usd is not None and sum(leg.cost.total_usd for leg in legs) > limits.max_cost_usd:
        # Ticks and fee rounding took it past the limit by a hair; no trade is always within it.
        draft = replace(draft, lots=np.zeros_like(lots))
        legs = ()
    refused: tuple[str, ...] = ()
    if margin is not None and legs:
        draft, refused = _inside_margin(draft, legs, margin, book, chosen, costs)
        legs = _legs(draft, costs) if refused else legs
    return _finish(draft, legs, solution, limits, decision.fire, decision.reason, notes, refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidates:
    rows: IntArray
    units: tuple[UnitCost, ...]
    caps: tuple[float, ...]

    def grid(self, held: tuple[Instrument, ...]) -> LotGrid:
        return LotGrid(
            lot=np.array([float(item.lot) for item in held]),
            min_size=np.array([float(item.min_size) for item in held]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    market: HedgeMarket
    factors: Factors
    problem: HedgeProblem
    risk: RiskModel
    candidates: _Candidates
    held: tuple[Instrument, ...]
    lots: IntArray

    @property
    def contracts(self) -> FloatArray:
        return np.asarray(self.lots * np.array([float(item.lot) for item in self.held]), dtype=np.float64)

    @property
    def is_better(self) -> bool:
        # Lots are sought with a weight of the variance; what counts in the end is the price of risk.
        return self.value(self.contracts) < self.value(np.zeros(self.lots.size))

    @property
    def keeps_bands(self) -> bool:
        """Whether no band is violated by more than a lot beyond what it is without a trade."""
        problem = self.problem
        before = band_violation(problem, problem.exposure)
        after = band_violation(problem, problem.exposure + problem.loadings @ self.contracts)
        return bool((after <= before + problem.reach * (1.0 + 1e-9) + 1e-12).all())

    def value(self, contracts: FloatArray) -> float:
        if self.risk.aversion is None:
            return priced_objective(self.problem, contracts, self.risk.risk_price)
        return objective(self.problem, contracts)


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


def _book_exposure(
    book: Book, surfaces: Mapping[str, VolSurface], market: HedgeMarket, factors: Factors
) -> tuple[FloatArray, tuple[str, ...]]:
    positions = [p for p in book.positions if p.instrument.underlying == market.underlying]
    expired = [p for p in positions if (p.instrument.expiry_ns or market.ts_ns + 1) <= market.ts_ns]
    notes = tuple(f"{p.instrument.key} has expired and waits for its settlement" for p in expired)
    legs = factor_loadings([(p.instrument, p.quantity) for p in positions], surfaces, factors, market.ts_ns)
    exposure = np.asarray(legs.reshape(len(factors.names), -1).sum(axis=1), dtype=np.float64)
    if factors.numeraire is Numeraire.USD:
        # Coin held as collateral gains and loses USD with spot like any other long position.
        exposure[0] += sum(m.to_float() for m in book.cash if m.currency.code == market.underlying)
    return exposure, notes


def _candidates(market: HedgeMarket, limits: HedgeLimits, costs: CostModel, *, wanted: bool) -> _Candidates:
    rows: list[int] = []
    units: list[UnitCost] = []
    caps: list[float] = []
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
    return _Candidates(rows=np.array(rows, dtype=np.int64), units=tuple(units), caps=tuple(caps))


def _problem(
    exposure: FloatArray,
    factors: Factors,
    risk: RiskModel,
    limits: HedgeLimits,
    candidates: _Candidates,
    held: tuple[Instrument, ...],
    loadings: FloatArray,
) -> HedgeProblem:
    def column(name: str) -> FloatArray:
        return np.array([getattr(unit, name) for unit in candidates.units], dtype=np.float64)

    caps = np.array(candidates.caps)
    max_buy, max_sell = np.minimum(column("max_buy"), caps), np.minimum(column("max_sell"), caps)
    buy, sell = column("buy"), column("sell")
    # A side that cannot be traded has no room; any finite cost will do there.
    other = np.where(np.isfinite(buy), buy, sell)
    buy, sell = np.where(max_buy > 0.0, buy, other), np.where(max_sell > 0.0, sell, other)
    away = exposure - factors.target
    sd = float(np.sqrt(away @ factors.covariance @ away))
    aversion = risk.aversion if risk.aversion is not None else (risk.risk_price / sd if sd > 0.0 else 0.0)
    lot = np.array([float(item.lot) for item in held])
    price, finest = _ways_back(loadings, np.minimum(buy, sell), lot)
    banded = np.isfinite(factors.lower) | np.isfinite(factors.upper)
    factor_sd = np.sqrt(np.diag(factors.covariance))
    return HedgeProblem(
        exposure=exposure,
        target=factors.target,
        lower=factors.lower,
        upper=factors.upper,
        reach=np.where(banded, finest, 0.0),
        loadings=loadings,
        covariance=factors.covariance,
        aversion=aversion,
        penalty=risk.band_penalty * (price + max(aversion * sd, risk.risk_price) * factor_sd),
        buy_cost=buy,
        sell_cost=sell,
        max_buy=max_buy,
        max_sell=max_sell,
        free_size=column("free_size"),
        impact=column("impact"),
        # The margin takes up the rounding of fees; the limit itself is checked on the charged costs.
        budget=float("inf") if limits.max_cost_usd is None else 0.998 * limits.max_cost_usd,
    )


def _ways_back(loadings: FloatArray, cost: FloatArray, lot: FloatArray) -> tuple[FloatArray, FloatArray]:
    # Per factor: USD per unit of exposure by the cheapest instrument, and the exposure of one lot of the
    # finest among those that are not much dearer. A tiny loading at a high price is no way back.
    price, finest = np.zeros(loadings.shape[0]), np.zeros(loadings.shape[0])
    for i, load in enumerate(np.abs(loadings)):
        moving = load > 0.0
        if moving.any():
            ratio = cost[moving] / load[moving]
            price[i] = ratio.min()
            finest[i] = (load * lot)[moving][ratio <= _NOT_MUCH_DEARER * ratio.min()].min()
    return price, finest


def _solve_in_lots(
    problem: HedgeProblem, grid: LotGrid, risk: RiskModel
) -> tuple[HedgeProblem, IntArray, Solution]:
    if risk.aversion is None:
        problem, solution = solve_at_price(problem, risk.risk_price)
    else:
        solution = solve(problem)
    if solution.status is not SolverStatus.SOLVED:
        return problem, np.zeros(grid.lot.size, dtype=np.int64), solution
    return problem, round_to_lots(problem, solution.trades, grid), solution


def _inside_margin(
    draft: _Draft,
    legs: tuple[PlanLeg, ...],
    margin: MarginGuard,
    book: Book,
    surface: VolSurface,
    costs: CostModel,
) -> tuple[_Draft, tuple[str, ...]]:
    """The largest share of a plan that the margin limits let through, and what refuses all of it."""
    drafts = [draft, *(replace(draft, lots=_share_of(draft, share)) for share in _SHARES)]
    # A share may be worth nothing, or leave a band that the whole plan keeps.
    drafts = [draft, *(one for one in drafts[1:] if one.lots.any() and one.is_better and one.keeps_bands)]
    contracts = np.stack([one.contracts for one in drafts])
    spent = [sum(leg.cost.total_usd for leg in _legs(one, costs)) for one in drafts[1:]]
    cost = np.array([sum(leg.cost.total_usd for leg in legs), *spent])
    market = draft.market
    verdict = margin.judge(book, surface, market.index, market.ts_ns, draft.held, contracts, cost)
    if verdict.ok[0]:
        return draft, ()
    refused = verdict.breached[0]
    allowed = np.flatnonzero(verdict.ok)
    if allowed.size:
        return drafts[int(allowed[0])], refused
    return replace(draft, lots=np.zeros_like(draft.lots)), refused


def _share_of(draft: _Draft, share: float) -> IntArray:
    """Whole lots of a share of a plan, towards none; a leg below its least size is left out."""
    lots = np.trunc(share * draft.lots).astype(np.int64)
    least = np.array([float(item.min_size / item.lot) for item in draft.held])
    return np.where(np.abs(lots) < least, 0, lots)


def _legs(draft: _Draft, costs: CostModel) -> tuple[PlanLeg, ...]:
    legs = []
    for j in np.flatnonzero(draft.lots):
        instrument = draft.held[j]
        quantity = int(draft.lots[j]) * instrument.lot
        cost = costs.charge(instrument, quantity, draft.market.quote(int(draft.candidates.rows[j])))
        legs.append(
            PlanLeg(
                instrument=instrument,
                quantity=quantity,
                price_limit=cost.fill_price,
                cost=cost,
                reason=leg_reason(draft.problem, draft.factors, draft.contracts, int(j)),
            )
        )
    return tuple(legs)


def _finish(
    draft: _Draft,
    legs: tuple[PlanLeg, ...],
    solution: Solution,
    limits: HedgeLimits,
    fired: bool,
    why: str,
    notes: tuple[str, ...],
    refused: tuple[str, ...],
) -> HedgePlan:
    problem, factors = draft.problem, draft.factors
    after = problem.exposure + problem.loadings @ draft.contracts
    missed = _missed(draft, after) if fired else ()
    status, reason = _verdict(draft, legs, solution, missed, fired, why)
    binding = (*missed, *_binding(draft, legs, limits)) if missed else ()
    if refused:
        names = tuple(f"margin: {name}" for name in refused)
        binding = (*binding, *names)
        status, reason = PlanStatus.BEST_EFFORT, f"{reason}; cut by {', '.join(names)}"
    idle = np.zeros(draft.lots.size)
    return HedgePlan(
        ts_ns=draft.market.ts_ns,
        underlying=draft.market.underlying,
        numeraire=factors.numeraire,
        status=status,
        reason=reason,
        legs=legs,
        factors=tuple(
            FactorChange(
                name=factors.names[i],
                unit=factors.units[i],
                before=float(problem.exposure[i]),
                after=float(after[i]),
                target=float(factors.target[i]),
                lower=float(factors.lower[i]) if isfinite(factors.lower[i]) else None,
                upper=float(factors.upper[i]) if isfinite(factors.upper[i]) else None,
            )
            for i in range(len(factors.names))
        ),
        variance_before=variance(problem, problem.exposure),
        variance_after=variance(problem, after),
        objective_before=draft.value(idle),
        objective_after=draft.value(draft.contracts),
        binding=binding,
        notes=notes,
        n_candidates=len(draft.held),
        solver=SolverInfo(
            status=solution.status,
            iterations=solution.iterations,
            primal_residual=solution.primal_residual,
            duality_gap=solution.duality_gap,
        ),
    )


def _missed(draft: _Draft, after: FloatArray) -> tuple[str, ...]:
    problem = draft.problem
    # Less than a lot outside is as near as lots allow.
    room = problem.reach * (1.0 + 1e-9) + 1e-12
    outside = band_violation(problem, after) > room
    return tuple(f"band {draft.factors.names[i]}" for i in np.flatnonzero(outside))


def _binding(draft: _Draft, legs: tuple[PlanLeg, ...], limits: HedgeLimits) -> tuple[str, ...]:
    if not draft.held:
        return ("no tradable instrument",)
    problem, names = draft.problem, []
    for i, name in enumerate(draft.factors.names):
        if f"band {name}" in _missed(draft, problem.exposure) and not problem.loadings[i].any():
            names.append(f"no instrument moves {name}")
    for j in np.flatnonzero(draft.lots):
        instrument, x = draft.held[j], float(draft.contracts[j])
        room = (problem.max_buy if x > 0 else problem.max_sell)[j] - abs(x)
        if room < float(instrument.lot):
            displayed = room + abs(x) < limits.cap_of(instrument)
            names.append(f"{'displayed size' if displayed else 'max_contracts'} of {instrument.key}")
    spent = sum(leg.cost.total_usd for leg in legs)
    smallest = np.min(np.minimum(problem.buy_cost, problem.sell_cost) * [float(i.lot) for i in draft.held])
    if limits.max_cost_usd is not None and spent + 2.0 * float(smallest) >= 0.95 * limits.max_cost_usd:
        names.append("max_cost_usd")
    return tuple(names)


def _verdict(
    draft: _Draft,
    legs: tuple[PlanLeg, ...],
    solution: Solution,
    missed: tuple[str, ...],
    fired: bool,
    why: str,
) -> tuple[PlanStatus, str]:
    if not fired:
        return PlanStatus.NO_ACTION, why
    if solution.status not in (SolverStatus.SOLVED, SolverStatus.NOTHING_TO_DO):
        return (
            PlanStatus.SOLVER_FAILED,
            f"the solver ended with {solution.status.value} after {solution.iterations} iterations; "
            "nothing is traded on it; check the quotes and the bands",
        )
    if missed:
        return PlanStatus.BEST_EFFORT, f"{why}; cannot reach {', '.join(missed)}"
    if not legs:
        return PlanStatus.NO_ACTION, f"{why}; inside every band and no trade is worth its cost"
    return PlanStatus.OK, why
