"""Robust eSSVI calibration on packed quotes.

1. Each slice on its own: at-the-money vol by a weighted median, then three parameters with Huber's loss.
2. The slices are moved into what the no-arbitrage map can reach.
3. Levenberg–Marquardt on the map's free numbers for all slices together: Huber's loss in the first rounds,
   then Tukey's, which ignores gross outliers. Scales are measured between rounds and kept in the last one,
   which therefore has a minimum and reaches it.

Every iterate is free of arbitrage, so stopping early costs accuracy, never validity.
"""

from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.pricing.jit import jit_available
from ivhedge.surface import _kernels, _twin
from ivhedge.surface._residuals import FULL_SLICE
from ivhedge.surface.essvi import essvi_total_variance

__all__ = ["FULL_SLICE", "Calibration", "PackedQuotes", "QuoteBounds", "RobustSettings", "calibrate_essvi"]

NO_BOUND = 1e6
"""Vol that stands for no upper bound."""
SLICE_ROUNDS = 4
"""Measured scales in the fit of a slice on its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustSettings:
    """How the fit treats outliers and when it stops.

    Parameters
    ----------
    min_scale : float
        Smallest scale of weighted errors, in units of one half-spread; below it nothing is an outlier.
    huber, tukey : float
        Turning points in scales; 1.5 and 4.685 give 95 % efficiency on normal errors.
    huber_rounds, max_rounds : int
        Rounds, of which the first few are Huber; scales are measured between them.
    max_iterations : int
        Levenberg–Marquardt steps per round but the last, which goes on to the minimum.
    weight_tolerance : float
        The last round begins when no scale moves by a larger share; no robust weight then moves by more.
    prior_strength : float
        Information, in quotes, that holds rho and psi of slices with fewer than 8 quotes.
    use_twin : bool
        Run the plain-numpy kernels although a compiler is present.
    """

    min_scale: float = 0.3
    huber: float = 1.5
    tukey: float = 4.685
    huber_rounds: int = 2
    max_rounds: int = 8
    max_iterations: int = 2
    weight_tolerance: float = 2e-2
    prior_strength: float = 0.05
    use_twin: bool = False

    def __post_init__(self) -> None:
        if min(self.min_scale, self.huber, self.tukey, self.weight_tolerance) <= 0.0:
            raise ConfigError("expected positive min_scale, huber, tukey and weight_tolerance")
        if not 0 <= self.huber_rounds < self.max_rounds or self.max_iterations < 1:
            raise ConfigError(
                "expected 0 <= huber_rounds < max_rounds and max_iterations >= 1, "
                f"found {self.huber_rounds}, {self.max_rounds}, {self.max_iterations}"
            )
        if self.prior_strength < 0.0:
            raise ConfigError(f"expected prior_strength >= 0, found {self.prior_strength}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteBounds:
    """Vols that a surface should not leave, without pulling it: one-sided quotes, bids of one tick.

    Parameters
    ----------
    log_moneyness : FloatArray, shape (m,)
    lower, upper : FloatArray, shape (m,)
        Decimal vols, 0 and infinity where there is no such bound.
    weight : FloatArray, shape (m,)
        Of one vol error beyond the bound. Errors are judged on the scale of the slice's values: a bound
        missed by far is an outlier and ignored.
    slices : IntArray, shape (m,)
        Slice number of each.

    Raises
    ------
    CalibrationError
        If shapes do not fit or a number is out of its range.
    """

    log_moneyness: FloatArray
    lower: FloatArray
    upper: FloatArray
    weight: FloatArray
    slices: IntArray

    def __post_init__(self) -> None:
        shape = self.slices.shape
        columns = (self.log_moneyness, self.lower, self.upper, self.weight)
        if len(shape) != 1 or any(column.shape != shape for column in columns):
            raise CalibrationError("expected log_moneyness, lower, upper, weight, slices of one shape (m,)")
        if not np.isfinite(self.log_moneyness).all():
            raise CalibrationError("expected finite log-moneyness of bounds; drop such quotes first")
        if not ((self.lower >= 0.0) & (self.lower <= self.upper) & (self.upper > 0.0)).all():
            raise CalibrationError("expected 0 <= lower <= upper and upper > 0; drop such quotes first")
        if not ((self.weight > 0.0) & np.isfinite(self.weight) & np.isfinite(self.lower)).all():
            raise CalibrationError(
                "expected positive finite weights and finite lower bounds; drop such quotes first"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedQuotes:
    """Implied vols of all slices, slice s in rows ``offsets[s]:offsets[s + 1]``.

    Parameters
    ----------
    log_moneyness, vol, weight : FloatArray, shape (q,)
        ln(K / F), implied vol, and weight of one vol error: 1 / half-spread in vol, times a factor <= 1.
    offsets : IntArray, shape (n + 1,)
    taus : FloatArray, shape (n,)
        Years, ascending.
    bounds : QuoteBounds, optional

    Raises
    ------
    CalibrationError
        If shapes do not fit, a slice is empty, or a number is out of its range.
    """

    log_moneyness: FloatArray
    vol: FloatArray
    weight: FloatArray
    offsets: IntArray
    taus: FloatArray
    bounds: QuoteBounds | None = None

    def __post_init__(self) -> None:
        count = self.vol.size
        if self.taus.size == 0 or count == 0:
            raise CalibrationError(
                "expected at least one slice with quotes, found none; check cleaning and forwards"
            )
        if not self.log_moneyness.shape == self.vol.shape == self.weight.shape == (count,):
            raise CalibrationError("expected log_moneyness, vol and weight of one shape (q,)")
        if self.offsets.shape != (self.taus.size + 1,) or (np.diff(self.offsets) < 1).any():
            raise CalibrationError("expected n + 1 ascending offsets and no empty slice")
        if self.offsets[0] != 0 or self.offsets[-1] != count:
            raise CalibrationError(f"expected offsets from 0 to {count}, found {self.offsets.tolist()}")
        if not (self.taus > 0.0).all() or (np.diff(self.taus) <= 0.0).any():
            raise CalibrationError(f"expected positive ascending taus, found {self.taus.tolist()}")
        if not np.isfinite(self.log_moneyness).all() or not np.isfinite(self.weight).all():
            raise CalibrationError("expected finite log-moneyness and weights; drop such quotes first")
        if not ((self.vol > 0.0) & np.isfinite(self.vol)).all() or not (self.weight > 0.0).all():
            raise CalibrationError(
                "expected positive finite vols and positive weights; drop such quotes first"
            )
        if self.bounds is not None:
            slices = self.bounds.slices
            if ((slices < 0) | (slices >= self.taus.size)).any():
                raise CalibrationError(
                    f"expected bounds of slices 0 to {self.taus.size - 1}, found {slices.tolist()}"
                )

    @property
    def owner(self) -> IntArray:
        """Slice number of each quote, shape (q,)."""
        return np.repeat(np.arange(self.taus.size), np.diff(self.offsets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a calibration gives back.

    Parameters
    ----------
    params : FloatArray, shape (n, 3)
        (theta, rho, psi) per slice, free of arbitrage.
    robust_weight : FloatArray, shape (q,)
        Final robust weight of each quote: 1 = in full, 0 = rejected.
    iterations, rounds : int
        Levenberg–Marquardt steps and rounds.
    converged : bool
        Whether the last round, whose scales are fixed, reached its minimum.
    warm : bool
        Whether the given start was used.
    bound_weight : FloatArray, shape (m,)
        Final robust weight of each bound: 1 = held or missed by little, 0 = rejected. Empty without bounds.
    """

    params: FloatArray
    robust_weight: FloatArray
    iterations: int
    rounds: int
    converged: bool
    warm: bool
    bound_weight: FloatArray = field(default_factory=lambda: np.empty(0))


