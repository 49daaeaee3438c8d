"""The verdict on a draft: status, what could not be met, and why."""

from math import isfinite

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.hedge.limits import HedgeLimits
from ivhedge.hedge.objectives.rows import RESIDUAL
from ivhedge.hedge.optimiser import HedgeProblem, Solution, SolverStatus, band_violation, variance
from ivhedge.hedge.plan.draft import Draft
from ivhedge.hedge.result import FactorChange, HedgePlan, PlanLeg, PlanStatus, SolverInfo

__all__ = ["finish"]

_MOST_CHECKED = 6


def finish(
    draft: Draft,
    legs: tuple[PlanLeg, ...],
    solution: Solution,
    limits: HedgeLimits,
    fired: bool,
    why: str,
    notes: tuple[str, ...],
    refused: tuple[str, ...],
    n_candidates: int,
    counted_days: float | None,
) -> HedgePlan:
    """Put the plan together."""
    problem = draft.problem
    after = problem.exposure + problem.loadings @ draft.contracts
    missed = _missed(draft, after) if fired else ()
    status, reason = _verdict(legs, solution, missed, fired, why, draft)
    binding = (*missed, *_binding(draft, legs, limits)) if missed else ()
    if refused:
        names = tuple(f"margin: {name}" for name in refused)
        binding = (*binding, *names)
        status, reason = PlanStatus.BEST_EFFORT, f"{reason}; cut by {', '.join(names)}"
    return HedgePlan(
        ts_ns=draft.market.ts_ns,
        underlying=draft.market.underlying,
        numeraire=draft.rows.factors.numeraire,
        status=status,
        reason=reason,
        legs=legs,
        factors=_changes(draft, after),
        variance_before=variance(problem, problem.exposure),
        variance_after=variance(problem, after),
        objective_before=draft.value(np.zeros(draft.lots.size)),
        objective_after=draft.value(draft.contracts),
        binding=binding,
        notes=notes,
        n_candidates=n_candidates,
        solver=SolverInfo(
            status=solution.status,
            iterations=solution.iterations,
            primal_residual=solution.primal_residual,
            duality_gap=solution.duality_gap,
        ),
        counted_days=counted_days,
    )


def _changes(draft: Draft, after: FloatArray) -> tuple[FactorChange, ...]:
    factors, before = draft.rows.factors, draft.problem.exposure
    changes, own = [], []
    for i, name in enumerate(factors.names):
        if name.startswith(RESIDUAL):
            own.append(i)
            continue
        lower, upper = float(factors.lower[i]), float(factors.upper[i])
        changes.append(
            FactorChange(
                name=name,
                unit=factors.units[i],
                before=float(before[i]),
                after=float(after[i]),
                target=float(factors.target[i]),
                lower=lower if isfinite(lower) else None,
                upper=upper if isfinite(upper) else None,
            )
        )
    if own:
        size = [float(np.sqrt((values[own] ** 2).sum())) for values in (before, after)]
        changes.append(
            FactorChange(
                name=RESIDUAL.strip(),
                unit=factors.units[own[0]],
                before=size[0],
                after=size[1],
                target=0.0,
                lower=None,
                upper=None,
            )
        )
    return tuple(changes)


def _missed(draft: Draft, after: FloatArray) -> tuple[str, ...]:
    problem = draft.problem
    # Less than a lot outside is as near as lots allow.
    room = problem.reach * (1.0 + 1e-9) + 1e-12
    outside = band_violation(problem, after) > room
    return tuple(f"band {draft.rows.factors.names[i]}" for i in np.flatnonzero(outside))


def _binding(draft: Draft, legs: tuple[PlanLeg, ...], limits: HedgeLimits) -> tuple[str, ...]:
    dry = draft.candidates.without_depth
    names = [f"no quote or size to trade with at {dry} instruments"] if dry else []
    held = draft.candidates.instruments
    if not held:
        return (*names, "no tradable instrument")
    problem, rows = draft.problem, draft.rows.factors.names
    outside = _missed(draft, problem.exposure)
    for i, name in enumerate(rows):
        if f"band {name}" in outside and not problem.loadings[i].any():
            names.append(f"no instrument moves {name}")
    full = False
    for j in np.flatnonzero(draft.lots):
        instrument, x = held[j], float(draft.contracts[j])
        room = (problem.max_buy if x > 0 else problem.max_sell)[j] - abs(x)
        if room < float(instrument.lot):
            full = True
            names.append(f"{_cap_name(draft, limits, int(j), room + abs(x))} of {instrument.key}")
    spent = sum(leg.cost.total_usd for leg in legs)
    # What the budget counts: no edge makes the smallest trade cheaper.
    charge = np.minimum(*problem.charges) / draft.sides.per_day
    smallest = np.min(charge * [float(max(i.lot, i.min_size)) for i in held])
    if limits.max_cost_usd is not None and spent + 2.0 * float(smallest) >= 0.95 * limits.max_cost_usd:
        full = True
        names.append("max_cost_usd")
    return (*names, *(() if full else _contradictions(draft)))


def _cap_name(draft: Draft, limits: HedgeLimits, row: int, most: float) -> str:
    unit = draft.candidates.units[row]
    if most >= limits.cap_of(draft.candidates.instruments[row]):
        return "max_contracts"
    displayed = unit.max_buy if draft.lots[row] > 0 else unit.max_sell
    return "displayed size" if most >= displayed else "size of the edge or of the hedge held"


def _contradictions(draft: Draft) -> tuple[str, ...]:
    """Whether missed bands could each be met alone: then it is the bands together that ask too much."""
    problem, names = draft.problem, draft.rows.factors.names
    after = problem.exposure + problem.loadings @ draft.contracts
    missed = np.flatnonzero(band_violation(problem, after) > problem.reach * (1.0 + 1e-9) + 1e-12)
    if missed.size > _MOST_CHECKED:
        return ()
    return tuple(
        f"band {names[i]} can be met alone, not together with the other bands"
        if _reachable(problem, int(i))
        else f"band {names[i]} is beyond the sizes of all instruments together"
        for i in missed
        if problem.loadings[i].any()
    )


def _reachable(problem: HedgeProblem, row: int) -> bool:
    # The best that all instruments together can do for one row, sizes aside from the budget.
    moving = np.flatnonzero(problem.loadings[row])
    load, buy, sell = problem.loadings[row, moving], problem.max_buy[moving], problem.max_sell[moving]
    up = np.where(load > 0.0, load * buy, -load * sell)
    down = np.where(load > 0.0, -load * sell, load * buy)
    value = problem.exposure[row]
    most, least = value + float(up.sum()), value + float(down.sum())
    return bool(least <= problem.upper[row] and most >= problem.lower[row])


def _verdict(
    legs: tuple[PlanLeg, ...],
    solution: Solution,
    missed: tuple[str, ...],
    fired: bool,
    why: str,
    draft: Draft,
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
