"""Choosing a variant from the past and judging it on what comes next."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.engine.sweep.cells import Cell
from ivhedge.engine.sweep.comparison import Comparison, compare
from ivhedge.engine.sweep.figures import StepFigures, scores, step_figures
from ivhedge.engine.sweep.spec import BootstrapSpec, WalkForwardSpec

__all__ = ["CHOSEN", "Fold", "WalkForward", "walk_forward"]

CHOSEN = "chosen by walk-forward"
"""Name of the concatenated choices among the variants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One choice and its judgement.

    Parameters
    ----------
    trained_on : tuple of str
        Periods that the choice looked at.
    judged_on : str
        The period after them.
    chosen : str
    score_in, score_out : float
        Of the chosen variant, in sample and out of sample.
    best_out : str
        What would have been best, known only afterwards.
    baseline_out : float
        Score of the baseline out of sample.
    rank_correlation : float
        Spearman's, of all variants' scores in sample and out of sample; NaN with fewer than three.
    all_in, all_out : FloatArray, shape (variants,)
        Scores of all variants.
    """

    trained_on: tuple[str, ...]
    judged_on: str
    chosen: str
    score_in: float
    score_out: float
    best_out: str
    baseline_out: float
    rank_correlation: float
    all_in: FloatArray
    all_out: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """All folds of a cell, and the chosen variants' steps one after the other.

    Parameters
    ----------
    folds : tuple of Fold
    cell : Cell
        The judged periods with the variants and, last, `CHOSEN`.
    comparison : Comparison
        Of that cell: nothing in it was seen by the choice that it judges.
    """

    folds: tuple[Fold, ...]
    cell: Cell
    comparison: Comparison | None


def walk_forward(
    cell: Cell,
    criterion: str,
    how: WalkForwardSpec,
    bootstrap: BootstrapSpec,
    rng: np.random.Generator,
) -> WalkForward | None:
    """Choose by the criterion on each training window, judge on the period after it.

    Returns
    -------
    WalkForward or None
        None if there are too few periods, or a window has no score.
    """
    folds, parts = [], []
    for place in range(how.train, len(cell.periods)):
        first = 0 if how.anchored else place - how.train
        inside = _scores(cell, criterion, cell.span(first, place))
        outside = _scores(cell, criterion, cell.span(place, place + 1))
        if (
            inside is None
            or outside is None
            or not np.isfinite(inside).any()
            or not np.isfinite(outside).any()
        ):
            return None
        best = int(np.nanargmax(inside))
        parts.append((best, cell.span(place, place + 1)))
        folds.append(
            Fold(
                trained_on=cell.periods[first:place],
                judged_on=cell.periods[place],
                chosen=cell.variants[best],
                score_in=float(inside[best]),
                score_out=float(outside[best]),
                best_out=cell.variants[int(np.nanargmax(outside))],
                baseline_out=float(outside[0]),
                rank_correlation=_rank_correlation(inside, outside),
                all_in=inside,
                all_out=outside,
            )
        )
    if not folds:
        return None
    judged = _judged(cell, parts, how.train)
    return WalkForward(folds=tuple(folds), cell=judged, comparison=compare(judged, criterion, bootstrap, rng))


def _scores(cell: Cell, criterion: str, steps: slice) -> FloatArray | None:
    if steps.stop - steps.start < 2:
        return None
    found = step_figures(cell.pnl[:, steps], cell.cost[:, steps])
    names = ("pnl_usd", "cost_usd", "mean_usd", "std_usd", "cvar95_usd")
    return scores(criterion, found, StepFigures(**{name: getattr(found, name)[:1] for name in names}))


def _judged(cell: Cell, parts: list[tuple[int, slice]], train: int) -> Cell:
    seen = cell.span(train, len(cell.periods))
    chosen = (
        np.concatenate([table[best, steps] for best, steps in parts]) for table in (cell.pnl, cell.cost)
    )
    pnl, cost = (
        np.vstack([table[:, seen], row]) for table, row in zip((cell.pnl, cell.cost), chosen, strict=True)
    )
    return Cell(
        market=cell.market,
        book=cell.book,
        variants=(*cell.variants, CHOSEN),
        periods=cell.periods[train:],
        lengths=cell.lengths[train:],
        ts_ns=cell.ts_ns[seen],
        pnl=pnl,
        cost=cost,
        left_out=cell.left_out,
    )


def _rank_correlation(first: FloatArray, second: FloatArray) -> float:
    from scipy.stats import rankdata

    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < 3:
        return float("nan")
    ranks = [rankdata(values[known]) for values in (first, second)]
    if min(np.ptp(rank) for rank in ranks) == 0.0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])
