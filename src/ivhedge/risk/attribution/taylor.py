"""Taylor terms of one option's value over one sub-step, to third order.

Time is rolled first: `theta` is the exact change V(F0, σ0, τ1) − V(F0, σ0, τ0). The derivatives by forward
and vol are taken at the sub-step's start, and what each of them gains while time passes has its own name:

    ===========  ================  ==========  =================
    at the start                   gained by the passage of time
    ===========  ================  ==========  =================
    delta        Δ dF              charm       (Δ' − Δ) dF
    vega         ν dσ              veta        (ν' − ν) dσ
    gamma        ½ Γ dF²           color       ½ (Γ' − Γ) dF²
    vanna        vanna dF dσ       dvanna_dt   (vanna' − vanna) dF dσ
    volga        ½ volga dσ²       dvolga_dt   ½ (volga' − volga) dσ²
    ===========  ================  ==========  =================

    speed ⅙ c_FFF dF³    zomma ½ Γ_σ dF² dσ    dvanna_dvol ½ vanna_σ dF dσ²    ultima ⅙ volga_σ dσ³

Primes mark time τ1; the last four are taken there. The differences stand for the derivative times dt, which
diverges at expiry. Second order stops before color. A coin-settled option is expanded as c = V / F in coin.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing import black76_greeks, black76_price, coin_greeks
from ivhedge.risk.attribution.payoff import payoff, payoff_slope
from ivhedge.risk.attribution.steps import quadrature

__all__ = ["MODEL_TERMS", "Expansion", "Moves", "expand_futures", "expand_options", "value"]

MODEL_TERMS: Final = (
    "theta",
    "delta",
    "gamma",
    "speed",
    "vega",
    "volga",
    "ultima",
    "vanna",
    "zomma",
    "dvanna_dvol",
    "charm",
    "color",
    "veta",
    "dvanna_dt",
    "dvolga_dt",
)

EXACT_NODES: Final = 32
"""Of the exact remainder where a move is too long for the series: it may cross a narrow peak of gamma."""

_NAMES: Final = {
    "price": "price_coin",
    "delta": "c_F",
    "gamma": "c_FF",
    "speed": "c_FFF",
    "vega": "vega_coin",
    "volga": "volga_coin",
    "ultima": "ultima_coin",
    "vanna": "vanna_coin",
    "zomma": "zomma_coin",
    "dvanna_dvol": "dvanna_dvol_coin",
}
_SECOND: Final = ("price", "delta", "gamma", "vega", "volga", "vanna")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """States of options before and after a move, arrays of shape (n,); tau1 = 0 is the payoff."""

    strike: FloatArray
    is_call: BoolArray
    is_coin: BoolArray
    forward0: FloatArray
    forward1: FloatArray
    vol0: FloatArray
    vol1: FloatArray
    tau0: FloatArray
    tau1: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Terms per unit of size, and how they divide over parts of a move.

    Parameters
    ----------
    terms : dict of str to FloatArray, shape (n,)
        `MODEL_TERMS` that were computed.
    per_forward, per_vol : FloatArray, shape (n,)
        Sum of the terms in powers of dF alone, over dF; of those in dσ alone, over dσ.
    change : FloatArray, shape (n,)
        The exact change of the model's value.
    """

    terms: dict[str, FloatArray]
    per_forward: FloatArray
    per_vol: FloatArray
    change: FloatArray


def value(
    strike: FloatArray,
    is_call: BoolArray,
    is_coin: BoolArray,
    forward: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
) -> FloatArray:
    """Black-76 value in the settlement currency; the payoff at tau = 0."""
    usd = black76_price(forward, strike, tau, np.where(tau > 0.0, vol, 1.0), is_call)
    return np.where(
        tau > 0.0, np.where(is_coin, usd / forward, usd), payoff(strike, is_call, is_coin, forward)
    )


def expand_options(moves: Moves, *, order: int, nodes: int, exact_beyond: float | None = None) -> Expansion:
    """Expand options over one sub-step.

    Parameters
    ----------
    moves : Moves
    order : int
        2 or 3, the highest order of the classical expansion.
    nodes : int
        0 = classical. Otherwise gamma, vanna and volga are the exact second-order remainder by Gauss-Jacobi
        quadrature of so many nodes, and the terms of third order in them.
    exact_beyond : float, optional
        Moves of more remaining standard deviations, plus relative vol move, than this take `EXACT_NODES` at
        least.
    """
    n = moves.strike.size
    terms = {name: np.zeros(n) for name in MODEL_TERMS}
    per_forward, per_vol, change = np.zeros(n), np.zeros(n), np.zeros(n)
    ends = moves.tau1 <= 0.0
    far = np.zeros(n, dtype=np.bool_)
    if exact_beyond is not None and nodes < EXACT_NODES:
        far = ~ends & (_length(moves, ~ends) > exact_beyond)
    for chosen, expand, points in (
        (~ends & ~far, _expand_alive, nodes),
        (far, _expand_alive, EXACT_NODES),
        (ends, _expand_to_payoff, nodes),
    ):
        rows = np.flatnonzero(chosen)
        if rows.size:
            part = Moves(**{field.name: getattr(moves, field.name)[rows] for field in fields(Moves)})
            found = expand(part, order, points)
            for name, values in found.terms.items():
                terms[name][rows] = values
            per_forward[rows], per_vol[rows] = found.per_forward, found.per_vol
            change[rows] = found.change
    return Expansion(terms=terms, per_forward=per_forward, per_vol=per_vol, change=change)


