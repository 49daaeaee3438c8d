"""From quotes and a backbone to the quadratic program."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.surface.essvi import essvi_total_variance
from ivhedge.surface.flexible.basis import Basis
from ivhedge.surface.flexible.calendar import otm_price
from ivhedge.surface.flexible.program import Program, roughness
from ivhedge.surface.flexible.quotes import FlexibleQuotes

__all__ = ["Stage", "Workspace", "assemble_program", "workspace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How one solve weighs the quotes: price of leaving the band, and roughness times the noise squared."""

    penalty: float
    smoothness: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What does not change from solve to solve.

    Parameters
    ----------
    slices : FloatArray, shape (n, 3)
        Backbone parameters (theta, rho, psi).
    prior, scale : FloatArray, shape (n, m)
        The backbone's weights, and the units of x.
    rows, low, high, mid : FloatArray, shapes (q, m) and (q,)
        Without the least share of the backbone's price, in half-spreads; `mid` is NaN for bounds.
    bid, ask, backbone : FloatArray, shape (q,)
        Prices in half-spreads, a missing side infinite.
    half : FloatArray, shape (q,)
        Half-spread of the price, forward 1.
    """

    basis: Basis
    slices: FloatArray
    prior: FloatArray
    scale: FloatArray
    rows: FloatArray
    low: FloatArray
    high: FloatArray
    mid: FloatArray
    bid: FloatArray
    ask: FloatArray
    backbone: FloatArray
    half: FloatArray


def workspace(
    quotes: FlexibleQuotes, basis: Basis, slices: FloatArray, prior: FloatArray, tail: float, mix: float
) -> Workspace:
    """Prepare rows and bands; `mix` of the final price will be the backbone's, which the bands allow for."""
    heavy = np.gradient(basis.z) / (1.0 + np.abs(basis.z)) ** 2
    scale = prior + tail * basis.z.size * heavy / heavy.sum()
    owner = np.repeat(np.arange(quotes.taus.size), np.diff(quotes.offsets))
    k, tau = quotes.log_moneyness, quotes.taus[owner]
    backbone = otm_price(k, essvi_total_variance(k, *slices[owner].T))
    bid, ask, middle = (_priced(k, vol, tau) for vol in (quotes.bid_vol, quotes.ask_vol, quotes.mid_vol))
    low, high, mid = ((price - mix * backbone) / (1.0 - mix) for price in (bid, ask, middle))
    one_sided = np.isnan(low) | np.isnan(high)
    half = np.where(one_sided, 0.2 * np.abs(np.fmax(low, high)), 0.5 * (high - low))
    half = np.maximum(half, 1e-6 * basis.deviation[owner])
    rows = np.concatenate([basis.prices(e, k[quotes.rows(e)]) * scale[e] for e in range(quotes.taus.size)])
    return Workspace(
        basis=basis,
        slices=slices,
        prior=prior,
        scale=scale,
        rows=rows / half[:, None],
        low=np.where(np.isnan(low), -np.inf, low / half),
        high=np.where(np.isnan(high), np.inf, high / half),
        mid=mid / half,
        bid=np.where(np.isnan(bid), -np.inf, bid / half),
        ask=np.where(np.isnan(ask), np.inf, ask / half),
        backbone=backbone / half,
        half=half,
    )


def _priced(k: FloatArray, vol: FloatArray, tau: FloatArray) -> FloatArray:
    price = np.full(k.shape, np.nan)
    known = np.isfinite(vol)
    price[known] = otm_price(k[known], vol[known] ** 2 * tau[known])
    return price


def assemble_program(
    quotes: FlexibleQuotes, work: Workspace, trust: FloatArray, noise: FloatArray, stage: Stage
) -> Program:
    """Build the program of the quotes whose trust, between 0 and 1, is positive."""
    n, m = work.scale.shape
    used = trust > 0.0
    quadratic, linear = np.empty((n, m, m)), np.empty((n, m))
    rough, hold = roughness(m), 1e-6 * np.eye(m)
    pulled = used & np.isfinite(work.mid)
    for e in range(n):
        mine = np.flatnonzero(pulled[quotes.rows(e)]) + quotes.offsets[e]
        rows = work.rows[mine]
        smooth = stage.smoothness * noise[e] ** 2 * rough + hold
        quadratic[e] = rows.T @ (rows * trust[mine, None]) + smooth
        linear[e] = -rows.T @ (trust[mine] * work.mid[mine]) - smooth @ (work.prior[e] / work.scale[e])
    counts = [int(used[quotes.rows(e)].sum()) for e in range(n)]
    return Program(
        quadratic=quadratic,
        linear=linear,
        equality=np.stack((work.scale, work.scale * work.basis.mean), axis=1),
        equal_to=np.ones((n, 2)),
        bands=work.rows[used],
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        low=work.low[used],
        high=work.high[used],
        penalty=stage.penalty * trust[used],
    )