def calibrate_essvi(
    quotes: PackedQuotes, settings: RobustSettings | None = None, *, start: FloatArray | None = None
) -> Calibration:
    """Fit eSSVI slices without arbitrage to packed quotes.

    Parameters
    ----------
    quotes : PackedQuotes
    settings : RobustSettings, optional
    start : FloatArray, shape (n, 3), optional
        Slices of an earlier fit at these taus. It is left aside when it lies far from the quotes.

    Returns
    -------
    Calibration

    Raises
    ------
    CalibrationError
        If the start has a wrong shape or a number is not finite.
    """
    settings = settings or RobustSettings()
    kernels = _twin if settings.use_twin or not jit_available() else _kernels
    if start is not None:
        _check_start(start, quotes.taus.size)
    ranges = _ranges(quotes)
    atm = kernels.atm_vols(*_values(quotes), quotes.offsets, ranges.counts)
    warm = start is not None and _is_near(quotes, start)
    if start is not None and warm:
        first, prior = start, _prior(quotes, atm, start, settings)
    else:
        first, prior = _cold_start(
            kernels, quotes, ranges, atm, _prior(quotes, atm, None, settings), settings
        )
    params, robust, iterations, rounds, converged = kernels.robust_fit(
        kernels.coordinates_of(np.ascontiguousarray(first, dtype=np.float64)),
        *ranges.arrays,
        prior,
        settings.min_scale,
        (settings.huber, settings.tukey),
        (settings.huber_rounds if warm else 0, settings.huber_rounds, settings.max_rounds),
        settings.max_iterations,
        settings.weight_tolerance,
    )
    if not np.isfinite(params).all():
        row = int(np.flatnonzero(~np.isfinite(params).all(axis=1))[0])
        raise CalibrationError(
            f"slice {row} at {quotes.taus[row] * DAYS_PER_YEAR:.4g} days: expected finite parameters, found "
            f"{params[row].tolist()}; check its quotes and forward, or leave the expiry out"
        )
    return Calibration(
        params=params,
        robust_weight=robust[ranges.value_rows],
        iterations=iterations,
        rounds=rounds,
        converged=converged,
        warm=warm,
        bound_weight=robust[ranges.bound_rows],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranges:
    """Values and bounds in the form of the kernels, and their rows there."""

    arrays: tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray, IntArray, FloatArray]
    counts: IntArray
    value_rows: IntArray | slice
    bound_rows: IntArray | slice


