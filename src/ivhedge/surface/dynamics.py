"""How a smile moves when the forward moves: one number per tenor, the skew-stickiness ratio R.

Let u = ln(F'/F) be the move of the forwards, k = ln(K/F) before it and k' = k − u after it. The rule is

    σ'(k', τ) = σ(k' + R(τ)·u, τ),    hence for a fixed strike    σ'_K = σ(k + (R − 1)·u, τ).

At the money dσ_ATM/d ln F = R·𝒮 with 𝒮 = ∂σ/∂k at k = 0, which is Bergomi's definition of R; at a fixed
strike dσ_K/d ln F = (R − 1)·∂σ/∂k.

| R | rule |
|---|---|
| 0 | sticky moneyness: the smile travels with the forward, the vol at the money stays |
| 1 | sticky strike: each strike keeps its vol, the vol at the money slides along the smile |
| 2 | short-dated limit of a local-vol model |

For R = 0 and R = 1 the rule is exact for moves of any size; between and beyond it is the shift that agrees to
first order. The moved smile is a shift of the old one in ln K, which can create butterfly arbitrage when the
move is large, and calendar arbitrage when R differs by tenor: `certify` a moved surface before it is
published.

References
----------
Bergomi (2009), Smile dynamics IV. Bergomi (2016), Stochastic volatility modeling, chapter 9.
Derman (1999), Regimes of volatility.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.pricing import black76_greeks
from ivhedge.surface.base import VolSurface
from ivhedge.surface.certificate import DifferentiableSurface
from ivhedge.surface.density import smile_derivatives

__all__ = [
    "MovedSurface",
    "SkewStickiness",
    "SmileDelta",
    "SmileRule",
    "StickyMoneyness",
    "StickyStrike",
    "atm_skew",
    "fixed_strike_vol_slope",
    "minimum_variance_delta",
    "move_surface",
    "moved_vol",
]


class SmileRule(Protocol):
    """A rule of smile dynamics: its skew-stickiness ratio at any time to expiry."""

    def ssr_at(self, tau: ArrayLike) -> FloatArray:
        """Skew-stickiness ratio R, of the shape of `tau` (years)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyStrike:
    """Each strike keeps its vol: R = 1."""

    def ssr_at(self, tau: ArrayLike) -> FloatArray:
        """1 at every tenor."""
        return np.ones(np.shape(tau))


