"""The hedge problem, what it costs and leaves, and what a solver found."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.hedge.optimiser.definite import check_covariance

__all__ = [
    "Binding",
    "HedgeProblem",
    "Solution",
    "SolverStatus",
    "TailRows",
    "band_violation",
    "check",
    "leg_charges",
    "leg_costs",
    "objective",
    "resource_rows",
    "tail_loss",
    "variance",
]


class SolverStatus(StrEnum):
    """How the solver ended."""

    SOLVED = "solved"
    NOTHING_TO_DO = "nothing_to_do"
    NOT_CONVERGED = "not_converged"
    NUMERICAL_TROUBLE = "numerical_trouble"


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRows:
    """Scenarios whose conditional value at risk is paid for.

    Parameters
    ----------
    book : FloatArray, shape (T,)
        Profit of the book in each scenario, USD.
    candidates : FloatArray, shape (T, n)
        Profit of one contract of each instrument, USD.
    weights : FloatArray, shape (T,)
        Probabilities; sum to 1.
    level : float
        Of the tail, in (0, 1): 0.95 looks at the worst twentieth.
    price : float
        USD per USD of mean loss in the tail.
    """

    book: FloatArray
    candidates: FloatArray
    weights: FloatArray
    level: float
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeProblem:
    """One hedge problem; shapes by k factors and n instruments.

    Parameters
    ----------
    exposure, target, lower, upper : FloatArray, shape (k,)
        e, t, l, u.
    reach : FloatArray, shape (k,)
        r: how far a factor may end outside, owing to the size of a lot.
    loadings : FloatArray, shape (k, n)
        F, exposure per contract.
    covariance : FloatArray, shape (k, k)
        S, USD² per unit of exposure²; positive semidefinite, may be singular.
    aversion : float
        a, per USD.
    penalty : FloatArray, shape (k,)
        π, USD per unit of violation.
    buy_cost, sell_cost : FloatArray, shape (n,)
        c₊, c₋, USD per contract, less the edge expected of the trade; one of them may be negative, with a
        finite cap on that side. Their sum is not negative: a round trip earns nothing.
    max_buy, max_sell : FloatArray, shape (n,)
        U₊, U₋, contracts; may be infinite.
    free_size, impact : FloatArray, shape (n,)
        Extra cost ``impact · max(|x| − free_size, 0)²``.
    budget : float
        USD of `buy_charge` and `sell_charge`, in lots also of impact; may be infinite.
    margin : FloatArray, shape (n,), optional
        w, USD of margin per contract bought or sold, >= 0.
    margin_cap : float
        G, USD; may be infinite.
    buy_charge, sell_charge : FloatArray, shape (n,), optional
        What the budget counts per contract, >= 0; without them the cost, where that is positive.
    tail : TailRows, optional
        Adds the price of the tail to the objective.
    """

    exposure: FloatArray
    target: FloatArray
    lower: FloatArray
    upper: FloatArray
    reach: FloatArray
    loadings: FloatArray
    covariance: FloatArray
    aversion: float
    penalty: FloatArray
    buy_cost: FloatArray
    sell_cost: FloatArray
    max_buy: FloatArray
    max_sell: FloatArray
    free_size: FloatArray
    impact: FloatArray
    budget: float
    margin: FloatArray | None = None
    margin_cap: float = np.inf
    buy_charge: FloatArray | None = None
    sell_charge: FloatArray | None = None
    tail: TailRows | None = None

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """Range that no trade may leave: the band or the present exposure, and one lot's reach."""
        return (
            np.minimum(self.lower, self.exposure) - self.reach,
            np.maximum(self.upper, self.exposure) + self.reach,
        )

    @property
    def charges(self) -> tuple[FloatArray, FloatArray]:
        """What the budget counts per contract bought and sold, shape (n,) each."""
        buy, sell = self.buy_charge, self.sell_charge
        return (
            np.maximum(self.buy_cost, 0.0) if buy is None else buy,
            np.maximum(self.sell_cost, 0.0) if sell is None else sell,
        )

    def columns(self, keep: IntArray) -> "HedgeProblem":
        """The same over some of the instruments."""
        names = ("buy_cost", "sell_cost", "max_buy", "max_sell", "free_size", "impact")
        more = ("margin", "buy_charge", "sell_charge")
        picked = {name: getattr(self, name)[keep] for name in names}
        picked |= {name: getattr(self, name)[keep] for name in more if getattr(self, name) is not None}
        tail = self.tail and replace(self.tail, candidates=self.tail.candidates[:, keep])
        return replace(self, loadings=self.loadings[:, keep], tail=tail, **picked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A limit that holds the plan back.

    Parameters
    ----------
    kind : str
        ``upper``, ``lower`` (soft bands), ``box`` (no violation worse than without a trade), ``max_buy``,
        ``max_sell``, ``budget`` or ``margin``.
    index : int
        Factor or instrument; -1 for budget and margin.
    multiplier : float
        Fall of the objective, USD, per unit by which the limit is widened.
    """

    kind: str
    index: int
    multiplier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What the solver found.

    Parameters
    ----------
    status : SolverStatus
    trades : FloatArray, shape (n,)
        Contracts; all zero unless solved.
    iterations : int
    primal_residual, duality_gap : float
        Relative; NaN when nothing was solved.
    binding : tuple of Binding
        Limits with a multiplier, the dearest of each kind first.
    fallback : bool
        Whether PIQP solved it instead of the structured interior point.
    """

    status: SolverStatus
    trades: FloatArray
    iterations: int
    primal_residual: float
    duality_gap: float
    binding: tuple[Binding, ...] = ()
    fallback: bool = False


def leg_costs(problem: HedgeProblem, trades: FloatArray) -> FloatArray:
    """Cost of each instrument's trade in USD with impact, shape of `trades`: (n,) or (n, any)."""
    return _with_impact(problem, trades, problem.buy_cost, problem.sell_cost)


def leg_charges(problem: HedgeProblem, trades: FloatArray) -> FloatArray:
    """What the budget counts for each instrument's trade in lots, USD, shape of `trades`."""
    return _with_impact(problem, trades, *problem.charges)


def _with_impact(problem: HedgeProblem, trades: FloatArray, buy: FloatArray, sell: FloatArray) -> FloatArray:
    wide = (slice(None),) + (None,) * (trades.ndim - 1)
    buys, sells = np.maximum(trades, 0.0), np.maximum(-trades, 0.0)
    excess = np.maximum(np.abs(trades) - problem.free_size[wide], 0.0)
    return np.asarray(buy[wide] * buys + sell[wide] * sells + problem.impact[wide] * excess**2)


def band_violation(problem: HedgeProblem, exposure: FloatArray) -> FloatArray:
    """Distance of exposures, shape (k,) or (k, any), to their bands."""
    wide = (slice(None),) + (None,) * (exposure.ndim - 1)
    return np.maximum(np.maximum(problem.lower[wide] - exposure, exposure - problem.upper[wide]), 0.0)


def variance(problem: HedgeProblem, exposure: FloatArray) -> float:
    """Variance of one horizon's profit about the target, USD²."""
    away = exposure - problem.target
    return float(away @ problem.covariance @ away)


def tail_loss(tail: TailRows, trades: FloatArray) -> float:
    """Mean loss of the worst share ``1 − level`` of the scenarios, USD, for trades of shape (n,)."""
    loss = -(tail.book + tail.candidates @ trades)
    order = np.argsort(-loss)
    mass = np.cumsum(tail.weights[order])
    edge = loss[order[min(int(np.searchsorted(mass, 1.0 - tail.level)), order.size - 1)]]
    return float(edge + tail.weights @ np.maximum(loss - edge, 0.0) / (1.0 - tail.level))


def objective(problem: HedgeProblem, trades: FloatArray) -> float:
    """Value of the objective for trades of shape (n,), USD."""
    exposure = problem.exposure + problem.loadings @ trades
    penalty = float(problem.penalty @ band_violation(problem, exposure))
    risk = 0.5 * problem.aversion * variance(problem, exposure)
    if problem.tail is not None:
        risk += problem.tail.price * tail_loss(problem.tail, trades)
    return risk + penalty + float(leg_costs(problem, trades).sum())


def resource_rows(
    problem: HedgeProblem,
) -> tuple[list[str], list[tuple[FloatArray, FloatArray]], list[float]]:
    """Names of budget and margin where limited, their use per contract bought and sold, the limits."""
    names, uses, limits = [], [], []
    if np.isfinite(problem.budget):
        names.append("budget")
        uses.append(problem.charges)
        limits.append(problem.budget)
    if problem.margin is not None and np.isfinite(problem.margin_cap):
        names.append("margin")
        uses.append((problem.margin, problem.margin))
        limits.append(problem.margin_cap)
    return names, uses, limits


_FINITE = (
    "exposure",
    "target",
    "reach",
    "loadings",
    "covariance",
    "penalty",
    "buy_cost",
    "sell_cost",
    "impact",
)
_NOT_NEGATIVE = ("reach", "penalty", "max_buy", "max_sell", "free_size", "impact")


def check(problem: HedgeProblem) -> None:
    """Refuse what cannot be solved.

    Raises
    ------
    DataError
        If an input is not a number where one is needed, negative where it must not be, the covariance has a
        negative eigenvalue or is not symmetric, a side with an edge has no cap, or a round trip earns money.
    """
    for name in _FINITE:
        if not np.isfinite(getattr(problem, name)).all():
            raise DataError(f"expected finite {name} in a hedge problem; drop the instrument or factor")
    for name in _NOT_NEGATIVE:
        if not (getattr(problem, name) >= 0.0).all():
            raise DataError(f"expected {name} of a hedge problem at or above 0")
    for name in ("aversion", "budget", "margin_cap"):
        if not getattr(problem, name) >= 0.0:
            raise DataError(
                f"expected {name} of a hedge problem at or above 0, found {getattr(problem, name)}"
            )
    for name in ("margin", "buy_charge", "sell_charge"):
        rows = getattr(problem, name)
        if rows is not None and not (np.isfinite(rows) & (rows >= 0.0)).all():
            raise DataError(f"expected {name} of a hedge problem finite and at or above 0")
    if not (problem.lower <= problem.upper).all():
        raise DataError(
            "expected lower <= upper in the bands of a hedge problem, infinite where there is none; "
            f"found otherwise for factors {np.flatnonzero(~(problem.lower <= problem.upper)).tolist()}"
        )
    fault = check_covariance(problem.covariance)
    if fault is not None:
        raise DataError(
            f"expected a positive semidefinite covariance in a hedge problem, {fault}; clip its negative "
            "eigenvalues or take ivhedge.risk.factors.shrink_covariance"
        )
    _check_edges(problem)
    if problem.tail is not None:
        _check_tail(problem.tail, problem.buy_cost.size)


def _check_edges(problem: HedgeProblem) -> None:
    buy, sell = problem.buy_cost, problem.sell_cost
    if not (buy + sell >= -1e-12 * (np.abs(buy) + np.abs(sell))).all():
        raise DataError(
            "expected buy_cost + sell_cost at or above 0: a round trip must not earn money; found otherwise "
            f"for instruments {np.flatnonzero(buy + sell < 0.0).tolist()}"
        )
    loose = ((buy < 0.0) & np.isinf(problem.max_buy)) | ((sell < 0.0) & np.isinf(problem.max_sell))
    if loose.any():
        raise DataError(
            "expected a finite cap on a side with a negative cost, found none for instruments "
            f"{np.flatnonzero(loose).tolist()}"
        )


def _check_tail(tail: TailRows, n: int) -> None:
    count = tail.book.size
    if tail.candidates.shape != (count, n) or tail.weights.shape != (count,) or count == 0:
        raise DataError(
            f"expected scenarios of shapes (T,), (T, {n}), (T,), found {tail.book.shape}, "
            f"{tail.candidates.shape}, {tail.weights.shape}"
        )
    if not (np.isfinite(tail.book).all() and np.isfinite(tail.candidates).all()):
        raise DataError("expected finite profits in the scenarios of a hedge problem; drop the scenario")
    if not ((tail.weights >= 0.0).all() and abs(float(tail.weights.sum()) - 1.0) < 1e-9):
        raise DataError("expected weights of scenarios at or above 0 that sum to 1")
    if not (0.0 < tail.level < 1.0 and 0.0 <= tail.price < np.inf):
        raise DataError(
            f"expected a tail level in (0, 1) and a finite price >= 0, found {tail.level}, {tail.price}"
        )
