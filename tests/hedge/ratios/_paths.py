"""Simulated options with a known vol beta."""

import numpy as np

from ivhedge.core.units import NS_PER_HOUR, parse_time
from ivhedge.hedge.ratios import RatioLegs, hedge_steps
from ivhedge.pricing import black76_price

START = parse_time("2026-01-01")
SIX_HOURS = 6 * NS_PER_HOUR


def some_legs(forward=80_000.0):
    days = np.repeat([5.0, 10.0, 20.0, 40.0, 90.0], 6)
    z = np.tile([-1.2, -0.8, -0.3, 0.3, 0.8, 1.2], 5)
    tau = days / 365.0
    strike = forward * np.exp(z * 0.5 * np.sqrt(tau))
    n = days.size
    return RatioLegs(
        forward=np.full(n, forward),
        strike=strike,
        tau=tau,
        is_call=z > 0,
        vol=np.full(n, 0.5),
        skew=np.linspace(-0.3, 0.1, n),
        atm_vol=np.full(n, 0.48),
    )


def step_of(legs, move, vol_change, elapsed=0.25):
    """One step with the given log move and change of each vol."""
    after = legs.forward * np.exp(move)
    value = black76_price(after, legs.strike, legs.tau - elapsed / 365.0, legs.vol + vol_change, legs.is_call)
    return hedge_steps(legs, after, value, elapsed)


def simulate(rng, beta, n, *, noise=0.0005, sd=0.004):
    """Steps whose vols move by beta times the log move, and a common noise, times (30/days)**0.5."""
    legs = some_legs()
    fade = np.sqrt(30.0 / legs.days)
    out = []
    for _ in range(n):
        move = sd * rng.standard_normal()
        out.append(step_of(legs, move, beta * fade * move + noise * fade * rng.standard_normal()))
    return legs, out
