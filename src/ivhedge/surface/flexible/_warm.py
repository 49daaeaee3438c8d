"""Start of a fit: the backbone's law, or an earlier fit, matched by expiry."""

from dataclasses import dataclass

import numpy as np

from ivhedge.surface.flexible._assembly import Workspace
from ivhedge.surface.flexible.calendar import CutMemory
from ivhedge.surface.flexible.program import State
from ivhedge.surface.flexible.quotes import FlexibleQuotes
from ivhedge.surface.flexible.result import FlexibleFit

__all__ = ["Beginning", "beginning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Starts of the solves in their order, cuts to begin with, and whether all of it is near the answer."""

    states: tuple[State, ...]
    cuts: CutMemory
    near: bool


def beginning(quotes: FlexibleQuotes, work: Workspace, start: FlexibleFit | None) -> Beginning:
    """Begin at an earlier fit where expiries match, at the backbone elsewhere.

    Multipliers of quotes are taken over where an expiry has as many of them as before.
    """
    n, m = work.scale.shape
    none = np.empty(0, dtype=np.int64)
    cold = State(
        x=work.prior / work.scale,
        multipliers=np.zeros(work.stacked.shape[0]),
        cut_multipliers=np.empty(0),
    )
    no_memory = CutMemory(pair=none, at=none, multiplier=np.empty(0))
    if start is None or start.memory is None or start.memory.states[0].x.shape[1] != m:
        return Beginning(states=(cold,), cuts=no_memory, near=False)
    memory = start.memory
    _, new, old = np.intersect1d(quotes.expiries, memory.expiries, return_indices=True)
    if new.size == 0:
        return Beginning(states=(cold,), cuts=no_memory, near=False)
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
    cuts = CutMemory(pair=number[cuts.pair][kept], at=cuts.at[kept], multiplier=cuts.multiplier[kept])
    return Beginning(states=tuple(states), cuts=cuts, near=new.size == n)
