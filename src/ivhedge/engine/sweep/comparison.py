"""Variants against the baseline, with block-bootstrap intervals and a price for having tried many."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.engine.sweep.cells import Cell
from ivhedge.engine.sweep.figures import (
    StepFigures,
    block_indices,
    max_drawdown,
    scores,
    spread_correction,
    step_figures,
)
from ivhedge.engine.sweep.spec import BootstrapSpec

__all__ = ["FEW_STEPS", "Comparison", "Interval", "compare"]

FEW_STEPS = 400
"""Fewer steps than this make a p-value a rough one."""
_ROUNDING = 1e-12
_NAMES = ("pnl_usd", "cost_usd", "std_usd", "cvar95_usd", "score")


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure per variant with its interval, each of shape (variants,)."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Figures of the variants of a cell, and their differences from the baseline.

    Parameters
    ----------
    figures : dict of str to Interval
        ``pnl_usd, cost_usd, std_usd, cvar95_usd, score``.
    differences : dict of str to Interval
        The same, less the baseline's over the same resampled steps.
    drawdown_usd : FloatArray, shape (variants,)
        Within a period, the deepest of all periods.
    p_value : FloatArray, shape (variants,)
        One-sided, of "no better than the baseline by the criterion", for this variant alone.
    p_adjusted : FloatArray, shape (variants,)
        The same for the best of all variants that were tried; NaN for the baseline.
    """

    figures: dict[str, Interval]
    differences: dict[str, Interval]
    drawdown_usd: FloatArray
    p_value: FloatArray
    p_adjusted: FloatArray


def compare(cell: Cell, criterion: str, spec: BootstrapSpec, rng: np.random.Generator) -> Comparison | None:
    """Compare the variants of a cell with its first one, the baseline.

    Parameters
    ----------
    cell : Cell
    criterion : str
        See `ivhedge.engine.sweep.figures.scores`.
    spec : BootstrapSpec
    rng : np.random.Generator

    Returns
    -------
    Comparison or None
        None if there are fewer than two steps.

    Notes
    -----
    All variants see the same resampled steps, so differences are paired. The adjusted p-value is White's
    (2000) reality check on studentised differences: the share of resamples in which the largest centred
    difference of any variant reaches the one found (single step of Romano and Wolf, 2005). Differences are
    centred on their mean over the resamples, because criteria such as a shortfall are biased there, and
    widened by `spread_correction`. With fewer than `FEW_STEPS` steps p-values still come out too small.
    """
    if cell.pnl.shape[1] < 2:
        return None
    point = _with_score(step_figures(cell.pnl, cell.cost), criterion)
    index = block_indices(cell.lengths, spec.block, spec.resamples, rng)
    drawn = _with_score(_resampled(cell, index), criterion)
    tail = 0.5 * (1.0 - spec.confidence)
    differences = {name: drawn[name] - drawn[name][:1] for name in _NAMES}
    gain = point["score"] - point["score"][0]
    single, adjusted = _p_values(
        gain,
        differences["score"],
        float(np.nanmax(np.abs(drawn["score"]), initial=0.0)),
        spread_correction(cell.lengths, spec.block),
    )
    return Comparison(
        figures={name: _interval(point[name], drawn[name], tail) for name in _NAMES},
        differences={
            name: _interval(point[name] - point[name][0], differences[name], tail) for name in _NAMES
        },
        drawdown_usd=_drawdown(cell),
        p_value=single,
        p_adjusted=adjusted,
    )


def _resampled(cell: Cell, index: np.ndarray) -> StepFigures:
    rows = [step_figures(pnl[index], cost[index]) for pnl, cost in zip(cell.pnl, cell.cost, strict=True)]
    names = ("pnl_usd", "cost_usd", "mean_usd", "std_usd", "cvar95_usd")
    return StepFigures(**{name: np.stack([getattr(row, name) for row in rows]) for name in names})


def _with_score(found: StepFigures, criterion: str) -> dict[str, FloatArray]:
    names = ("pnl_usd", "cost_usd", "mean_usd", "std_usd", "cvar95_usd")
    first = StepFigures(**{name: getattr(found, name)[:1] for name in names})
    columns = {name: getattr(found, name) for name in names}
    return columns | {"score": scores(criterion, found, first)}


def _interval(value: FloatArray, drawn: FloatArray, tail: float) -> Interval:
    low, high = np.full_like(value, np.nan), np.full_like(value, np.nan)
    known = np.isfinite(drawn).all(axis=1)
    if known.any():
        low[known], high[known] = np.quantile(drawn[known], (tail, 1.0 - tail), axis=1)
    return Interval(value, low, high)


def _p_values(
    gain: FloatArray, drawn: FloatArray, scale: float, widen: float
) -> tuple[FloatArray, FloatArray]:
    """One-sided p-values of each variant alone and of the best of all; NaN where nothing varies."""
    single, adjusted = np.full(gain.size, np.nan), np.full(gain.size, np.nan)
    spread = drawn.std(axis=1, ddof=1)
    # A variant that never differs from the baseline has a spread of rounding errors.
    judged = np.isfinite(gain) & np.isfinite(spread) & (spread > _ROUNDING * scale)
    if not judged.any():
        return single, adjusted
    centred = widen * (drawn[judged] - drawn[judged].mean(axis=1, keepdims=True)) / spread[judged, None]
    reached = gain[judged] / spread[judged]
    resamples = drawn.shape[1]
    single[judged] = (1 + (centred >= reached[:, None]).sum(axis=1)) / (1 + resamples)
    largest = centred.max(axis=0)
    adjusted[judged] = (1 + (largest[None, :] >= reached[:, None]).sum(axis=1)) / (1 + resamples)
    return single, adjusted


def _drawdown(cell: Cell) -> FloatArray:
    parts = [max_drawdown(cell.pnl[:, cell.span(place, place + 1)]) for place in range(len(cell.periods))]
    return np.asarray(np.min(parts, axis=0))
