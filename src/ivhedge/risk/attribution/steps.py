"""Single steps: time first, then an expansion with its exact second-order remainder.

Time is rolled first and exactly, then the move in forward and vol is expanded at the rolled time:

    theta     V(F0, σ0, τ1) − V(F0, σ0, τ0)
    delta     V_F · dF                                   vega   V_σ · dσ
    gamma     dF² ∫ (1−s) V_FF ds                        volga  dσ² ∫ (1−s) V_σσ ds
    vanna     2 dF dσ ∫ (1−s) V_Fσ ds
    residual  whatever is left

The integrals are the remainder of Taylor's theorem along the straight line from (F0, σ0) to (F1, σ1). They
are taken by Gauss-Jacobi quadrature; `nodes=0` evaluates them at the start, which is the classical
second-order expansion. The delta and vega terms stay those of the start, hence of the hedge that was held.
A coin-settled option is expanded as c = V / F in coin.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, StatusArray
from ivhedge.pricing import black76_greeks, coin_greeks
from ivhedge.risk.attribution.payoff import payoff, payoff_slope
from ivhedge.risk.marks import OptionMarks

__all__ = [
    "TERMS",
    "Attribution",
    "attribute_futures",
    "attribute_options",
    "attribute_path",
    "quadrature",
]

TERMS: Final = ("delta", "gamma", "theta", "vega", "vanna", "volga", "residual")
_GREEKS = ("price", "delta", "gamma", "vega", "vanna", "volga")
_COIN_GREEKS = ("price_coin", "c_F", "c_FF", "vega_coin", "vanna_coin", "volga_coin")
DEFAULT_NODES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Terms of the value change per leg, in each leg's settlement currency; they sum to `total`.

    Parameters
    ----------
    delta, gamma, theta, vega, vanna, volga, residual, total : FloatArray, shape (n,)
    status : StatusArray, shape (n,)
        The worse `MarkStatus` of the two ends.
    """

    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray
    vanna: FloatArray
    volga: FloatArray
    residual: FloatArray
    total: FloatArray
    status: StatusArray

    def sums(self) -> dict[str, float]:
        """Sum of each term and of the total over the legs, which must share a currency."""
        return {name: float(getattr(self, name).sum()) for name in (*TERMS, "total")}

    def table(self) -> pl.DataFrame:
        """One row per leg, one column per term."""
        return pl.DataFrame({name: getattr(self, name) for name in (*TERMS, "total", "status")})


def attribute_options(
    start: OptionMarks,
    end: OptionMarks,
    *,
    strike: ArrayLike,
    is_call: ArrayLike,
    is_coin: ArrayLike,
    size: ArrayLike,
    nodes: int = DEFAULT_NODES,
) -> Attribution:
    """Attribute the value change of options between two marks.

    Parameters
    ----------
    start, end : OptionMarks of n options
    strike, is_call, is_coin : array_like, shape (n,)
    size : array_like, shape (n,)
        Contracts times multiplier held over the whole step, positive = long.
    nodes : int
        Quadrature nodes for the second-order terms; 0 = Greeks at the start.

    Returns
    -------
    Attribution
        In coin where `is_coin`, else USD.

    Raises
    ------
    ConfigError
        If `nodes` is negative.

    Notes
    -----
    The terms and the residual sum to ``size · (price1 − price0)``. A step that ends at expiry has no vol
    move: the payoff's convexity is the gamma term. A leg without any vol is all residual.
    """
    if nodes < 0:
        raise ConfigError(f"expected nodes >= 0, found {nodes}")
    n = start.price.shape
    strike = np.broadcast_to(np.asarray(strike, dtype=np.float64), n)
    call, coin = (np.broadcast_to(np.asarray(a, dtype=np.bool_), n) for a in (is_call, is_coin))
    size = np.broadcast_to(np.asarray(size, dtype=np.float64), n)
    terms = {name: np.zeros(n) for name in TERMS}
    total = size * (end.price - start.price)
    known = np.isfinite(start.vol) & (start.tau > 0.0)
    alive = known & np.isfinite(end.vol) & (end.tau > 0.0)
    expiring = known & (end.tau <= 0.0)
    for rows, expand in ((np.flatnonzero(alive), _expand), (np.flatnonzero(expiring), _expand_to_payoff)):
        if rows.size:
            leg = _Step(
                strike=strike[rows],
                is_call=call[rows],
                is_coin=coin[rows],
                forward0=start.forward[rows],
                forward1=end.forward[rows],
                vol0=start.vol[rows],
                vol1=end.vol[rows],
                tau0=start.tau[rows],
                tau1=end.tau[rows],
            )
            for name, values in expand(leg, nodes).items():
                terms[name][rows] = size[rows] * values
    terms["residual"] = total - sum((terms[name] for name in TERMS[:-1]), np.zeros(n))
    return Attribution(**terms, total=total, status=np.maximum(start.status, end.status))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    strike: FloatArray
    is_call: BoolArray
    is_coin: BoolArray
    forward0: FloatArray
    forward1: FloatArray
    vol0: FloatArray
    vol1: FloatArray
    tau0: FloatArray
    tau1: FloatArray


