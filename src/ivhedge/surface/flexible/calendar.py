"""Calendar order of neighbouring expiries: strikes where prices fall, cuts there, and the mix that mends it.

The rise of the price from one expiry to the next, over that of the backbone, is as smooth in the strike as
the kernels are wide. It is looked at on a coarse grid of strikes first, then ever closer around its minima.
"""

from dataclasses import dataclass, fields

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.pricing import black76_price
from ivhedge.surface.essvi import essvi_total_variance
from ivhedge.surface.flexible.basis import Basis
from ivhedge.surface.flexible.program import Cuts

__all__ = ["CalendarRows", "CalendarSearch", "CutMemory", "otm_price"]

MARGIN = 1e-2
"""Share of the backbone's rise that a cut asks for at first, so that strikes beside it rise too."""
CLOSE = 0.2
"""Pairs that fall get cuts wherever they rise by less than this share of the backbone's rise."""
LOOK = 0.2
"""Minima below this share are looked at closely."""
TIGHT = 0.03
"""Minima below this share are looked at as closely as strikes can be."""
STEP = 0.1
"""Finest distance of strikes, in standard deviations."""
INNER_SD, REACH_SD = 5.0, 16.0
KEY = 100_000
MAX_LEVELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRows:
    """Strikes at which pairs of expiries are compared, ordered by pair, then by strike.

    Parameters
    ----------
    pair, at : IntArray, shape (r,)
        Number of the earlier expiry; log-moneyness in units of `STEP` of its standard deviations.
    slot : IntArray, shape (r,)
        Where the kernel prices are kept.
    backbone : FloatArray, shape (r,)
        How much the backbone's price rises, in units of its later price: positive.
    cut : BoolArray, shape (r,)
        Whether the row is a constraint.
    margin, multiplier : FloatArray, shape (r,)
        Share of the backbone's rise that it asks for, and its multiplier.
    """

    pair: IntArray
    at: IntArray
    slot: IntArray
    backbone: FloatArray
    cut: BoolArray
    margin: FloatArray
    multiplier: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMemory:
    """Cuts that bind: pair, strike as in `CalendarRows`, and multiplier."""

    pair: IntArray
    at: IntArray
    multiplier: FloatArray


def otm_price(log_moneyness: FloatArray, total_variance: FloatArray) -> FloatArray:
    """Out-of-the-money Black price, forward 1."""
    return black76_price(1.0, np.exp(log_moneyness), 1.0, np.sqrt(total_variance), log_moneyness >= 0.0)


def _coarse_strikes() -> IntArray:
    inner = np.arange(-INNER_SD, INNER_SD + 0.1, 0.5)
    outer = np.arange(INNER_SD + 1.0, REACH_SD + 0.1, 1.0)
    return np.rint(np.concatenate((-outer[::-1], inner, outer)) / STEP).astype(np.int64)


COARSE = _coarse_strikes()


