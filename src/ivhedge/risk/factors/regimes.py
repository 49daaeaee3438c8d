"""Calm or stressed: two states with hysteresis, from what is known at each time.

Stress begins when the vol at the money reaches `enter_vol`, or the spot moves by `enter_move` of the standard
deviations that the vol before the move allows. It ends when the vol is below `leave_vol` and `hold_days` have
passed since the last such move.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY
from ivhedge.risk.panel import SurfacePanel

__all__ = ["Regime", "RegimeRule", "regime_rule", "stressed_times"]


class Regime(StrEnum):
    """Which steps a covariance counts."""

    ALL = "all"
    CALM = "calm"
    STRESSED = "stressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeRule:
    """When stress begins and ends.

    Parameters
    ----------
    enter_vol, leave_vol : float
        Vol at the money, decimal; 0 < leave_vol <= enter_vol.
    enter_move : float
        Standard deviations.
    hold_days : float
        At least this long after a large move.

    Raises
    ------
    ConfigError
        If a number is not as said.
    """

    enter_vol: float
    leave_vol: float
    enter_move: float = 3.0
    hold_days: float = 3.0

    def __post_init__(self) -> None:
        good = (
            0.0 < self.leave_vol <= self.enter_vol < np.inf
            and self.enter_move > 0.0
            and self.hold_days >= 0.0
        )
        if not good:
            raise ConfigError(
                "expected 0 < leave_vol <= enter_vol, enter_move > 0 and hold_days >= 0, found "
                f"{self.leave_vol}, {self.enter_vol}, {self.enter_move}, {self.hold_days}"
            )


def regime_rule(
    panel: SurfacePanel, *, tenor_days: float = 30.0, enter: float = 0.8, leave: float = 0.65
) -> RegimeRule:
    """Rule with the vol levels at quantiles of a history; use one that ends before it is judged.

    Raises
    ------
    ConfigError
        If the quantiles are not ``0 < leave <= enter < 1`` or the panel lacks the tenor.
    """
    if not 0.0 < leave <= enter < 1.0:
        raise ConfigError(f"expected 0 < leave <= enter < 1, found {leave}, {enter}")
    vol = _vol(panel, tenor_days)
    low, high = np.quantile(vol[np.isfinite(vol)], (leave, enter))
    return RegimeRule(enter_vol=float(high), leave_vol=float(low))


def stressed_times(panel: SurfacePanel, rule: RegimeRule, *, tenor_days: float = 30.0) -> BoolArray:
    """Whether each time of a panel is stressed, shape (T,); a step takes the state at its start.

    Raises
    ------
    ConfigError
        If the panel lacks the tenor.
    DataError
        If the tenor is missing at a time.
    """
    vol = _vol(panel, tenor_days)
    if not np.isfinite(vol).all():
        raise DataError(
            f"{panel.underlying}: expected a vol at {tenor_days:g} days at every time; fit the tenor"
        )
    days = np.diff(panel.ts_ns) / NS_PER_DAY
    moves = np.abs(np.diff(np.log(panel.spot))) / (vol[:-1] * np.sqrt(days / DAYS_PER_YEAR))
    return hysteresis(panel.ts_ns, vol, np.concatenate(([0.0], moves)), rule)


def hysteresis(times: ArrayLike, vol: FloatArray, moves: FloatArray, rule: RegimeRule) -> BoolArray:
    """States from times (ns), vols and moves in standard deviations, each of shape (T,)."""
    ends = np.asarray(times, dtype=np.int64)
    states = np.zeros(ends.size, dtype=np.bool_)
    stressed, last_move = False, -np.inf
    for i in range(ends.size):
        if moves[i] >= rule.enter_move:
            last_move = float(ends[i])
        held = ends[i] - last_move < rule.hold_days * NS_PER_DAY
        if vol[i] >= rule.enter_vol or moves[i] >= rule.enter_move:
            stressed = True
        elif stressed and vol[i] < rule.leave_vol and not held:
            stressed = False
        states[i] = stressed
    return states


def _vol(panel: SurfacePanel, tenor_days: float) -> FloatArray:
    at = np.flatnonzero(panel.tenor_days == tenor_days)
    if at.size == 0:
        raise ConfigError(f"expected a tenor of the panel, {panel.tenor_days.tolist()}, found {tenor_days:g}")
    return panel.atm_vols[:, int(at[0])]