def _values(quotes: PackedQuotes) -> tuple[FloatArray, FloatArray, FloatArray]:
    k, vol, weight = (
        np.ascontiguousarray(column, dtype=np.float64)
        for column in (quotes.log_moneyness, quotes.vol, quotes.weight)
    )
    return k, vol, weight


def _ranges(quotes: PackedQuotes) -> _Ranges:
    k, vol, weight = _values(quotes)
    offsets = np.ascontiguousarray(quotes.offsets, dtype=np.int64)
    taus = np.ascontiguousarray(quotes.taus, dtype=np.float64)
    counts = np.diff(offsets)
    bounds = quotes.bounds
    if bounds is None or bounds.slices.size == 0:
        return _Ranges(
            arrays=(k, vol, vol, weight, offsets, counts, taus),
            counts=counts,
            value_rows=slice(None),
            bound_rows=slice(0, 0),
        )
    # Inside a slice the values come first.
    order = np.argsort(np.concatenate((quotes.owner, bounds.slices)), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return _Ranges(
        arrays=(
            np.concatenate((k, bounds.log_moneyness))[order],
            np.concatenate((vol, bounds.lower))[order],
            np.concatenate((vol, np.minimum(bounds.upper, NO_BOUND)))[order],
            np.concatenate((weight, bounds.weight))[order],
            offsets + np.concatenate(([0], np.cumsum(np.bincount(bounds.slices, minlength=taus.size)))),
            counts,
            taus,
        ),
        counts=counts,
        value_rows=place[: vol.size],
        bound_rows=place[vol.size :],
    )


def _check_start(start: FloatArray, n: int) -> None:
    if start.shape != (n, 3) or not np.isfinite(start).all():
        raise CalibrationError(f"expected a finite start of shape ({n}, 3), found shape {start.shape}")
    if not (start[:, [0, 2]] > 0.0).all() or not (np.abs(start[:, 1]) < 1.0).all():
        raise CalibrationError("expected a start with theta > 0, |rho| < 1 and psi > 0; leave it out instead")


def _cold_start(
    kernels: ModuleType,
    quotes: PackedQuotes,
    ranges: _Ranges,
    atm: FloatArray,
    prior: FloatArray,
    settings: RobustSettings,
) -> tuple[FloatArray, FloatArray]:
    how = (settings.min_scale, settings.huber, SLICE_ROUNDS)
    # A generic prior worth one quote keeps a slice of many outliers from a flat smile at the edge of rho.
    generic = prior.copy()
    generic[:, 1], generic[:, 3] = 1.0 / 0.25, 1.0 / (0.25 * prior[:, 2] ** 2)
    fitted = kernels.fit_slices(atm, *ranges.arrays, generic, *how)
    thin = np.diff(quotes.offsets) < FULL_SLICE
    if thin.any() and not thin.all():
        # Thin slices lean on the median shape of the full ones instead of the generic one.
        rho = float(np.median(fitted[~thin, 1]))
        shape = float(np.median(fitted[~thin, 2] / np.sqrt(fitted[~thin, 0])))
        prior = prior.copy()
        prior[thin, 0] = rho
        prior[thin, 2] = shape * np.sqrt(fitted[thin, 0])
        refitted = kernels.fit_slices(atm, *ranges.arrays, prior, *how)
        fitted = np.where(thin[:, None], refitted, fitted)
    return _smoothed(fitted), prior


def _smoothed(params: FloatArray) -> FloatArray:
    """Slices near the given ones whose skew and shape follow their neighbours and whose theta rises.

    The map moves forward in time: one wild slice would push every later one away. Medians over five
    neighbours and a pooled, ascending theta keep it from doing so.
    """
    theta = _ascending(params[:, 0])
    rho = _rolling_median(params[:, 1])
    shape = _rolling_median(params[:, 2] / np.sqrt(params[:, 0]))
    return np.column_stack((theta, rho, shape * np.sqrt(theta)))


def _rolling_median(values: FloatArray) -> FloatArray:
    # At the ends the window stops instead of repeating an end value, which may be the wild one.
    width = min(5, values.size)
    first = np.clip(np.arange(values.size) - width // 2, 0, values.size - width)
    windows = values[first[:, None] + np.arange(width)]
    return np.asarray(np.sort(windows, axis=1)[:, (width - 1) // 2])


def _ascending(values: FloatArray) -> FloatArray:
    """Isotonic regression of the logarithms (pool adjacent violators)."""
    means: list[float] = []
    counts: list[int] = []
    for value in np.log(values):
        means.append(float(value))
        counts.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            count = counts[-2] + counts[-1]
            means[-2:] = [(means[-2] * counts[-2] + means[-1] * counts[-1]) / count]
            counts[-2:] = [count]
    return np.asarray(np.exp(np.repeat(means, counts)))


def _prior(
    quotes: PackedQuotes, atm: FloatArray, start: FloatArray | None, settings: RobustSettings
) -> FloatArray:
    # Pseudo-observations (rho, weight, psi, weight) with standard errors 0.5 and half of psi.
    thin = np.diff(quotes.offsets) < FULL_SLICE
    rho = np.zeros(atm.size) if start is None else start[:, 1]
    psi = 0.8 * atm * np.sqrt(quotes.taus) if start is None else start[:, 2]
    strength = np.where(thin, settings.prior_strength, 0.0)
    return np.column_stack((rho, strength / 0.25, psi, strength / (0.25 * psi * psi)))


def _errors(quotes: PackedQuotes, params: FloatArray) -> FloatArray:
    owner = quotes.owner
    theta, rho, psi = params[owner].T
    variance = essvi_total_variance(quotes.log_moneyness, theta, rho, psi)
    return np.asarray((np.sqrt(variance / quotes.taus[owner]) - quotes.vol) * quotes.weight)


def _is_near(quotes: PackedQuotes, start: FloatArray) -> bool:
    return bool(np.median(np.abs(_errors(quotes, start))) < 4.0)
