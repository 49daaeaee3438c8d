"""Figures of step series and the criteria by which variants are compared; whole resamples at once."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray

__all__ = ["StepFigures", "block_indices", "max_drawdown", "scores", "step_figures"]

_TAIL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFigures:
    """Figures of series of steps, each of the shape of the series without its last axis.

    Parameters
    ----------
    pnl_usd, cost_usd : FloatArray
        Sums; costs (fees and slippage, the book's own trades among them) are positive when paid.
    mean_usd, std_usd : FloatArray
        Of a step.
    cvar95_usd : FloatArray
        Mean of the worst 5 % of steps, at least one of them; a loss is negative.
    """

    pnl_usd: FloatArray
    cost_usd: FloatArray
    mean_usd: FloatArray
    std_usd: FloatArray
    cvar95_usd: FloatArray


def step_figures(pnl: FloatArray, cost: FloatArray) -> StepFigures:
    """Work out the figures of steps.

    Parameters
    ----------
    pnl, cost : FloatArray, shape (..., n)
        USD per step, n >= 2.
    """
    count = max(1, int(np.ceil(_TAIL * pnl.shape[-1])))
    worst = np.sort(np.partition(pnl, count - 1, axis=-1)[..., :count], axis=-1)
    return StepFigures(
        pnl_usd=pnl.sum(axis=-1),
        cost_usd=cost.sum(axis=-1),
        mean_usd=pnl.mean(axis=-1),
        std_usd=pnl.std(axis=-1, ddof=1),
        cvar95_usd=worst.mean(axis=-1),
    )


def scores(criterion: str, own: StepFigures, baseline: StepFigures) -> FloatArray:
    """Score by a criterion, higher = better; NaN where it is not defined.

    Parameters
    ----------
    criterion : str
        ``sharpe``: mean over standard deviation of a step, net of cost, not annualised.
        ``cvar95``: `StepFigures.cvar95_usd`.
        ``std``: less the standard deviation.
        ``variance_per_cost``: variance removed against the baseline per USD of cost.
    own, baseline : StepFigures

    Raises
    ------
    ConfigError
        If the criterion is unknown.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if criterion == "sharpe":
            return _finite(own.mean_usd / own.std_usd)
        if criterion == "cvar95":
            return own.cvar95_usd
        if criterion == "std":
            return -own.std_usd
        if criterion == "variance_per_cost":
            return _finite((baseline.std_usd**2 - own.std_usd**2) / own.cost_usd)
    raise ConfigError(f"unknown criterion {criterion!r}")


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.nan)


def max_drawdown(pnl: FloatArray) -> FloatArray:
    """Deepest fall of the sum below its highest value so far, negative or 0; shape (..., n) to (...)."""
    path = np.concatenate([np.zeros((*pnl.shape[:-1], 1)), np.cumsum(pnl, axis=-1)], axis=-1)
    return np.asarray((path - np.maximum.accumulate(path, axis=-1)).min(axis=-1))


def block_indices(
    lengths: tuple[int, ...], block: int, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of resamples in circular blocks that never cross the border of two periods.

    Parameters
    ----------
    lengths : tuple of int
        Steps of each period.
    block : int
        Cut to half the length of a short period: one block would be no resample.
    resamples : int
    rng : np.random.Generator

    Returns
    -------
    np.ndarray of int, shape (resamples, sum of lengths)

    References
    ----------
    Politis and Romano (1992), circular blocks: every step is drawn equally often, so that the mean of the
    resamples is that of the sample. Within periods because each begins with a new book.
    """
    parts, start = [], 0
    for length in lengths:
        size = block_length(length, block)
        firsts = rng.integers(0, length, size=(resamples, -(-length // size)))
        inside = (firsts[:, :, None] + np.arange(size)).reshape(resamples, -1)[:, :length] % length
        parts.append(start + inside)
        start += length
    return np.concatenate(parts, axis=1)


def block_length(length: int, block: int) -> int:
    """Steps in a block of a period of that many steps: at most half of it, at least one."""
    return max(1, min(block, length // 2))


def spread_correction(lengths: tuple[int, ...], block: int) -> float:
    """What makes up for blocks that know only the spread around their own sample's mean.

    Of L steps in blocks of b, resamples vary by ``(L − b) / L`` of the variance of a mean.
    """
    steps = sum(lengths)
    lost = sum(block_length(length, block) for length in lengths)
    return float(np.sqrt(steps / max(steps - lost, 1)))
