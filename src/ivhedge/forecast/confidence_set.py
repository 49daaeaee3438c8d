"""The model confidence set of Hansen, Lunde and Nason (2011), range statistic, block bootstrap."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray, IntArray

__all__ = ["ConfidenceSet", "block_indices", "model_confidence_set"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceSet:
    """Models that cannot be told from the best.

    Parameters
    ----------
    p_values : FloatArray, shape (models,)
        A model is in the set of level 1 − a when its value is at least a. The best has 1.
    eliminated : IntArray, shape (models,)
        Order of elimination, worst first, the survivor last.
    """

    p_values: FloatArray
    eliminated: IntArray

    def members(self, level: float = 0.9) -> IntArray:
        """Models inside the set of this confidence."""
        return np.asarray(np.flatnonzero(self.p_values >= 1.0 - level), dtype=np.int64)


def block_indices(days: int, block: int, draws: int, rng: np.random.Generator) -> IntArray:
    """Rows of circular block-bootstrap samples, shape (draws, days)."""
    blocks = -(-days // block)
    begin = rng.integers(0, days, size=(draws, blocks, 1))
    rows = (begin + np.arange(block)) % days
    return np.asarray(rows.reshape(draws, -1)[:, :days], dtype=np.int64)


def model_confidence_set(
    losses: FloatArray, rng: np.random.Generator, *, block: int = 10, draws: int = 1000
) -> ConfidenceSet:
    """Eliminate the worst model as long as equal accuracy is rejected; p-values for every model.

    Parameters
    ----------
    losses : FloatArray, shape (days, models)
    rng : numpy.random.Generator
    block : int
        Length of a bootstrap block in days, at least the horizon.
    draws : int

    Returns
    -------
    ConfidenceSet

    Raises
    ------
    DataError
        If losses are not finite.
    ConfigError
        If there are fewer than two models or the block does not fit.
    """
    losses = np.asarray(losses, dtype=np.float64)
    if losses.ndim != 2 or losses.shape[1] < 2:
        raise ConfigError(f"expected losses of days x at least 2 models, found shape {losses.shape}")
    if not np.all(np.isfinite(losses)):
        raise DataError("expected finite losses; leave out days that some model did not forecast")
    days, models = losses.shape
    if not 1 <= block <= days // 2 or draws < 100:
        raise ConfigError(f"expected a block of 1 to {days // 2} days and 100 draws, found {block}, {draws}")
    mean = losses.mean(axis=0)
    # Counts per day instead of resampled copies: one matrix product gives every bootstrap mean.
    rows = block_indices(days, block, draws, rng)
    counts = np.zeros((draws, days))
    np.add.at(counts, (np.arange(draws)[:, None], rows), 1.0)
    centred = counts @ losses / days - mean
    difference = mean[:, None] - mean[None, :]
    drawn = centred[:, :, None] - centred[:, None, :]
    spread = np.sqrt((drawn**2).mean(axis=0))
    # Two identical forecasts do not differ: no spread, no difference, ratio zero.
    safe = np.where(spread > 0.0, spread, 1.0)
    statistic = difference / safe
    drawn = np.abs(drawn) / safe
    alive = list(range(models))
    p_values, order, running = np.ones(models), [], 0.0
    while len(alive) > 1:
        inside = np.ix_(alive, alive)
        observed = float(np.abs(statistic[inside]).max())
        resampled = drawn[:, alive][:, :, alive].max(axis=(1, 2))
        running = max(running, float(np.mean(resampled >= observed)))
        worst = alive[int(np.argmax(statistic[inside].max(axis=1)))]
        p_values[worst] = running
        order.append(worst)
        alive.remove(worst)
    order.append(alive[0])
    return ConfidenceSet(p_values=p_values, eliminated=np.array(order, dtype=np.int64))
