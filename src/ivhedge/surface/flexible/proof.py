"""Proof that a flexible surface has no static arbitrage, at every strike and at every time.

* Butterfly at an expiry: its price is (1 - mix) times a mixture of lognormals with weights >= 0 plus mix
  times an eSSVI price whose sufficient conditions hold, each convex in the strike.
* Calendar from an expiry to the next: cells of strikes between two wings (`_proof_cells`), bisected until the
  lower bound of the rise is positive, and an argument for each wing (`_proof_wings`).
* Between two expiries the price is (1 - s)·earlier + s·later, s rising in time: convex, and it rises with s
  where the later price lies above the earlier one.
* Before the first: total variance a·w(k), a in (0, 1]. With A = 1 - k w'/(2w) the density factor is
  g_a = A² - a w'²/(4w) - a² w'²/16 + a w''/2, hence g_a - a·g_1 = (1 - a)·A² + (a - a²)·w'²/16 >= 0: no
  butterfly, and a rises in time.
* After the last: kernels of more variance and the same mean are larger in convex order; the backbone's own
  extrapolation keeps its conditions (docs/surface.md).
* On a clock all of this holds in a time that never falls.

Rounding: prices and slopes are sums of positive terms, with relative errors below 2e-12, and where the
exponent d2²/2 is large some 1e-16 of its size; an in-the-money kernel loses the ratio of forward to price,
below 2 over its width. The bounds allow for five times as much or more, and for what falls below the smallest
number. Where more could be lost, on backbones with |rho| next to 1 or wings next to Lee's limit, nothing is
claimed. What is proven is the surface of the floating-point parameters with weights that add to 1 with mean 1
within 1e-12, that is up to such a difference of puts and calls at the money, and for eSSVI conditions that
hold within 1e-12 of their size.

References
----------
Prékopa (1973), On logarithmic concave measures and functions, for the tails of log-concave functions.
Shaked, Shanthikumar (2007), Stochastic orders, section 1.C, for monotone ratios of densities and tails.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ivhedge.core.types import FloatArray
from ivhedge.core.units import year_fraction
from ivhedge.surface.flexible._proof_cells import calendar_bounds, prove_pair
from ivhedge.surface.flexible._proof_wings import BACKBONE, KERNEL, OPEN
from ivhedge.surface.flexible.surface import FlexibleSurface

__all__ = ["FlexibleProof", "WingArgument", "calendar_bounds", "least_mix", "prove"]

PRICE_ERROR = 1e-11
LAW_ERROR = 1e-12
CONDITION_SLACK = 1e-12
STEEPEST, LARGEST_RHO = 3.9, 0.9999
"""Backbones beyond, with their digital prices near zero, are not exact enough."""


class WingArgument(IntEnum):
    """Why prices rise in a far wing."""

    OPEN = OPEN
    BACKBONE = BACKBONE
    KERNEL = KERNEL


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibleProof:
    """What could be proven of a flexible surface, pair by pair of neighbouring expiries.

    Parameters
    ----------
    proven : bool
        No butterfly and no calendar arbitrage, at every strike and every time.
    reason : str
        Why not; empty where proven.
    least_mix : FloatArray, shape (n - 1,)
        Share of the backbone from which on each pair is proven; below the surface's own where it is already.
        1 where nothing less is known to do.
    least_rise : FloatArray, shape (n - 1,)
        Smallest proven rise of the price, as a share of the larger later price of kernels and backbone there;
        negative where it fails.
    log_moneyness : FloatArray, shape (n - 1,)
        Where.
    wing_from : FloatArray, shape (n - 1, 2)
        Log-moneyness beyond which the argument of the wing holds, left and right.
    wing_argument : tuple of pairs of WingArgument
        Left and right, per pair of expiries.
    n_cells : int
        Cells of strikes used.
    """

    proven: bool
    reason: str
    least_mix: FloatArray
    least_rise: FloatArray
    log_moneyness: FloatArray
    wing_from: FloatArray
    wing_argument: tuple[tuple[WingArgument, WingArgument], ...]
    n_cells: int


def prove(surface: FlexibleSurface) -> FlexibleProof:
    """Prove that a flexible surface has no static arbitrage, or say where it could not be.

    Parameters
    ----------
    surface : FlexibleSurface

    Returns
    -------
    FlexibleProof

    Notes
    -----
    Sufficient, not necessary: a pair whose prices touch, such as two equal expiries, is not proven.
    """
    n = max(surface.taus.size - 1, 0)
    sides = np.zeros((n, 2, 6))
    reason = _unfit(surface)
    if reason or surface.mix >= 1.0:
        # All of the price is the backbone's, whose conditions hold, or nothing can be said.
        sides[:, :, 0], sides[:, :, 5] = float(bool(reason)), OPEN if reason else BACKBONE
        sides[:, :, 1] = -np.inf if reason else 0.0
    else:
        error = max(PRICE_ERROR, 8.0 * float(np.finfo(np.float64).eps) / float(surface.width.min()))
        for e in range(n):
            pair = slice(e, e + 2)
            law = surface._log_weight[pair], surface._centre[pair], surface.width[pair]
            prove_pair(float(surface.mix), surface._slices[pair], *law, error, PRICE_ERROR, sides[e])
        failing = np.flatnonzero(~(sides[:, :, 0] <= surface.mix).all(axis=1))
        if failing.size:
            reason = (
                f"calendar not proven from expiries {failing.tolist()} to the next, mix {surface.mix:.6g}"
            )
    return _summary(sides, reason)


def _summary(sides: FloatArray, reason: str) -> FlexibleProof:
    at, worst = np.arange(sides.shape[0]), np.argmin(sides[:, :, 1], axis=1)
    return FlexibleProof(
        proven=not reason,
        reason=reason,
        least_mix=sides[:, :, 0].max(axis=1),
        least_rise=sides[at, worst, 1],
        log_moneyness=sides[at, worst, 2],
        wing_from=sides[:, :, 4],
        wing_argument=tuple((WingArgument(int(a)), WingArgument(int(b))) for a, b in sides[:, :, 5]),
        n_cells=int(sides[:, :, 3].sum()),
    )


def least_mix(surface: FlexibleSurface) -> float:
    """Smallest share of the backbone, at least the present one, at which the surface is proven.

    Returns
    -------
    float
        Within 2 % of the smallest that can be, from the cells that fail; 1 where only the backbone alone
        will do, or not even that, see `prove`.
    """
    proof = prove(surface)
    return float(min(max(surface.mix, np.max(proof.least_mix, initial=0.0)), 1.0))


def _unfit(surface: FlexibleSurface) -> str:
    """Why no proof can begin."""
    arrays = (surface.weight, surface.mean, surface.width, surface._slices)
    if not all(np.isfinite(array).all() for array in arrays):
        return "a parameter is not finite"
    if (surface.weight < 0.0).any() or not 0.0 < surface.mix <= 1.0:
        return "a weight is negative, or the mix outside (0, 1]"
    sums = np.stack((surface.weight.sum(axis=1), (surface.weight * surface.mean).sum(axis=1)))
    if not np.abs(sums - 1.0).max() <= LAW_ERROR:
        return f"weights do not add to 1 with mean 1 within {LAW_ERROR}"
    if not np.allclose(year_fraction(surface.ts_ns, surface.expiries), surface.taus, rtol=1e-9, atol=0.0):
        return "taus are not the years to the expiries"
    own, backbone = surface._slices, surface.backbone
    whole = np.column_stack((backbone.theta, backbone.rho, backbone.psi))
    if not (_is_ordered(own) and _is_ordered(whole)):
        return "the backbone does not fulfil its sufficient conditions"
    if (np.abs(own[:, 1]) > LARGEST_RHO).any() or (own[:, 2] * (1.0 + np.abs(own[:, 1])) > STEEPEST).any():
        return f"the backbone has |rho| above {LARGEST_RHO}, or psi·(1 + |rho|) above {STEEPEST}"
    return ""


def _is_ordered(slices: FloatArray) -> bool:
    """Conditions of eSSVI for all strikes and, in order of time, for all times; see the head of `essvi`."""
    theta, rho, psi = slices.T
    right, left, slack = psi * (1.0 + rho), psi * (1.0 - rho), 1.0 + CONDITION_SLACK
    steepest = np.maximum(right, left)
    butterfly = (steepest < 4.0).all() and (psi * steepest <= 4.0 * theta * slack).all()
    rising = (right[1:] * slack >= right[:-1]).all() and (left[1:] * slack >= left[:-1]).all()
    flattening = (psi[1:] * theta[:-1] <= psi[:-1] * theta[1:] * slack).all()
    return bool(butterfly and rising and flattening)
