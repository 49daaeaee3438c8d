"""From quotes and a backbone to the quadratic program."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.essvi import essvi_total_variance
from ivhedge.surface.flexible._rows import kernel_rows
from ivhedge.surface.flexible.basis import Basis
from ivhedge.surface.flexible.calendar import otm_price
from ivhedge.surface.flexible.program import Program, roughness, stack_rows
from ivhedge.surface.flexible.quotes import FlexibleQuotes

__all__ = ["Stage", "Workspace", "assemble_program", "workspace"]

HOLD = 1e-6
"""Pull of each ratio to that of the prior."""
MARGIN = 0.01
"""Half-spreads by which bands are narrowed: an answer at the edge is off by the solver's tolerance."""


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
    stacked, stacked_offsets, stacked_low, stacked_high, at
        Rows of the program with equalities and bounds, their intervals, and where the bands are.
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
    stacked: FloatArray
    stacked_offsets: IntArray
    stacked_low: FloatArray
    stacked_high: FloatArray
    at: IntArray


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
    rows = np.empty((k.size, basis.z.size))
    kernel_rows(k, owner, 1.0 / half, np.log(basis.mean), basis.mean, basis.width, scale, rows)
    # Total and mean; the mean as its distance from 1 in deviations, or the two would be nearly the same.
    shift = (basis.mean - 1.0) / basis.deviation[:, None]
    stacked, offsets, at = stack_rows(np.stack((scale, scale * shift), axis=1), rows, quotes.offsets)
    low, high = (np.where(np.isnan(v), none, v / half) for v, none in ((low, -np.inf), (high, np.inf)))
    stacked_low, stacked_high = np.zeros(stacked.shape[0]), np.full(stacked.shape[0], np.inf)
    inner = np.where(one_sided, 0.0, np.minimum(MARGIN, 0.45 * (high - low)))
    low, high = low + inner, high - inner
    stacked_low[at], stacked_high[at] = low, high
    for number, value in enumerate((1.0, 0.0)):
        stacked_low[offsets[:-1] + number] = stacked_high[offsets[:-1] + number] = value
    return Workspace(
        basis=basis,
        slices=slices,
        prior=prior,
        scale=scale,
        rows=rows,
        low=low,
        high=high,
        mid=mid / half,
        bid=np.where(np.isnan(bid), -np.inf, bid / half),
        ask=np.where(np.isnan(ask), np.inf, ask / half),
        backbone=backbone / half,
        half=half,
        stacked=stacked,
        stacked_offsets=offsets,
        stacked_low=stacked_low,
        stacked_high=stacked_high,
        at=at,
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
    pulled = np.isfinite(work.mid)
    mid = np.where(pulled, work.mid, 0.0)
    pulling = work.rows * np.where(pulled, trust, 0.0)[:, None]
    strength = stage.smoothness * noise**2
    quadratic = strength[:, None, None] * roughness(m)
    quadratic[:, np.arange(m), np.arange(m)] += HOLD
    linear = -np.matmul(quadratic, (work.prior / work.scale)[:, :, None])[:, :, 0]
    for e in range(n):
        rows = quotes.rows(e)
        quadratic[e] += pulling[rows].T @ work.rows[rows]
        linear[e] -= mid[rows] @ pulling[rows]
    cap = np.full(work.stacked.shape[0], np.inf)
    cap[work.at] = stage.penalty * trust
    return Program(
        quadratic=quadratic,
        linear=linear,
        rows=work.stacked,
        offsets=work.stacked_offsets,
        low=work.stacked_low,
        high=work.stacked_high,
        cap=cap,
    )
