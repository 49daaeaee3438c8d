"""The skew-stickiness ratio measured: how the vol at the money moved with the forward, against the skew.

After a move u of ln F the vol at the money moves by R·skew·u; R is the slope of the one against the other
over recorded steps, by tenor, with intervals of a block bootstrap. ``dynamics`` says what R does.

References
----------
Bergomi (2009), "Smile dynamics IV", Risk, December.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.surface.dynamics import SkewStickiness

__all__ = ["SkewStickinessEstimate", "estimate_skew_stickiness"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewStickinessEstimate:
    """A measured skew-stickiness ratio per tenor, arrays of shape (n,).

    Parameters
    ----------
    taus, ssr : FloatArray
        Years; estimate.
    lower, upper : FloatArray
        Block-bootstrap interval of probability `level`; infinite where the skew is so small that resamples
        disagree on its sign and the ratio is not identified.
    level : float
    r_squared : FloatArray
        Share of the squared vol moves at the money that R·𝒮·u explains, 1 − Σ(Δσ − R𝒮u)²/Σ Δσ².
    n_steps, n_left_out : IntArray
        Steps used, and steps left out for a gap or a number that is not finite.
    """

    taus: FloatArray
    ssr: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: float
    r_squared: FloatArray
    n_steps: IntArray
    n_left_out: IntArray

    def rule(self, *, shrink: float = 0.0) -> SkewStickiness:
        """As a rule of dynamics, drawn towards sticky strike by the share `shrink` in [0, 1].

        Raises
        ------
        ConfigError
            If `shrink` lies outside [0, 1].
        """
        if not 0.0 <= shrink <= 1.0:
            raise ConfigError(f"expected shrink in [0, 1], found {shrink}")
        return SkewStickiness(ssr=1.0 + (1.0 - shrink) * (self.ssr - 1.0), taus=self.taus)


def estimate_skew_stickiness(
    times: ArrayLike,
    forwards: ArrayLike,
    atm_vols: ArrayLike,
    skews: ArrayLike,
    *,
    taus: ArrayLike,
    rng: np.random.Generator,
    max_step_hours: float = 9.0,
    block: int = 8,
    resamples: int = 2000,
    level: float = 0.9,
) -> SkewStickinessEstimate:
    """Measure the skew-stickiness ratio per tenor from a history of surfaces.

    Parameters
    ----------
    times : array_like of int, shape (m,)
        Nanoseconds since the epoch, ascending.
    forwards, atm_vols, skews : array_like, shape (m, n)
        At constant tenors: forward in USD, vol at the forward, and `atm_skew`. NaN where a tenor is missing.
    taus : array_like, shape (n,)
        The tenors, years, ascending.
    rng : numpy.random.Generator
        For the intervals.
    max_step_hours : float
        Longer steps are left out.
    block : int
        Steps per block of the moving block bootstrap; all tenors are drawn together.
    resamples : int
    level : float
        Probability of the intervals.

    Returns
    -------
    SkewStickinessEstimate

    Raises
    ------
    ConfigError
        If a setting is out of range.
    DataError
        If shapes differ, times do not ascend, a forward or vol is not positive, or a tenor has fewer steps
        than two blocks.

    Notes
    -----
    R = Σ Δσ·u / Σ 𝒮·u² with 𝒮 before the step (after Bergomi 2009): u is the instrument, so that noise in the
    skew does not bias R as it would a regression of Δσ on 𝒮u.
    """
    if block < 1 or resamples < 100 or not 0.0 < level < 1.0 or not max_step_hours > 0.0:
        raise ConfigError(
            "expected block >= 1, resamples >= 100, level in (0, 1) and max_step_hours > 0, "
            f"found {block}, {resamples}, {level}, {max_step_hours}"
        )
    years, moves, changes, skew, used = _steps(times, forwards, atm_vols, skews, taus, max_step_hours)
    counts = used.sum(axis=0)
    if counts.min() < 2 * block:
        raise DataError(
            f"expected at least two blocks of {block} steps at every tenor, found {counts.tolist()} steps; "
            "give a longer history or leave the tenor out"
        )
    above, below = changes * moves, skew * moves * moves
    ratio = above.sum(axis=0) / below.sum(axis=0)
    weight = _block_counts(moves.shape[0], block, resamples, rng)
    bottoms = weight @ below
    draws = (weight @ above) / np.where(bottoms == 0.0, np.nan, bottoms)
    identified = (np.sign(bottoms) == np.sign(below.sum(axis=0))).all(axis=0)
    tail = 0.5 * (1.0 - level)
    lower, upper = np.quantile(np.where(identified, draws, 0.0), (tail, 1.0 - tail), axis=0)
    left = changes - ratio * skew * moves
    return SkewStickinessEstimate(
        taus=years,
        ssr=ratio,
        lower=np.where(identified, lower, -np.inf),
        upper=np.where(identified, upper, np.inf),
        level=level,
        r_squared=1.0 - (left * left).sum(axis=0) / (changes * changes).sum(axis=0),
        n_steps=counts.astype(np.int64),
        n_left_out=(used.shape[0] - counts).astype(np.int64),
    )


def _steps(
    times: ArrayLike,
    forwards: ArrayLike,
    atm_vols: ArrayLike,
    skews: ArrayLike,
    taus: ArrayLike,
    max_step_hours: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Tenors, log moves, vol changes, skews before the step (all 0 where not used) and what is used."""
    ts, years = np.asarray(times, dtype=np.int64), np.asarray(taus, dtype=np.float64)
    forward, vol, skew = (np.asarray(values, dtype=np.float64) for values in (forwards, atm_vols, skews))
    shape = (ts.size, years.size)
    if ts.ndim != 1 or years.ndim != 1 or any(a.shape != shape for a in (forward, vol, skew)):
        raise DataError(
            f"expected forwards, atm_vols and skews of shape {shape} (times, tenors), found {forward.shape}, "
            f"{vol.shape} and {skew.shape}"
        )
    if (np.diff(ts) <= 0).any():
        raise DataError("expected times in strictly ascending order; sort the snapshots")
    if (forward <= 0.0).any() or (vol <= 0.0).any():
        raise DataError("expected positive forwards and vols, NaN where missing; found one at or below 0")
    moves, changes = np.diff(np.log(forward), axis=0), np.diff(vol, axis=0)
    used = np.isfinite(moves) & np.isfinite(changes) & np.isfinite(skew[:-1])
    used &= (np.diff(ts) <= max_step_hours * NS_PER_HOUR)[:, None]
    moves, changes, skew = (np.where(used, values, 0.0) for values in (moves, changes, skew[:-1]))
    return years, moves, changes, skew, used


def _block_counts(n: int, block: int, resamples: int, rng: np.random.Generator) -> FloatArray:
    """How often each step occurs in each resample of a moving block bootstrap, shape (resamples, n)."""
    starts = rng.integers(0, n - block + 1, size=(resamples, -(-n // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :n]
    at = drawn + n * np.arange(resamples)[:, None]
    return np.bincount(at.ravel(), minlength=n * resamples).reshape(resamples, n).astype(np.float64)