def _length(m: Moves, alive: BoolArray) -> FloatArray:
    # In standard deviations left, plus the relative vol move: what the series is a series in.
    deviation = m.forward0 * m.vol0 * np.sqrt(np.where(alive, m.tau1, 1.0))
    return np.abs(m.forward1 - m.forward0) / deviation + np.abs(m.vol1 / m.vol0 - 1.0)


def _expand_alive(m: Moves, order: int, nodes: int) -> Expansion:
    third = order >= 3 and nodes == 0
    before = _derivatives(m, m.forward0, m.tau0, m.vol0, _SECOND)
    rolled = _derivatives(m, m.forward0, m.tau1, m.vol0, tuple(_NAMES) if third else _SECOND)
    after = value(m.strike, m.is_call, m.is_coin, m.forward1, m.tau1, m.vol1)
    df, dv = m.forward1 - m.forward0, m.vol1 - m.vol0
    gained = {name: rolled[name] - before[name] for name in _SECOND}
    terms = {
        "theta": gained["price"],
        "delta": before["delta"] * df,
        "vega": before["vega"] * dv,
        "charm": gained["delta"] * df,
        "veta": gained["vega"] * dv,
    }
    if nodes > 0:
        second = _remainder(m, nodes, df, dv)
    else:
        second = {name: before[name] for name in ("gamma", "vanna", "volga")}
    terms |= {
        "gamma": 0.5 * second["gamma"] * df**2,
        "vanna": second["vanna"] * df * dv,
        "volga": 0.5 * second["volga"] * dv**2,
    }
    if third:
        terms |= {
            "color": 0.5 * gained["gamma"] * df**2,
            "dvanna_dt": gained["vanna"] * df * dv,
            "dvolga_dt": 0.5 * gained["volga"] * dv**2,
            "speed": rolled["speed"] * df**3 / 6.0,
            "zomma": 0.5 * rolled["zomma"] * df**2 * dv,
            "dvanna_dvol": 0.5 * rolled["dvanna_dvol"] * df * dv**2,
            "ultima": rolled["ultima"] * dv**3 / 6.0,
        }
    gamma, volga = (rolled if third else second)["gamma"], (rolled if third else second)["volga"]
    per_forward = rolled["delta"] + 0.5 * gamma * df
    per_vol = rolled["vega"] + 0.5 * volga * dv
    if third:
        per_forward = per_forward + rolled["speed"] * df**2 / 6.0
        per_vol = per_vol + rolled["ultima"] * dv**2 / 6.0
    return Expansion(terms=terms, per_forward=per_forward, per_vol=per_vol, change=after - before["price"])


def _remainder(m: Moves, nodes: int, df: FloatArray, dv: FloatArray) -> dict[str, FloatArray]:
    # Twice the weighted mean of the second derivatives along the straight line, as a Taylor remainder.
    second = {name: np.zeros(df.shape) for name in ("gamma", "vanna", "volga")}
    for s, weight in zip(*quadrature(nodes), strict=True):
        at = _derivatives(m, m.forward0 + s * df, m.tau1, m.vol0 + s * dv, tuple(second))
        for name in second:
            second[name] += 2.0 * weight * at[name]
    return second


def _expand_to_payoff(m: Moves, order: int, nodes: int) -> Expansion:
    # The payoff is exact in any order.
    before = value(m.strike, m.is_call, m.is_coin, m.forward0, m.tau0, m.vol0)
    rolled = payoff(m.strike, m.is_call, m.is_coin, m.forward0)
    final = payoff(m.strike, m.is_call, m.is_coin, m.forward1)
    slope = payoff_slope(m.strike, m.is_call, m.is_coin, m.forward0)
    df = m.forward1 - m.forward0
    moved = final - rolled
    return Expansion(
        terms={"theta": rolled - before, "delta": slope * df, "gamma": moved - slope * df},
        per_forward=np.divide(moved, df, out=slope.copy(), where=df != 0.0),
        per_vol=np.zeros(df.shape),
        change=final - before,
    )


def expand_futures(
    forward0: FloatArray, forward1: FloatArray, is_inverse: BoolArray, *, order: int, nodes: int
) -> Expansion:
    """Expand futures per unit of size; an inverse one, 1/F0 − 1/F1 in coin, has gamma and speed.

    With `nodes` the gamma term is the whole convexity.
    """
    df = forward1 - forward0
    change = np.where(is_inverse, df / (forward0 * forward1), df)
    delta = np.where(is_inverse, df / forward0**2, df)
    gamma = change - delta if nodes > 0 else np.where(is_inverse, -(df**2) / forward0**3, 0.0)
    terms = {"delta": delta, "gamma": gamma}
    if order >= 3 and nodes == 0:
        terms["speed"] = np.where(is_inverse, df**3 / forward0**4, 0.0)
    found = sum(terms.values(), np.zeros(df.shape))
    slope = np.where(is_inverse, 1.0 / forward0**2, 1.0)
    return Expansion(
        terms=terms,
        per_forward=np.divide(found, df, out=slope, where=df != 0.0),
        per_vol=np.zeros(df.shape),
        change=change,
    )


def _derivatives(
    m: Moves, forward: FloatArray, tau: FloatArray, vol: FloatArray, names: tuple[str, ...]
) -> dict[str, FloatArray]:
    arguments = (forward, m.strike, tau, vol, m.is_call)
    if not m.is_coin.any():
        return black76_greeks(*arguments, names=names)
    coin = coin_greeks(*arguments, names=tuple(_NAMES[name] for name in names))
    in_coin = {name: coin[_NAMES[name]] for name in names}
    if m.is_coin.all():
        return in_coin
    usd = black76_greeks(*arguments, names=names)
    return {name: np.where(m.is_coin, in_coin[name], usd[name]) for name in names}
