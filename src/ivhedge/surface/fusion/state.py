"""What is known of the venues' biases, as one normal vector: means, covariance, and how it grows old.

For every venue there is a common level and slope bias and, per expiry, a deviation from it; the bias of a
venue in an expiry is their sum. The third number of a venue and expiry is the error of the forward its vols
were inverted with.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import FloatArray, IntArray
from ivhedge.surface.fusion.settings import FusionSettings

__all__ = ["PARTS", "BiasState", "carry_over", "positions"]

PARTS = 3
"""Level, slope and forward error."""
_DAY_S = 86_400.0
_COMMON_SHARE = 0.5  # of the drift that all expiries of a venue share, in variance


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasState:
    """Normal vector of biases.

    Parameters
    ----------
    ts_ns : int
    venues : tuple of str, length v
    expiry_ns : IntArray, shape (e,)
    half_spread : FloatArray, shape (v,)
        Typical half-spread of each venue: the unit of its priors.
    reference : FloatArray, shape (v,)
        Weights of the consensus that biases are relative to; sum 1.
    expiry_spread : FloatArray, shape (2,)
        Standard deviation of levels and of slopes between a venue's expiries, in half-spreads.
    mean : FloatArray, shape (v * (e + 1) * 3,)
        Ordered by venue, then common and expiries, then part.
    covariance : FloatArray, shape (same, same)
    """

    ts_ns: int
    venues: tuple[str, ...]
    expiry_ns: IntArray
    half_spread: FloatArray
    reference: FloatArray
    expiry_spread: FloatArray
    mean: FloatArray
    covariance: FloatArray

    def at(self, part: int) -> tuple[FloatArray, FloatArray]:
        """Bias and standard error of a part for every venue, common first, shape (v, e + 1)."""
        shape = (len(self.venues), self.expiry_ns.size + 1)
        slots = positions(shape[0], shape[1] - 1)[:, :, part]
        common = slots[:, :1]
        value, variance = self.mean[slots], np.diag(self.covariance)[slots]
        base, spread = value[:, :1], variance[:, :1]
        value = np.concatenate((base, value[:, 1:] + base), axis=1)
        mixed = 2.0 * self.covariance[common, slots[:, 1:]]
        variance = np.concatenate((spread, variance[:, 1:] + spread + mixed), axis=1)
        return value, np.sqrt(np.maximum(variance, 0.0))


def positions(n_venues: int, n_expiries: int) -> IntArray:
    """Position in the vector of (venue, slot, part)."""
    return np.arange(n_venues * (n_expiries + 1) * PARTS).reshape(n_venues, n_expiries + 1, PARTS)


def prior_variance(
    half: FloatArray, n_expiries: int, spread: FloatArray, settings: FusionSettings, forward_error: FloatArray
) -> FloatArray:
    """Prior variances of the whole vector."""
    variance = np.zeros((half.size, n_expiries + 1, PARTS))
    variance[:, 0, :2] = (settings.venue_prior * half[:, None]) ** 2
    variance[:, 1:, :2] = (spread[None, None, :] * half[:, None, None]) ** 2
    variance[:, 1:, 2] = forward_error**2
    return variance.ravel()


def condition(covariance: FloatArray, reference: FloatArray, slots: IntArray) -> FloatArray:
    """Hold the consensus: the weighted mean of the common biases stays where it is, at zero for a new one."""
    for part in (0, 1):
        g = np.zeros(covariance.shape[0])
        g[slots[:, 0, part]] = reference
        pg = covariance @ g
        total = float(g @ pg)
        if total > 1e-16:
            covariance = covariance - np.outer(pg, pg) / total
    return covariance


def carry_over(
    before: BiasState | None,
    *,
    ts_ns: int,
    venues: tuple[str, ...],
    expiry_ns: IntArray,
    half_spread: FloatArray,
    forward_error: FloatArray,
    settings: FusionSettings,
    spread: FloatArray | None = None,
    information: FloatArray | None = None,
    forget: Collection[str] = (),
) -> BiasState:
    """Prior of a snapshot: what is remembered, aged; new venues and expiries get fresh priors.

    Parameters
    ----------
    before : BiasState, optional
    ts_ns : int
    venues : tuple of str
        All venues, remembered ones included.
    expiry_ns : IntArray, shape (e,)
    half_spread : FloatArray, shape (v,)
    forward_error : FloatArray, shape (v, e)
    settings : FusionSettings
    spread : FloatArray, shape (2,), optional
        Between expiries; remembered or the settings' where not given.
    information : FloatArray, shape (v,), optional
        Weights of a new consensus; by default the inverse square of the half-spread.
    forget : collection of str
        Venues of whose biases nothing is remembered; they define the consensus no more. Not all can be.
    """
    n_v, n_e = len(venues), expiry_ns.size
    if spread is None:
        spread = np.full(2, settings.expiry_prior) if before is None else before.expiry_spread
    slots = positions(n_v, n_e)
    fresh = prior_variance(half_spread, n_e, spread, settings, forward_error)
    reference = _reference(
        before, venues, half_spread**-2.0 if information is None else information, settings, forget
    )
    mean, covariance = np.zeros(fresh.size), np.diag(fresh)
    if before is None:
        if settings.anchor in venues:
            mine = slots[venues.index(settings.anchor), :, :2].ravel()
            covariance[mine, mine] = 0.0
        else:
            covariance = condition(covariance, reference, slots)
    else:
        here, there = _shared(before, venues, expiry_ns, slots, forget)
        mean[here] = before.mean[there]
        covariance[np.ix_(here, here)] = before.covariance[np.ix_(there, there)]
        days = max((ts_ns - before.ts_ns) / 1e9, 0.0) / _DAY_S
        walk = np.zeros((n_v, n_e + 1, PARTS))
        step = (settings.drift_per_day * half_spread) ** 2 * days
        walk[:, 0, :2] = _COMMON_SHARE * step[:, None]
        walk[:, 1:, :2] = (1.0 - _COMMON_SHARE) * step[:, None, None]
        if settings.anchor in venues:
            walk[venues.index(settings.anchor)] = 0.0
        steps = walk.ravel()
        steps[np.setdiff1d(np.arange(steps.size), here)] = 0.0
        # No more can be forgotten than was ever unknown.
        room = np.maximum(fresh - np.diag(covariance), 0.0)
        covariance[np.diag_indices_from(covariance)] += np.minimum(steps, room)
        if settings.anchor in venues:
            mine = slots[venues.index(settings.anchor), :, :2].ravel()
            covariance[mine, :] = 0.0
            covariance[:, mine] = 0.0
            mean[mine] = 0.0
        else:
            covariance = condition(covariance, reference, slots)
    return BiasState(
        ts_ns=ts_ns,
        venues=venues,
        expiry_ns=expiry_ns,
        half_spread=half_spread,
        reference=reference,
        expiry_spread=spread,
        mean=mean,
        covariance=covariance,
    )


def _reference(
    before: BiasState | None,
    venues: tuple[str, ...],
    fresh: FloatArray,
    settings: FusionSettings,
    forget: Collection[str],
) -> FloatArray:
    """Weights of the consensus; a venue that comes later is measured by it and does not move it."""
    if settings.anchor in venues:
        weight = np.array([float(v == settings.anchor) for v in venues])
    elif before is not None:
        known = dict(zip(before.venues, before.reference.tolist(), strict=True))
        weight = np.array([0.0 if v in forget else known.get(v, 0.0) for v in venues])
    else:
        weight = fresh
    return np.asarray(weight / weight.sum())


def _shared(
    before: BiasState,
    venues: tuple[str, ...],
    expiry_ns: IntArray,
    slots: IntArray,
    forget: Collection[str],
) -> tuple[IntArray, IntArray]:
    old = positions(len(before.venues), before.expiry_ns.size)
    place = {int(e): s + 1 for s, e in enumerate(before.expiry_ns)}
    here: list[int] = []
    there: list[int] = []
    for v, name in enumerate(venues):
        if name not in before.venues or name in forget:
            continue
        u = before.venues.index(name)
        pairs = [(0, 0)] + [(s + 1, place[int(e)]) for s, e in enumerate(expiry_ns) if int(e) in place]
        for mine, theirs in pairs:
            # The forward error belongs to one snapshot: forwards are published anew.
            here.extend(slots[v, mine, :2].tolist())
            there.extend(old[u, theirs, :2].tolist())
    return np.array(here, dtype=np.int64), np.array(there, dtype=np.int64)
