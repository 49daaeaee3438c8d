"""Start of a fit: the backbone's law, or an earlier fit, matched by expiry; kernels that stay."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.flexible._assembly import Workspace
from ivhedge.surface.flexible.basis import Basis, BasisSettings, kernel_basis
from ivhedge.surface.flexible.calendar import CutMemory
from ivhedge.surface.flexible.program import State
from ivhedge.surface.flexible.quotes import FlexibleQuotes
from ivhedge.surface.flexible.result import FlexibleFit

__all__ = ["Beginning", "beginning", "kept_basis"]

SAME_DEVIATION = 0.01
"""Relative move of the at-the-money deviation up to which kernels stay where they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Starts of the solves in their order, cuts to begin with, and whether all of it is near the answer."""

    states: tuple[State, ...]
    cuts: CutMemory
    near: bool


def kept_basis(
    expiries: IntArray, deviation: FloatArray, settings: BasisSettings, start: FlexibleFit | None
) -> tuple[Basis, FloatArray] | None:
    """Kernels and prior of an earlier fit of the same expiries, whose deviations have hardly moved since."""
    if start is None or start.memory is None:
        return None
    memory, basis = start.memory, start.memory.basis
    if not np.array_equal(expiries, memory.expiries):
        return None
    if not np.array_equal(basis.z, kernel_basis(deviation[:1], settings).z):
        return None
    if np.abs(np.log(deviation / basis.deviation)).max() > SAME_DEVIATION:
        return None
    return basis, memory.prior


def beginning(quotes: FlexibleQuotes, work: Workspace, start: FlexibleFit | None) -> Beginning:
    """Begin at an earlier fit where expiries match, at the backbone elsewhere.

    Multipliers of quotes are taken over where an expiry has as many of them as before.
    """
    n, m = work.scale.shape
    cold = State(
        x=work.prior / work.scale,
        multipliers=np.zeros(work.stacked.shape[0]),
        cut_multipliers=np.empty(0),
    )
    no_memory = CutMemory.nothing()
    if start is None or start.memory is None or start.memory.states[0].x.shape[1] != m:
        return Beginning(states=(cold,), cuts=no_memory, near=False)
    memory = start.memory
    _, new, old = np.intersect1d(quotes.expiries, memory.expiries, return_indices=True)
    if new.size == 0:
        return Beginning(states=(cold,), cuts=no_memory, near=False)
    if np.array_equal(work.stacked_offsets, memory.offsets) and np.array_equal(
        quotes.expiries, memory.expiries
    ):
        return Beginning(states=memory.states, cuts=memory.cuts, near=True)
    states = []
    for state in memory.states:
        x, multipliers = cold.x.copy(), cold.multipliers.copy()
        x[new] = state.x[old]
        for i, j in zip(new, old, strict=True):
            mine = slice(int(work.stacked_offsets[i]), int(work.stacked_offsets[i + 1]))
            other = slice(int(memory.offsets[j]), int(memory.offsets[j + 1]))
            count = mine.stop - mine.start
            if count != other.stop - other.start:
                # Other quotes: only equalities and bounds are the same.
                count = m + 2
            multipliers[mine.start : mine.start + count] = state.multipliers[
                other.start : other.start + count
            ]
        states.append(State(x=x, multipliers=multipliers, cut_multipliers=np.empty(0)))
    # Pairs of neighbours that were neighbours before.
    number = np.full(memory.expiries.size, -2)
    number[old] = new
    cuts = memory.cuts
    kept = (number[cuts.pair] >= 0) & (number[cuts.pair + 1] == number[cuts.pair] + 1)
    cuts = CutMemory(
        pair=number[cuts.pair][kept],
        at=cuts.at[kept],
        multiplier=cuts.multiplier[kept],
        margin=cuts.margin[kept],
    )
    return Beginning(states=tuple(states), cuts=cuts, near=new.size == n)
