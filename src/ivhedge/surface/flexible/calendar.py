"""Calendar order of neighbouring expiries: strikes where prices fall, and cuts there.

The rise of the price from one expiry to the next, over that of the backbone, is as smooth in the strike as
the kernels are wide. It is looked at on a coarse grid of strikes first, then ever closer around its minima.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing import black76_price
from ivhedge.surface.flexible._search import BASE, MARGIN, MULTIPLIER, STEP, add_strikes, ask_cuts, look
from ivhedge.surface.flexible.basis import Basis
from ivhedge.surface.flexible.program import Cuts

__all__ = ["CalendarSearch", "CutMemory", "otm_price"]

INNER_SD, REACH_SD = 5.0, 16.0
ROOM = 256
"""Strikes per pair; where there is no room for more the proof decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMemory:
    """Cuts that bind.

    Parameters
    ----------
    pair, at : IntArray, shape (r,)
        Number of the earlier expiry; log-moneyness in tenths of its standard deviation.
    multiplier : FloatArray, shape (r,)
    margin : FloatArray, shape (r,)
        Share of the backbone's rise that they ask for.
    """

    pair: IntArray
    at: IntArray
    multiplier: FloatArray
    margin: FloatArray

    @classmethod
    def nothing(cls) -> "CutMemory":
        """No cuts."""
        none, empty = np.empty(0, dtype=np.int64), np.empty(0)
        return cls(pair=none, at=none, multiplier=empty, margin=empty)


def otm_price(log_moneyness: FloatArray, total_variance: FloatArray) -> FloatArray:
    """Out-of-the-money Black price, forward 1."""
    return black76_price(1.0, np.exp(log_moneyness), 1.0, np.sqrt(total_variance), log_moneyness >= 0.0)


def _coarse_strikes() -> IntArray:
    inner = np.arange(-INNER_SD, INNER_SD + 0.1, 0.5)
    outer = np.arange(INNER_SD + 1.0, REACH_SD + 0.1, 1.0)
    return np.rint(np.concatenate((-outer[::-1], inner, outer)) / STEP).astype(np.int64)


COARSE = _coarse_strikes()


class CalendarSearch:
    """Looks for falling prices; keeps what it priced, and which strikes are cuts.

    Parameters
    ----------
    basis : Basis
    scale : FloatArray, shape (n, m)
        Units of x.
    slices : FloatArray, shape (n, 3)
        Backbone parameters.
    mix : float
        Least share of the backbone's price.
    """

    def __init__(self, basis: Basis, scale: FloatArray, slices: FloatArray, mix: float) -> None:
        self._mix = mix
        n_pairs, m = scale.shape[0] - 1, scale.shape[1]
        self._at, self._order = np.zeros((2, n_pairs, ROOM), dtype=np.int64)
        self._count = np.zeros(n_pairs, dtype=np.int64)
        self._data = np.zeros((n_pairs, ROOM, 4))
        self._cut = np.zeros((n_pairs, ROOM), dtype=np.bool_)
        # Kernel prices of the earlier and the later expiry on x, in units of the later backbone price.
        self._near, self._far = np.empty((n_pairs, ROOM, m)), np.empty((n_pairs, ROOM, m))
        # By strike: the rise of the price over the backbone's, and the same or, at a minimum, the value at
        # the vertex of the parabola through it.
        self._rise, self._lowest = np.empty((n_pairs, ROOM)), np.empty((n_pairs, ROOM))
        self._want = np.empty(3 * ROOM, dtype=np.int64)
        law = np.stack((np.log(basis.mean), basis.mean, basis.width, scale))
        self._tables = law, np.ascontiguousarray(slices), self._at, self._order, self._count, self._data
        self._add(np.repeat(np.arange(n_pairs), COARSE.size), np.tile(COARSE, n_pairs))

    def _add(self, pair: IntArray, at: IntArray) -> IntArray:
        """Slots of strikes, priced if they are new; -1 where there is no room."""
        slot = np.empty(pair.size, dtype=np.int64)
        add_strikes(pair, at, *self._tables, self._near, self._far, slot)
        return slot

    def refine(self, x: FloatArray) -> None:
        """Measure the rise of prices, and look closely where they hardly rise."""
        look(x, self._mix, *self._tables, self._near, self._far, self._want, self._rise, self._lowest)

    def ask(self) -> bool:
        """Turn strikes where prices fell at the last look into cuts; False where they fell nowhere."""
        pairs = ask_cuts(
            COARSE.size, self._order, self._count, self._rise, self._lowest, self._data, self._cut
        )
        return pairs > 0

    def cuts(self) -> Cuts:
        """Cuts of the program."""
        pair, slot = np.nonzero(self._cut)
        data = self._data[pair, slot]
        counts = np.bincount(pair, minlength=self._count.size)
        return Cuts(
            near=self._near[pair, slot],
            far=self._far[pair, slot],
            least=data[:, MARGIN] * np.maximum(data[:, BASE], 0.0),
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        )

    def multipliers(self) -> FloatArray:
        """Multipliers of the cuts."""
        return np.asarray(self._data[:, :, MULTIPLIER][self._cut])

    def keep(self, multipliers: FloatArray) -> None:
        """Remember the multipliers of the cuts."""
        self._data[:, :, MULTIPLIER][self._cut] = multipliers

    def memory(self) -> CutMemory:
        """Cuts that bind."""
        pair, slot = np.nonzero(self._cut & (self._data[:, :, MULTIPLIER] > 0.0))
        data = self._data[pair, slot]
        return CutMemory(
            pair=pair, at=self._at[pair, slot], multiplier=data[:, MULTIPLIER], margin=data[:, MARGIN]
        )

    def recall(self, memory: CutMemory) -> None:
        """Begin with the cuts that bound in another fit; pairs are those of this one."""
        slot = self._add(memory.pair, memory.at)
        there = slot >= 0
        pair, slot = memory.pair[there], slot[there]
        self._cut[pair, slot] = True
        self._data[pair, slot, MULTIPLIER] = memory.multiplier[there]
        self._data[pair, slot, MARGIN] = memory.margin[there]