@dataclass(frozen=True, slots=True, kw_only=True)
class StickyMoneyness:
    """The smile travels with the forward: R = 0."""

    def ssr_at(self, tau: ArrayLike) -> FloatArray:
        """0 at every tenor."""
        return np.zeros(np.shape(tau))


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewStickiness:
    """A skew-stickiness ratio, constant or per tenor.

    Parameters
    ----------
    ssr : float or FloatArray, shape (n,)
        R; with `taus` linear in tau between tenors and flat outside them.
    taus : FloatArray, shape (n,), optional
        Years, strictly ascending, positive.

    Raises
    ------
    ConfigError
        If a number is not finite, shapes differ, or the tenors do not ascend.
    """

    ssr: float | FloatArray
    taus: FloatArray | None = None

    def __post_init__(self) -> None:
        ratio = np.array(self.ssr, dtype=np.float64)
        taus = None if self.taus is None else np.array(self.taus, dtype=np.float64)
        if not np.isfinite(ratio).all():
            raise ConfigError(f"expected a finite skew-stickiness ratio, found {ratio.tolist()}")
        if taus is None:
            if ratio.ndim:
                raise ConfigError(f"expected taus beside {ratio.size} ratios; pass one per tenor")
            object.__setattr__(self, "ssr", float(ratio))
            return
        ascending = taus.ndim == 1 and taus.size and taus[0] > 0.0 and (np.diff(taus) > 0.0).all()
        if not ascending or ratio.shape != taus.shape or not np.isfinite(taus).all():
            raise ConfigError(
                f"expected one ratio per tenor and tenors ascending above 0, found {ratio.shape} ratios for "
                f"{taus.tolist()}"
            )
        for name, values in (("ssr", ratio), ("taus", taus)):
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def ssr_at(self, tau: ArrayLike) -> FloatArray:
        """R at some times to expiry."""
        if self.taus is None:
            return np.full(np.shape(tau), self.ssr)
        return np.asarray(np.interp(np.asarray(tau, dtype=np.float64), self.taus, np.asarray(self.ssr)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedSurface:
    """A surface after every forward has moved by the same relative amount, no time having passed.

    Parameters
    ----------
    base : VolSurface
    rule : SmileRule
    log_move : float
        ln(F'/F).
    """

    base: VolSurface
    rule: SmileRule
    log_move: float

    @property
    def underlying(self) -> str:
        """Coin the surface belongs to."""
        return self.base.underlying

    @property
    def ts_ns(self) -> int:
        """Time of the surface, nanoseconds since the epoch, UTC."""
        return self.base.ts_ns

    @property
    def expiries(self) -> IntArray:
        """Fitted expiries of the base."""
        return self.base.expiries

    def _before(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        k = np.asarray(log_moneyness, dtype=np.float64)
        return np.asarray(k + self.rule.ssr_at(tau) * self.log_move)

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Total implied variance at moneyness on the moved forward."""
        return self.base.total_variance(self._before(log_moneyness, tau), tau)

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Implied volatility at moneyness on the moved forward, decimal."""
        return self.base.implied_vol(self._before(log_moneyness, tau), tau)

    def forward(self, tau: ArrayLike) -> FloatArray:
        """Moved forward, USD."""
        return np.asarray(self.base.forward(tau) * np.exp(self.log_move))


class _DifferentiableMovedSurface(MovedSurface):
    """The same where the base knows its derivatives: a shift keeps them."""

    __slots__ = ()

    def derivatives(
        self, log_moneyness: ArrayLike, tau: ArrayLike
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        return smile_derivatives(self.base, self._before(log_moneyness, tau), tau)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmileDelta:
    """Deltas that count the move of the smile, in coin, arrays of the broadcast shape.

    Parameters
    ----------
    delta_usd : FloatArray
        dV/dF of the value in USD, the vol of the strike moving by the rule.
    delta_coin : FloatArray
        The same less V/F: what hedges the value counted in coin.
    adjustment : FloatArray
        Part of both that the rule adds to Black-76: vega·dσ_K/dF. 0 for sticky strike.
    """

    delta_usd: FloatArray
    delta_coin: FloatArray
    adjustment: FloatArray


def atm_skew(surface: VolSurface, tau: ArrayLike) -> FloatArray:
    """Skew 𝒮 = ∂σ/∂k at the forward, per unit of log-moneyness.

    Raises
    ------
    ConfigError
        If a tau is not positive and finite.
    """
    years = np.asarray(tau, dtype=np.float64)
    return _vol_slope(surface, np.zeros_like(years), years)


def move_surface(surface: VolSurface, rule: SmileRule, log_move: float) -> MovedSurface:
    """Surface after all forwards have moved by a factor exp(log_move).

    Parameters
    ----------
    surface : VolSurface
    rule : SmileRule
    log_move : float
        ln(F'/F); at 0 the result equals the surface.

    Returns
    -------
    MovedSurface
        A `VolSurface`, with closed-form derivatives if `surface` has them; not certified.

    Raises
    ------
    ConfigError
        If the move is not finite.
    """
    if not np.isfinite(log_move):
        raise ConfigError(f"expected a finite log move, found {log_move}")
    differentiable = isinstance(surface, DifferentiableSurface)
    kind = _DifferentiableMovedSurface if differentiable else MovedSurface
    return kind(base=surface, rule=rule, log_move=float(log_move))


def moved_vol(
    surface: VolSurface, rule: SmileRule, log_moneyness: ArrayLike, tau: ArrayLike, log_move: ArrayLike
) -> FloatArray:
    """Vol of fixed strikes after the forward has moved.

    Parameters
    ----------
    surface : VolSurface
        Before the move.
    rule : SmileRule
    log_moneyness : array_like
        ``ln(K / F)`` on the forward before the move; all arguments broadcast.
    tau : array_like
        Years.
    log_move : array_like
        ln(F'/F).
    """
    k, years = np.asarray(log_moneyness, dtype=np.float64), np.asarray(tau, dtype=np.float64)
    shift = (rule.ssr_at(years) - 1.0) * np.asarray(log_move, dtype=np.float64)
    return np.asarray(surface.implied_vol(k + shift, years))


def fixed_strike_vol_slope(
    surface: VolSurface, rule: SmileRule, log_moneyness: ArrayLike, tau: ArrayLike
) -> FloatArray:
    """Change of the vol of a fixed strike per unit of log forward, (R − 1)·∂σ/∂k; over F it is dσ_K/dF.

    Raises
    ------
    ConfigError
        If a tau is not positive and finite.
    """
    k, years = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
    return np.asarray((rule.ssr_at(years) - 1.0) * _vol_slope(surface, k, years))


def minimum_variance_delta(
    surface: VolSurface, rule: SmileRule, strike: ArrayLike, tau: ArrayLike, is_call: ArrayLike
) -> SmileDelta:
    """Delta that leaves no exposure to the part of the vol move that the forward explains.

    Parameters
    ----------
    surface : VolSurface
    rule : SmileRule
    strike : array_like
        USD; all arguments broadcast.
    tau : array_like
        Years, positive.
    is_call : array_like of bool

    Returns
    -------
    SmileDelta

    Raises
    ------
    ConfigError
        If a tau is not positive and finite.

    Notes
    -----
    delta = N(d1) (put: N(d1) − 1) + vega/F·(R − 1)·∂σ/∂k. It minimises the variance of the hedged move when
    R is the regression beta of the vol move, as `estimate_skew_stickiness` measures it.
    """
    K, years, call = np.broadcast_arrays(
        np.asarray(strike, float), np.asarray(tau, float), np.asarray(is_call)
    )
    forward = np.asarray(surface.forward(years))
    k = np.log(K / forward)
    greeks = black76_greeks(forward, K, years, surface.implied_vol(k, years), call)
    adjustment = greeks["vega"] / forward * fixed_strike_vol_slope(surface, rule, k, years)
    delta = greeks["delta"] + adjustment
    return SmileDelta(
        delta_usd=np.asarray(delta),
        delta_coin=np.asarray(delta - greeks["price"] / forward),
        adjustment=np.asarray(adjustment),
    )


def _vol_slope(surface: VolSurface, k: FloatArray, years: FloatArray) -> FloatArray:
    w, slope, _ = smile_derivatives(surface, k, years)
    return np.asarray(0.5 * slope / np.sqrt(w * years))
