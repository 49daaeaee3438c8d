"""How a shock moves the forward and the vol of a leg: shared by scenario grids and stresses."""

from dataclasses import replace
from enum import StrEnum

import numpy as np
from scipy.special import ndtr

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray
from ivhedge.risk.legs import Legs, LegStatus
from ivhedge.risk.marks import INTRINSIC_VOL, ConservativeMarks
from ivhedge.surface.base import VolSurface
from ivhedge.surface.dynamics import SmileRule, StickyMoneyness, StickyStrike, moved_vol

__all__ = [
    "SmileDynamics",
    "TimeRoll",
    "VolShock",
    "futures_pnl",
    "mend_legs",
    "moved_vols",
    "named_rule",
    "readable",
    "skew_shape",
]


class SmileDynamics(StrEnum):
    """How the smile moves when the forward moves, by name; `ivhedge.surface.dynamics` has the rules."""

    STICKY_MONEYNESS = "sticky_moneyness"
    STICKY_STRIKE = "sticky_strike"

    @property
    def rule(self) -> SmileRule:
        """The rule of that name."""
        return StickyStrike() if self is SmileDynamics.STICKY_STRIKE else StickyMoneyness()


class VolShock(StrEnum):
    """How a vol shock is applied: ``vol · (1 + shock)`` or ``vol + shock / 100``."""

    RELATIVE = "relative"
    POINTS = "points"


class TimeRoll(StrEnum):
    """What happens to vols as time passes: the surface keeps its shape by tenor, or each expiry its smile."""

    TENOR = "tenor"
    EXPIRY = "expiry"


def skew_shape(forward: ArrayLike, strike: ArrayLike, tau: ArrayLike, vol: ArrayLike) -> FloatArray:
    """Vol points that a strike gains per point of 25-delta risk reversal: ``1 − 2·N(d1)``.

    Linear in call delta: 0 at d1 = 0, ½ at the 25-delta call, −½ at the 25-delta put, at most 1 in the
    wings. 0 where the total vol is.
    """
    F, K, tau_, vol_ = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (forward, strike, tau, vol)))
    deviation = vol_ * np.sqrt(tau_)
    usable = np.where(deviation > 0.0, deviation, 1.0)
    shape = 1.0 - 2.0 * ndtr(np.log(F / K) / usable + 0.5 * usable)
    return np.asarray(np.where(deviation > 0.0, shape, 0.0))


def futures_pnl(legs: Legs, rows: IntArray, spots: FloatArray) -> tuple[FloatArray, FloatArray]:
    """P&L of futures legs in USD and in coin, shape (n, m).

    Parameters
    ----------
    legs : Legs
    rows : IntArray, shape (m,)
        Priced futures and perpetuals.
    spots : FloatArray, shape (n,) or (n, m)
        Relative moves.
    """
    size, forward, inverse = legs.size[rows], legs.forward[rows], legs.is_inverse[rows]
    shocked = (1.0 + (spots if spots.ndim == 2 else spots[:, None])) * forward
    inverse_coin = size * (1.0 / forward - 1.0 / shocked)
    linear_usd = size * (shocked - forward)
    moved = legs.index[rows] * shocked / forward
    usd = np.where(inverse, inverse_coin * moved, linear_usd)
    coin = np.where(inverse, inverse_coin, linear_usd / moved)
    return usd, coin


def moved_vols(
    legs: Legs,
    rows: IntArray,
    surface: VolSurface | None,
    spots: FloatArray,
    rule: SmileRule,
    tau: FloatArray,
    roll: TimeRoll,
) -> FloatArray:
    """Vols of option legs after a move of their forwards and a time, before any vol shock.

    Parameters
    ----------
    legs : Legs
    rows : IntArray, shape (m,)
        Priced option legs of one underlying.
    surface : VolSurface or None
    spots : FloatArray, shape (n,)
        Relative moves.
    rule : SmileRule
    tau : FloatArray, shape (m,)
        Years left at the horizon, 0 for what has expired by then.
    roll : TimeRoll

    Returns
    -------
    FloatArray, shape (m,) or (n, m)
        The former where a strike keeps its vol.
    """
    held, years = legs.closing_vol[rows], legs.tau[rows]
    at = years if roll is TimeRoll.EXPIRY else tau
    fixed = isinstance(rule, StickyStrike) and np.array_equal(at, years)
    if rows.size == 0 or surface is None or fixed:
        return held
    # Conservative marks are not the surface's, and what has expired needs no vol.
    own = (tau <= 0.0) | legs.marked[rows]
    moneyness = np.log(legs.strike[rows] / legs.forward[rows])
    moves = 0.0 if isinstance(rule, StickyStrike) else np.log1p(spots)[:, None]
    read = moved_vol(surface, rule, moneyness, np.where(own, years, at), moves)
    return np.where(own, held, read)


def readable(vol: FloatArray) -> BoolArray:
    """Legs whose vol is a number at every spot, shape (m,)."""
    return np.asarray(np.atleast_2d((vol >= 0.0) & (vol < np.inf)).all(axis=0))


def mend_legs(
    legs: Legs,
    rows: IntArray,
    good: BoolArray,
    moved: list[FloatArray],
    rule: ConservativeMarks | None,
) -> tuple[Legs, BoolArray, list[FloatArray]]:
    """Treat legs without a vol after some shock: they leave every cell, or take a conservative vol in all.

    Returns
    -------
    (legs, kept, moved)
        Legs with their new status, which of the rows are kept, and the vols.
    """
    if good.all():
        return legs, good, moved
    status = list(legs.status)
    for row in rows[~good].tolist():
        status[row] = LegStatus.NO_VOL
    if rule is None:
        return replace(legs, status=tuple(status)), good, moved
    vol = np.where(legs.size[rows] >= 0.0, INTRINSIC_VOL, np.maximum(legs.vol[rows], rule.short_vol_floor))
    for row in rows[~good].tolist():
        status[row] = LegStatus.CONSERVATIVE
    mended = [np.where(good, found, vol) for found in moved]
    return replace(legs, status=tuple(status)), np.ones_like(good), mended


def named_rule(dynamics: SmileDynamics | SmileRule | str) -> tuple[SmileDynamics | SmileRule, SmileRule]:
    """Dynamics as they were asked for, and their rule.

    Raises
    ------
    ConfigError
        If the name is unknown or the object is no rule.
    """
    if isinstance(dynamics, str):
        try:
            named = SmileDynamics(dynamics)
        except ValueError as exc:
            names = ", ".join(SmileDynamics)
            raise ConfigError(f"expected smile dynamics {names} or a rule, found {dynamics!r}") from exc
        return named, named.rule
    if not callable(getattr(dynamics, "ssr_at", None)):
        raise ConfigError(
            f"expected smile dynamics by name or a rule with ssr_at, found {type(dynamics).__name__}"
        )
    return dynamics, dynamics
