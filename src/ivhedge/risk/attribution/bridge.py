"""Sub-steps between two marks: spot from a recorded path, vols from the two surfaces, ends at the marks.

Between the marks of a leg, with u the share of its time that has passed:

    spot      S(t) from the path, times the log-linear ratio that makes it the index at both ends
    forward   F(t) = S(t)·b(t), ln b linear in time: the leg's own ratio F/S at both ends
    vol       σ(t)² = r(t)²·[(1−u)·A(k_A)² + u·B(k_B)²], ln r linear in time
              k_A = ln(K/F0) − (1−R)·ln(F/F0)     k_B = ln(K/F1) − (1−R)·ln(F/F1)

A and B are the vols of the surfaces at the start and the end for the leg's expiry (total variance over the
time to it), r = mark vol / surface vol. The ends are the marks whatever R, the skew-stickiness ratio, is:
R = 1 keeps the smile at its strikes between the marks, R = 0 moves it with the forward. A leg that expires
inside has no B: the smile of the start stays until the payoff. Where a surface lacks the leg's vol, A and B
are the leg's own mark vols.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR, format_ns
from ivhedge.risk.attribution.book import PERPETUAL, HeldLegs, LegMarks
from ivhedge.surface.base import VolSurface

__all__ = ["BridgedPath", "SpotPath", "bridge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotPath:
    """A recorded path of one underlying's price.

    Parameters
    ----------
    ts_ns : IntArray, shape (m,)
        Ascending. A candle's open belongs to its opening time.
    price : FloatArray, shape (m,)
        USD; its level does not matter, only its moves.

    Raises
    ------
    DataError
        If times do not ascend, or a price is not positive and finite.
    """

    ts_ns: IntArray
    price: FloatArray

    def __post_init__(self) -> None:
        if self.ts_ns.shape != self.price.shape or self.ts_ns.ndim != 1 or self.ts_ns.size < 2:
            raise DataError(
                f"expected as many prices as times, two or more, found {self.price.shape} "
                f"and {self.ts_ns.shape}"
            )
        if not (np.diff(self.ts_ns) > 0).all():
            raise DataError("expected the times of a spot path to ascend; sort it and drop repeated times")
        if not (np.isfinite(self.price).all() and (self.price > 0.0).all()):
            raise DataError("expected positive, finite prices in a spot path; drop the empty candles")

    def at(self, ts_ns: IntArray) -> FloatArray:
        """Prices at given times, log-linear between the path's own.

        Raises
        ------
        DataError
            If a time lies outside the path.
        """
        first, last = int(self.ts_ns[0]), int(self.ts_ns[-1])
        if ts_ns.min() < first or ts_ns.max() > last:
            raise DataError(
                f"expected a spot path over {format_ns(int(ts_ns.min()))} to {format_ns(int(ts_ns.max()))}, "
                f"found {format_ns(first)} to {format_ns(last)}; load more of it or explain without sub-steps"
            )
        x = (ts_ns - first).astype(np.float64)
        return np.exp(np.interp(x, (self.ts_ns - first).astype(np.float64), np.log(self.price)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgedPath:
    """States of n legs at m + 1 times; a leg stays at its payoff after its expiry.

    Parameters
    ----------
    ts_ns : IntArray, shape (m + 1,)
    spot, forward, tau, vol : FloatArray, shape (m + 1, n)
        `spot` at the leg's own time, at most its expiry. NaN vol for futures.
    roll : FloatArray, shape (m, n)
        Forward at each sub-step's start after its time passes at an unchanged basis rate, USD.
    slide, surface, own : FloatArray, shape (m, n)
        Parts of the vol move: along the smile, of the surface, of the mark against the surface.
    share : FloatArray, shape (m, n)
        Share of the leg's time that passes in each sub-step.
    """

    ts_ns: IntArray
    spot: FloatArray
    forward: FloatArray
    tau: FloatArray
    vol: FloatArray
    roll: FloatArray
    slide: FloatArray
    surface: FloatArray
    own: FloatArray
    share: FloatArray


def bridge(
    legs: HeldLegs,
    start: LegMarks,
    end: LegMarks,
    usable: BoolArray,
    *,
    path: SpotPath | None,
    max_step_ns: int | None,
    skew_stickiness: float,
) -> BridgedPath:
    """Lay the path of the usable legs between two marks; the others get NaN.

    Raises
    ------
    DataError
        If the times do not ascend or the path does not cover them.
    """
    if end.ts_ns <= start.ts_ns:
        raise DataError(
            f"expected an end after the start, found {format_ns(start.ts_ns)} to {format_ns(end.ts_ns)}"
        )
    times = _grid(legs, start.ts_ns, end.ts_ns, path, max_step_ns)
    span = (end.time_ns - start.ts_ns).astype(np.float64)
    own_ns = np.minimum(times[:, None], end.time_ns[None, :])
    u = (own_ns - start.ts_ns) / np.where(span > 0.0, span, 1.0)
    spot = _spot(own_ns, start, end, path)
    log_start = np.log(start.forward / spot[0])
    log_end = np.log(end.forward / spot[-1])
    forward = spot * np.exp((1.0 - u) * log_start + u * log_end)
    forward[0], forward[-1] = start.forward, end.forward
    forward = np.where(u >= 1.0, end.forward, forward)
    forward = np.where(usable, forward, np.nan)
    expiry = np.where(legs.expiry_ns == PERPETUAL, own_ns[-1], legs.expiry_ns)
    tau = np.maximum((expiry - own_ns) / NS_PER_YEAR, 0.0)
    # Rolled down: the annual rate ln(F/S)/tau stays while tau shrinks.
    left = np.divide(tau[1:], tau[:-1], out=np.ones_like(tau[1:]), where=tau[:-1] > 0.0)
    roll = spot[:-1] * (forward[:-1] / spot[:-1]) ** left
    vol, slide, surface, own = _vols(legs, start, end, usable, forward, u, skew_stickiness)
    return BridgedPath(
        ts_ns=times,
        spot=spot,
        forward=forward,
        tau=tau,
        vol=vol,
        roll=roll,
        slide=slide,
        surface=surface,
        own=own,
        share=np.diff(u, axis=0),
    )


def _grid(
    legs: HeldLegs, start_ns: int, end_ns: int, path: SpotPath | None, max_step_ns: int | None
) -> IntArray:
    if max_step_ns is None:
        return np.array([start_ns, end_ns], dtype=np.int64)
    inner = [legs.expiry_ns] if path is None else [legs.expiry_ns, path.ts_ns]
    known = np.unique(np.concatenate([*inner, np.array([start_ns, end_ns], dtype=np.int64)]))
    known = known[(known >= start_ns) & (known <= end_ns)]
    pieces = [
        np.linspace(a, b, -(-(b - a) // max_step_ns), endpoint=False).astype(np.int64)
        if b - a > max_step_ns
        else np.array([a], dtype=np.int64)
        for a, b in itertools.pairwise(known.tolist())
    ]
    return np.concatenate([*pieces, known[-1:]])


def _spot(own_ns: IntArray, start: LegMarks, end: LegMarks, path: SpotPath | None) -> FloatArray:
    share = (own_ns - start.ts_ns) / (end.ts_ns - start.ts_ns)
    if path is None:
        return np.asarray(start.spot * (end.spot / start.spot) ** share)
    ends = path.at(np.array([start.ts_ns, end.ts_ns], dtype=np.int64))
    first, last = np.log(np.array([start.spot, end.spot]) / ends)
    return np.asarray(path.at(own_ns) * np.exp((1.0 - share) * first + share * last))


def _vols(
    legs: HeldLegs,
    start: LegMarks,
    end: LegMarks,
    usable: BoolArray,
    forward: FloatArray,
    u: FloatArray,
    stickiness: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    rows = np.flatnonzero(usable & legs.is_option)
    vol = np.full(forward.shape, np.nan)
    slide, surface, own = (np.zeros((forward.shape[0] - 1, legs.count)) for _ in range(3))
    if rows.size == 0:
        return vol, slide, surface, own
    forward, u, strike = forward[:, rows], u[:, rows], legs.strike[rows]
    settled = end.tau[rows] <= 0.0
    before = _read(start.surface, strike, forward, start.forward[rows], start.tau[rows], stickiness)
    after = _read(end.surface, strike, forward, end.forward[rows], end.tau[rows], stickiness)
    after = np.where(settled, before, after)
    blind = ~(np.isfinite(before) & (before > 0.0) & np.isfinite(after) & (after > 0.0)).all(axis=0)
    vol0, vol1 = start.vol[rows], np.where(settled, start.vol[rows], end.vol[rows])
    before, after = np.where(blind, vol0, before), np.where(blind, vol1, after)
    ratio0 = np.log(vol0 / before[0])
    ratio1 = np.where(settled, ratio0, np.log(vol1 / after[-1]))
    ratio = np.exp((1.0 - u) * ratio0 + u * ratio1)
    smile = np.sqrt((1.0 - u) * before**2 + u * after**2)
    # The blend of each start at the next forward: what the smile alone does while the forward moves.
    moved = np.sqrt((1.0 - u[:-1]) * before[1:] ** 2 + u[:-1] * after[1:] ** 2)
    path = ratio * smile
    path[0] = vol0
    path = np.where((u >= 1.0) & ~settled, vol1, path)
    # The last sub-step of a settled leg goes to the payoff, where a vol has no meaning.
    path = _keep_last(path, u, settled)
    live = ~((u[1:] >= 1.0) & settled)
    vol[:, rows] = path
    slide_part = np.where(live, ratio[:-1] * (moved - smile[:-1]), 0.0)
    surface_part = np.where(live, ratio[:-1] * (smile[1:] - moved), 0.0)
    slide[:, rows] = np.where(blind, 0.0, slide_part)
    surface[:, rows] = np.where(blind, 0.0, surface_part)
    own[:, rows] = np.diff(path, axis=0) - slide[:, rows] - surface[:, rows]
    return vol, slide, surface, own


def _keep_last(path: FloatArray, u: FloatArray, settled: BoolArray) -> FloatArray:
    last_alive = np.sum(u < 1.0, axis=0) - 1
    kept = path[last_alive, np.arange(path.shape[1])]
    return np.where((u >= 1.0) & settled, kept, path)


def _read(
    surface: VolSurface | None,
    strike: FloatArray,
    forward: FloatArray,
    anchor: FloatArray,
    tau: FloatArray,
    stickiness: float,
) -> FloatArray:
    if surface is None:
        return np.full(forward.shape, np.nan)
    k = np.log(strike / anchor) - (1.0 - stickiness) * np.log(forward / anchor)
    found = np.full(forward.shape, np.nan)
    alive = tau > 0.0
    if alive.any():
        found[:, alive] = surface.implied_vol(k[:, alive], np.broadcast_to(tau[alive], k[:, alive].shape))
    return found
