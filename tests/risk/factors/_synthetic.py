"""Panels drawn from known factors, for the tests of their estimation."""

import numpy as np

from ivhedge.core import NS_PER_HOUR
from ivhedge.risk.factors import named_shapes
from ivhedge.risk.panel import PanelStatus, SurfacePanel

from .._stub import NOW

TENORS = np.array([7.0, 30.0, 90.0])
NODES = np.array([-1.5, -0.75, 0.0, 0.75, 1.5])
SHAPES = named_shapes(TENORS, NODES)


def panel_of(underlying, scores, spot_returns, times, rates=None):
    """A panel whose steps are `scores` (S, 4) on the named shapes over a smile of 0.6."""
    moves = np.einsum("sk,kmn->smn", scores, np.stack([shape.grid for shape in SHAPES]))
    vols = 0.6 + np.concatenate((np.zeros((1, *moves.shape[1:])), np.cumsum(moves, axis=0)))
    spot = 80_000.0 * np.exp(np.concatenate(([0.0], np.cumsum(spot_returns))))
    carry = np.zeros(len(spot)) if rates is None else rates
    return SurfacePanel(
        underlying=underlying,
        ts_ns=np.asarray(times, dtype=np.int64),
        spot=spot,
        tenor_days=TENORS,
        nodes=NODES,
        vols=vols,
        forward_rate=np.repeat(carry[:, None], TENORS.size, axis=1),
        status=np.full((len(spot), TENORS.size), PanelStatus.OBSERVED, dtype=np.uint8),
    )


def times_every(hours, steps):
    return NOW + np.arange(steps + 1, dtype=np.int64) * int(hours * NS_PER_HOUR)


def two_panels(rng, steps=400, beta=0.7, noise=0.2):
    """BTC and ETH, spot against level, ETH level = beta × BTC level + noise; steps of six hours."""
    sd = np.array([0.010, 0.004, 0.003, 0.001]) / 2.0
    btc = rng.standard_normal((steps, 4)) * sd
    # Bounded paths: the vol of 0.6 stays well above zero.
    btc -= btc.mean(axis=0)
    eth = beta * btc + noise * rng.standard_normal((steps, 4)) * sd
    eth -= eth.mean(axis=0)
    spot = -1.5 * btc[:, 0] + 0.012 * rng.standard_normal(steps)
    other = 1.2 * spot + 0.006 * rng.standard_normal(steps)
    times = times_every(6, steps)
    rate = 0.05 + 0.003 * rng.standard_normal((2, steps + 1))
    return [panel_of("BTC", btc, spot, times, rate[0]), panel_of("ETH", eth, other, times, rate[1])], btc
