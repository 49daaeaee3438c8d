"""Moves of forward and vol in named parts, and the P&L of each, by Taylor terms or ordered revaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.risk.attribution.book import HeldLegs
from ivhedge.risk.attribution.bridge import BridgedPath
from ivhedge.risk.attribution.taylor import Expansion, value
from ivhedge.risk.attribution.vol_moves import SURFACE_PARTS, SurfaceMove

__all__ = [
    "FORWARD_PARTS",
    "MARKET_FACTORS",
    "VOL_PARTS",
    "MoveParts",
    "check_sequence",
    "move_parts",
    "revalue",
    "revalue_futures",
    "taylor_factors",
]

FORWARD_PARTS: Final = ("spot", "basis_roll", "basis")
VOL_PARTS: Final = (*SURFACE_PARTS, "surface_shape", "smile_slide", "mark_vs_surface")
MARKET_FACTORS: Final = ("time", *FORWARD_PARTS, *VOL_PARTS)
"""In the order of the default revaluation: time, spot, forward basis, vol level, skew and the rest."""
LEAST_VOL: Final = 1e-4
"""Floor of the vols between two revaluations: parts that cancel may add up to less on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveParts:
    """Parts of each sub-step's move, arrays of shape (m, n) that add up to dF and dσ.

    Parameters
    ----------
    forward : dict of `FORWARD_PARTS` to FloatArray
        `spot`: at an unchanged ratio F/S; `basis_roll`: time passes at an unchanged annual rate; `basis`: the
        rest.
    vol : dict of `VOL_PARTS` to FloatArray
        Zero for futures.
    """

    forward: dict[str, FloatArray]
    vol: dict[str, FloatArray]


def move_parts(legs: HeldLegs, path: BridgedPath, move: SurfaceMove) -> MoveParts:
    """Divide the moves along a bridged path."""
    before, after = path.forward[:-1], path.forward[1:]
    roll = path.roll - before
    # The spot moves the rolled-down forward; the product of the two belongs to the spot.
    spot = path.roll * (path.spot[1:] / path.spot[:-1] - 1.0)
    parts = _surface_parts(legs, path, move)
    vol = dict(zip(SURFACE_PARTS, parts, strict=True))
    vol["surface_shape"] = path.surface - parts.sum(axis=0)
    vol |= {"smile_slide": path.slide, "mark_vs_surface": path.own}
    return MoveParts(
        forward={"spot": spot, "basis_roll": roll, "basis": after - before - roll - spot}, vol=vol
    )


def _surface_parts(legs: HeldLegs, path: BridgedPath, move: SurfaceMove) -> FloatArray:
    found = np.zeros((len(SURFACE_PARTS), *path.surface.shape))
    rows = np.flatnonzero(legs.is_option & (path.surface != 0.0).any(axis=0))
    if rows.size:
        k = np.log(legs.strike[rows] / path.forward[1:, rows])
        found[:, :, rows] = move.parts(k, path.tau[0, rows]) * path.share[:, rows]
    # A sub-step in which the surface stands still for a leg, its payoff say, has no part of its move.
    return np.where(path.surface != 0.0, found, 0.0)


def taylor_factors(
    parts: MoveParts, expansion: Expansion, terms: dict[str, FloatArray]
) -> dict[str, FloatArray]:
    """P&L per unit by factor: each part times the terms in its move alone; mixed terms are `cross`."""
    found = {"time": terms["theta"]}
    found |= {name: part.ravel() * expansion.per_forward for name, part in parts.forward.items()}
    found |= {name: part.ravel() * expansion.per_vol for name, part in parts.vol.items()}
    return found | {"cross": sum(terms.values(), np.zeros(terms["theta"].shape)) - sum(found.values())}


def revalue(
    legs: HeldLegs, path: BridgedPath, parts: MoveParts, live: BoolArray, sequence: Sequence[str]
) -> dict[str, FloatArray]:
    """Revalue in full after each factor in turn; the changes add up to the model's, exactly.

    Parameters
    ----------
    legs : HeldLegs
    path : BridgedPath
    parts : MoveParts
    live : BoolArray, shape (m, n)
        Option legs and sub-steps to revalue.
    sequence : sequence of str
        A permutation of `MARKET_FACTORS`.

    Returns
    -------
    dict of str to FloatArray, shape (live.sum(),)

    Raises
    ------
    ConfigError
        If a factor is unknown, missing or repeated.
    """
    check_sequence(sequence)
    strike, call, coin = legs.contracts(live)
    tau0, tau1 = path.tau[:-1][live], path.tau[1:][live]
    forward, vol, tau = path.forward[:-1][live], path.vol[:-1][live], tau0
    last = value(strike, call, coin, forward, tau, vol)
    left_forward, left_vol = set(FORWARD_PARTS), set(VOL_PARTS)
    found: dict[str, FloatArray] = {}
    for name in sequence:
        if name == "time":
            tau = tau1
        elif name in left_forward:
            left_forward.remove(name)
            moved = np.maximum(forward + parts.forward[name][live], 1e-3 * forward)
            # The last part of each move lands on the recorded state, to the bit.
            forward = moved if left_forward else path.forward[1:][live]
        else:
            left_vol.remove(name)
            vol = np.maximum(vol + parts.vol[name][live], LEAST_VOL) if left_vol else path.vol[1:][live]
        now = value(strike, call, coin, forward, tau, vol)
        found[name], last = now - last, now
    return found


def revalue_futures(
    parts: MoveParts, path: BridgedPath, live: BoolArray, is_inverse: BoolArray, sequence: Sequence[str]
) -> dict[str, FloatArray]:
    """Ordered revaluation of futures per unit of size, USD; 1/entry − 1/price in coin of an inverse one."""
    check_sequence(sequence)
    inverse = np.broadcast_to(is_inverse, live.shape)[live]
    price = path.forward[:-1][live]
    found = {name: np.zeros(price.shape) for name in MARKET_FACTORS}
    left = set(FORWARD_PARTS)
    for name in sequence:
        if name in left:
            left.remove(name)
            # The last part lands on the recorded price, to the bit.
            now = price + parts.forward[name][live] if left else path.forward[1:][live]
            found[name] = np.where(inverse, (now - price) / (now * price), now - price)
            price = now
    return found


def check_sequence(sequence: Sequence[str]) -> None:
    """Raise unless a sequence is a permutation of the market factors."""
    if sorted(sequence) != sorted(MARKET_FACTORS):
        raise ConfigError(
            f"expected each of {', '.join(MARKET_FACTORS)} once, found {', '.join(sequence) or 'nothing'}"
        )