def _expand(step: _Step, nodes: int) -> dict[str, FloatArray]:
    before = _derivatives(step, step.forward0, step.tau0, step.vol0)
    rolled = _derivatives(step, step.forward0, step.tau1, step.vol0)
    forward_move, vol_move = step.forward1 - step.forward0, step.vol1 - step.vol0
    second = {name: np.zeros_like(forward_move) for name in ("gamma", "vanna", "volga")}
    for s, weight in zip(*quadrature(nodes), strict=True):
        at = (
            rolled
            if s == 0.0
            else _derivatives(step, step.forward0 + s * forward_move, step.tau1, step.vol0 + s * vol_move)
        )
        for name in second:
            second[name] += weight * at[name]
    return {
        "theta": rolled["price"] - before["price"],
        "delta": rolled["delta"] * forward_move,
        "vega": rolled["vega"] * vol_move,
        "gamma": second["gamma"] * forward_move**2,
        "vanna": 2.0 * second["vanna"] * forward_move * vol_move,
        "volga": second["volga"] * vol_move**2,
    }


def _expand_to_payoff(step: _Step, nodes: int) -> dict[str, FloatArray]:
    before = _derivatives(step, step.forward0, step.tau0, step.vol0)
    terms = step.strike, step.is_call, step.is_coin
    rolled, final = payoff(*terms, step.forward0), payoff(*terms, step.forward1)
    delta = payoff_slope(*terms, step.forward0) * (step.forward1 - step.forward0)
    return {"theta": rolled - before["price"], "delta": delta, "gamma": final - rolled - delta}


def _derivatives(step: _Step, forward: FloatArray, tau: FloatArray, vol: FloatArray) -> dict[str, FloatArray]:
    arguments = (forward, step.strike, tau, vol, step.is_call)
    if not step.is_coin.any():
        return black76_greeks(*arguments, names=_GREEKS)
    coin = coin_greeks(*arguments, names=_COIN_GREEKS)
    in_coin = {name: coin[coin_name] for name, coin_name in zip(_GREEKS, _COIN_GREEKS, strict=True)}
    if step.is_coin.all():
        return in_coin
    usd = black76_greeks(*arguments, names=_GREEKS)
    return {name: np.where(step.is_coin, in_coin[name], usd[name]) for name in _GREEKS}


@cache
def quadrature(nodes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes and weights of ``∫_0^1 (1−s) f(s) ds``; the weights sum to 1/2. With 0 nodes, f(0) / 2."""
    if nodes == 0:
        return (0.0,), (0.5,)
    k = np.arange(1, nodes, dtype=np.float64)
    # Golub-Welsch for the Jacobi weight (1 − x) on [−1, 1], alpha = 1, beta = 0.
    n = np.arange(nodes, dtype=np.float64)
    diagonal = -1.0 / ((2.0 * n + 1.0) * (2.0 * n + 3.0))
    off = np.sqrt(k * (k + 1.0)) / (2.0 * k + 1.0)
    x, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    weights = 0.5 * vectors[0] ** 2
    return tuple(((x + 1.0) / 2.0).tolist()), tuple(weights.tolist())


def attribute_futures(
    price0: ArrayLike, price1: ArrayLike, *, size: ArrayLike, is_inverse: ArrayLike
) -> Attribution:
    """Attribute the profit of futures and perpetuals between two marks.

    Parameters
    ----------
    price0, price1 : array_like, shape (n,)
        Marks, USD.
    size : array_like, shape (n,)
        Contracts times multiplier (USD for an inverse contract, coin for a linear one).
    is_inverse : array_like of bool, shape (n,)

    Returns
    -------
    Attribution
        In coin for an inverse contract, ``size · (1/price0 − 1/price1)``, else in USD. The convexity of
        the inverse contract is the gamma term; a linear one is all delta.

    Raises
    ------
    DataError
        If a mark is not positive and finite.
    """
    price0, price1, size = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (price0, price1, size))
    )
    if not (
        np.isfinite(price0).all() and np.isfinite(price1).all() and (price0 > 0).all() and (price1 > 0).all()
    ):
        raise DataError("expected positive, finite marks of futures; mark every leg first")
    inverse = np.broadcast_to(np.asarray(is_inverse, dtype=np.bool_), price0.shape)
    move = price1 - price0
    zero = np.zeros(price0.shape)
    total = np.where(inverse, size * (move / (price0 * price1)), size * move)
    delta = np.where(inverse, size * move / price0**2, total)
    gamma = np.where(inverse, -size * move**2 / price0**3, 0.0)
    return Attribution(
        delta=delta,
        gamma=gamma,
        theta=zero,
        vega=zero,
        vanna=zero,
        volga=zero,
        residual=total - delta - gamma,
        total=total,
        status=np.zeros(price0.shape, dtype=np.uint8),
    )


def attribute_path(
    states: Sequence[OptionMarks],
    *,
    strike: ArrayLike,
    is_call: ArrayLike,
    is_coin: ArrayLike,
    size: ArrayLike,
    nodes: int = DEFAULT_NODES,
) -> Attribution:
    """Attribute over several marks in time order: each step is attributed by itself, then summed.

    Raises
    ------
    ConfigError
        If there are fewer than two states.
    """
    if len(states) < 2:
        raise ConfigError(f"expected at least two states, found {len(states)}")
    steps = [
        attribute_options(a, b, strike=strike, is_call=is_call, is_coin=is_coin, size=size, nodes=nodes)
        for a, b in itertools.pairwise(states)
    ]
    summed = {name: np.sum([getattr(step, name) for step in steps], axis=0) for name in (*TERMS, "total")}
    return Attribution(**summed, status=np.max([step.status for step in steps], axis=0))
