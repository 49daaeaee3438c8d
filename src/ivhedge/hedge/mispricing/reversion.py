"""How fast quotes come back to their fair value."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import FloatArray, IntArray

__all__ = ["Reversion", "estimate_reversion"]

_COLUMNS = ("ts", "venue", "instrument_name", "deviation", "half_spread")
_LIVES = np.concatenate((np.geomspace(0.05, 1000.0, 400), [np.inf]))  # in median gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversion:
    """Decay of deviations from fair: ``d(t + T) = d(t) 2**(-T / half_life_s)`` on average.

    Parameters
    ----------
    half_life_s : float
        Above 0; infinite for deviations that stay.
    low_s, high_s : float
        95 % interval; equal to the half-life where it is an assumption.
    n : int
        Pairs of observations; 0 for an assumption.
    """

    half_life_s: float
    low_s: float
    high_s: float
    n: int

    def __post_init__(self) -> None:
        if not (self.half_life_s > 0.0 and self.low_s > 0.0 and self.high_s >= self.low_s):
            raise ConfigError(
                f"expected half-lives above 0 in order, found {self.low_s}, {self.half_life_s}, {self.high_s}"
            )

    @classmethod
    def assumed(cls, half_life_s: float) -> "Reversion":
        """A half-life that was not measured."""
        return cls(half_life_s=half_life_s, low_s=half_life_s, high_s=half_life_s, n=0)

    def share(self, horizon_s: float) -> float:
        """Share of a deviation that is gone after a time, by the slow end of the interval."""
        return 1.0 - float(2.0 ** (-horizon_s / self.high_s)) if isfinite(self.high_s) else 0.0


def estimate_reversion(
    history: pl.DataFrame,
    *,
    rng: np.random.Generator,
    max_gap_s: float,
    threshold: float = 1.0,
    n_boot: int = 400,
    blocks: int = 20,
) -> Reversion:
    """Measure the half-life on deviations that stood out, one observation to the instrument's next.

    Parameters
    ----------
    history : pl.DataFrame
        ``ts`` (datetime), ``venue``, ``instrument_name``, ``deviation`` and ``half_spread`` (decimal vol),
        one row per quote judged.
    rng : np.random.Generator
        For the bootstrap.
    max_gap_s : float
        Longest time between two observations of a pair.
    threshold : float
        Half-spreads from which a deviation counts.
    n_boot : int
    blocks : int
        Blocks of consecutive times drawn with replacement.

    Returns
    -------
    Reversion
        By least squares over pairs, ``d1 = d0 2**(-T/h)``. A deviation that was half noise of the observation
        loses that half at once, and so it should: it was never to be had.

    Raises
    ------
    DataError
        If columns are missing.
    EmptyData
        If fewer than 30 pairs or 5 times remain.
    """
    missing = [name for name in _COLUMNS if name not in history.columns]
    if missing:
        raise DataError(f"expected columns {list(_COLUMNS)}, missing {missing}")
    if not (n_boot >= 1 and blocks >= 2 and max_gap_s > 0.0):
        raise ConfigError(
            "expected n_boot from 1 on, blocks from 2 on and max_gap_s above 0, found "
            f"{n_boot}, {blocks} and {max_gap_s}"
        )
    pairs = (
        history.filter(pl.col("deviation").is_finite() & (pl.col("half_spread") > 0.0))
        .sort("ts")
        .with_columns(
            pl.col("deviation").shift(-1).over("venue", "instrument_name").alias("next"),
            (pl.col("ts").shift(-1).over("venue", "instrument_name") - pl.col("ts")).alias("gap"),
        )
        .with_columns(pl.col("gap").dt.total_nanoseconds() / 1e9)
        .filter(
            pl.col("next").is_not_null()
            & (pl.col("gap") > 0.0)
            & (pl.col("gap") <= max_gap_s)
            & (pl.col("deviation").abs() > threshold * pl.col("half_spread"))
        )
    )
    times = pairs["ts"].n_unique()
    if pairs.height < 30 or times < 5:
        raise EmptyData(
            f"expected 30 pairs of observations at 5 times, found {pairs.height} at {times}; give more "
            "history, a longer max_gap_s or a lower threshold, or use Reversion.assumed"
        )
    scale = pairs["half_spread"].to_numpy()
    first, second = pairs["deviation"].to_numpy() / scale, pairs["next"].to_numpy() / scale
    gap = pairs["gap"].to_numpy()
    order = pairs["ts"].rank("dense").to_numpy().astype(np.int64) - 1
    block = order * min(blocks, times) // times
    sums = _sums(first, second, gap, block)
    unit = float(np.median(gap))
    found = _half_life(sums.sum(axis=0), unit)
    draws = rng.integers(0, sums.shape[0], (n_boot, sums.shape[0]))
    lives = np.array([_half_life(sums[d].sum(axis=0), unit) for d in draws])
    low, high = np.quantile(lives, [0.025, 0.975], method="lower")
    return Reversion(
        half_life_s=found, low_s=float(min(low, found)), high_s=float(max(high, found)), n=pairs.height
    )


def _sums(first: FloatArray, second: FloatArray, gap: FloatArray, block: IntArray) -> FloatArray:
    """Squared error of each half-life, by block, shape (blocks, half-lives)."""
    power = gap / np.median(gap)
    sums = np.zeros((int(block.max()) + 1, _LIVES.size))
    # Outliers of the next observation are not to decide.
    limit = 3.0 * np.abs(first)
    bounded = np.clip(second, -limit, limit)
    for i, life in enumerate(_LIVES):
        np.add.at(sums[:, i], block, (bounded - first * 2.0 ** (-power / life)) ** 2)
    return sums


def _half_life(sums: FloatArray, unit: float) -> float:
    return float(unit * _LIVES[int(np.argmin(sums))])