class CalendarSearch:
    """Looks for falling prices; keeps what it priced, and which rows are cuts.

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
        self._basis, self._scale, self._slices, self._mix = basis, scale, slices, mix
        n_pairs = scale.shape[0] - 1
        # Kernel prices of the earlier and the later expiry on x, in units of the later backbone price.
        self._near = self._far = np.empty((0, scale.shape[1]))
        self._pair = np.empty(0, dtype=np.int64)
        self.rows = self._priced(np.repeat(np.arange(n_pairs), COARSE.size), np.tile(COARSE, n_pairs))

    def _priced(self, pair: IntArray, at: IntArray) -> CalendarRows:
        basis, later = self._basis, pair + 1
        k = basis.deviation[pair] * (STEP * at)
        strike, is_call = np.exp(k), k >= 0.0
        mean = np.concatenate((basis.mean[pair], basis.mean[later]))
        width = np.concatenate((basis.width[pair], basis.width[later]))
        both = black76_price(mean, np.tile(strike, 2)[:, None], 1.0, width, np.tile(is_call, 2)[:, None])
        variance = [essvi_total_variance(k, *self._slices[expiry].T) for expiry in (pair, later)]
        base = black76_price(1.0, strike, 1.0, np.sqrt(np.stack(variance)), is_call)
        # Far out the backbone may have no price left; there any unit does.
        unit = base[1] + 1e-9 * basis.deviation[pair]
        first = self._pair.size
        self._pair = np.concatenate((self._pair, pair))
        self._near = np.concatenate((self._near, both[: pair.size] * (self._scale[pair] / unit[:, None])))
        self._far = np.concatenate((self._far, both[pair.size :] * (self._scale[later] / unit[:, None])))
        return CalendarRows(
            pair=pair,
            at=at,
            slot=np.arange(first, self._pair.size),
            backbone=(base[1] - base[0]) / unit,
            cut=np.zeros(pair.size, dtype=np.bool_),
            margin=np.full(pair.size, MARGIN),
            multiplier=np.zeros(pair.size),
        )

    def _add(self, pair: IntArray, at: IntArray) -> None:
        new, old = self._priced(pair, at), self.rows
        order = np.lexsort((np.concatenate((old.at, at)), np.concatenate((old.pair, pair))))
        names = (field.name for field in fields(CalendarRows))
        self.rows = CalendarRows(
            **{name: np.concatenate((getattr(old, name), getattr(new, name)))[order] for name in names}
        )

    def rise(self, x: FloatArray) -> FloatArray:
        """Rise of the price, with the least share of the backbone, over the backbone's, at every row."""
        own = self._own_rise(x, 0)[self.rows.slot]
        return self._with_backbone(own)

    def _own_rise(self, x: FloatArray, first: int) -> FloatArray:
        """Rise of the kernels' price in the slots from `first` on."""
        pair = self._pair[first:]
        rise = np.einsum("rm,rm->r", self._far[first:], x[pair + 1])
        return np.asarray(rise - np.einsum("rm,rm->r", self._near[first:], x[pair]))

    def _with_backbone(self, own: FloatArray) -> FloatArray:
        return ((1.0 - self._mix) * own + self._mix * self.rows.backbone) / self._positive()

    def _positive(self) -> FloatArray:
        return np.maximum(self.rows.backbone, 1e-12)

    def _minima(self, rise: FloatArray) -> BoolArray:
        """Rows that are not above their neighbours of the same pair."""
        joined = self.rows.pair[1:] == self.rows.pair[:-1]
        lowest = np.ones(rise.size, dtype=np.bool_)
        lowest[1:] &= ~joined | (rise[1:] <= rise[:-1])
        lowest[:-1] &= ~joined | (rise[:-1] <= rise[1:])
        return lowest

    def refine(self, x: FloatArray) -> FloatArray:
        """Add strikes at the vertices of the parabolas through low minima; returns `rise`."""
        own = self._own_rise(x, 0)
        for _ in range(MAX_LEVELS):
            rise = self._with_backbone(own[self.rows.slot])
            i, first, second = self._bends(rise)
            at = self.rows.at
            low = rise[i] < LOOK
            i, first, second = i[low], first[low], second[low]
            before, after = at[i] - at[i - 1], at[i + 1] - at[i]
            bend = np.maximum(second - first, 1e-300)
            # Zero of the slope, which is linear between the middles of the two cells.
            vertex = np.rint(at[i] - 0.5 * before - 0.5 * first * (before + after) / bend).astype(np.int64)
            vertex = np.clip(vertex, at[i - 1] + 1, at[i + 1] - 1)
            pair = self.rows.pair[i]
            # Where a minimum nearly binds, its nearest strikes too.
            tight = rise[i] < TIGHT
            want = np.concatenate((vertex, at[i[tight]] - 1, at[i[tight]] + 1))
            want += KEY * np.concatenate((pair, pair[tight], pair[tight]))
            have = np.isin(want, at + KEY * self.rows.pair)
            if have.all():
                return rise
            # Minima side by side may share a vertex.
            key = np.unique(want[~have])
            pair = (key + KEY // 2) // KEY
            self._add(pair, key - KEY * pair)
            own = np.concatenate((own, self._own_rise(x, own.size)))
        return self._with_backbone(own[self.rows.slot])

    def _bends(self, rise: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Inner minima, and the slopes before and after each, per `STEP`."""
        pair, at = self.rows.pair, self.rows.at
        i = np.flatnonzero(self._minima(rise))
        i = i[(i > 0) & (i < rise.size - 1)]
        i = i[(pair[i - 1] == pair[i]) & (pair[i + 1] == pair[i])]
        return i, (rise[i] - rise[i - 1]) / (at[i] - at[i - 1]), (rise[i + 1] - rise[i]) / (at[i + 1] - at[i])

    def lowest(self, rise: FloatArray) -> FloatArray:
        """Rise at each row or, at a minimum, at the vertex of the parabola through it and its neighbours."""
        out, at = rise.copy(), self.rows.at
        i, first, second = self._bends(rise)
        before, after = at[i] - at[i - 1], at[i + 1] - at[i]
        bend = (second - first) / (before + after)
        slope = (first * after + second * before) / (before + after)
        out[i] -= np.where(bend > 0.0, slope * slope / (4.0 * np.maximum(bend, 1e-300)), 0.0)
        return out

    def ask(self, rise: FloatArray, lowest: FloatArray) -> bool:
        """Turn rows where prices fall into cuts; False where they fall nowhere."""
        rows = self.rows
        falls = lowest < 0.0
        if not falls.any():
            return False
        falling = np.zeros(self._scale.shape[0], dtype=np.bool_)
        falling[rows.pair[falls]] = True
        minima = falls & self._minima(rise)
        # A minimum that is a cut already has to ask for more.
        rows.margin[minima & rows.cut] *= 4.0
        coarse = np.isin(rows.at, COARSE)
        rows.cut[minima | (falling[rows.pair] & coarse & (rise < CLOSE))] = True
        return True

    def cuts(self) -> Cuts:
        """Cuts of the program."""
        rows, chosen = self.rows, self.rows.cut
        counts = np.bincount(rows.pair[chosen], minlength=self._scale.shape[0] - 1)
        return Cuts(
            near=self._near[rows.slot[chosen]],
            far=self._far[rows.slot[chosen]],
            least=rows.margin[chosen] * np.maximum(rows.backbone[chosen], 0.0),
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        )

    def multipliers(self) -> FloatArray:
        """Multipliers of the cuts."""
        return self.rows.multiplier[self.rows.cut]

    def keep(self, multipliers: FloatArray) -> None:
        """Remember the multipliers of the cuts."""
        self.rows.multiplier[self.rows.cut] = multipliers

    def memory(self) -> CutMemory:
        """Cuts that bind."""
        binding = self.rows.cut & (self.rows.multiplier > 0.0)
        return CutMemory(
            pair=self.rows.pair[binding], at=self.rows.at[binding], multiplier=self.rows.multiplier[binding]
        )

    def recall(self, memory: CutMemory) -> None:
        """Begin with the cuts that bound in another fit; pairs are those of this one."""
        have = self.rows.pair * KEY + self.rows.at
        want = memory.pair * KEY + memory.at
        missing = ~np.isin(want, have)
        if missing.any():
            self._add(memory.pair[missing], memory.at[missing])
            have = self.rows.pair * KEY + self.rows.at
        found = np.searchsorted(have, want)
        self.rows.cut[found] = True
        self.rows.multiplier[found] = memory.multiplier

    def needed_mix(self, lowest: FloatArray) -> float:
        """Smallest share of the backbone, at least the least, at which no price falls at the strikes priced.

        A little is added for the strikes between.
        """
        # From the rise with the least share to that of the kernels alone.
        own = (lowest - self._mix) / (1.0 - self._mix)
        fall = np.maximum(-own, 0.0)
        worst = float(np.max(np.where(lowest < 0.0, fall / (1.0 + fall), 0.0), initial=0.0))
        return min(1.0, max(self._mix, 1.05 * worst))
