"""Robust eSSVI calibration on packed quotes.

1. Each slice on its own: at-the-money vol by a weighted median, then three parameters with Huber weights.
2. The slices are moved into what the no-arbitrage map can reach.
3. Levenberg–Marquardt on the map's free numbers for all slices together, reweighted: Huber in the first
   rounds, then Tukey, whose weight is zero for gross outliers.

Every iterate is free of arbitrage, so stopping early costs accuracy, never validity.
"""

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from ivhedge.core.errors import CalibrationError, ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.pricing.jit import jit_available
from ivhedge.surface import _kernels, _twin
from ivhedge.surface.essvi import essvi_total_variance

__all__ = ["Calibration", "PackedQuotes", "RobustSettings", "calibrate_essvi"]

FULL_SLICE = 8
"""Slices with fewer quotes are held by weak pseudo-observations of rho and psi."""


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
        Reweighting rounds, of which the first few are Huber.
    max_iterations : int
        Levenberg–Marquardt steps per round.
    weight_tolerance : float
        Rounds end when no robust weight moves by more.
    prior_strength : float
        Information, in quotes, that holds rho and psi of slices with fewer than 8 quotes.
    use_twin : bool
        Run the plain-numpy kernels although a compiler is present.
    """

    min_scale: float = 0.3
    huber: float = 1.5
    tukey: float = 4.685
    huber_rounds: int = 2
    max_rounds: int = 12
    max_iterations: int = 6
    weight_tolerance: float = 5e-3
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
class PackedQuotes:
    """Implied vols of all slices, slice s in rows ``offsets[s]:offsets[s + 1]``.

    Parameters
    ----------
    log_moneyness, vol, weight : FloatArray, shape (q,)
        ln(K / F), implied vol, and weight of one vol error: 1 / half-spread in vol, times a factor <= 1.
    offsets : IntArray, shape (n + 1,)
    taus : FloatArray, shape (n,)
        Years, ascending.

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
        Levenberg–Marquardt steps and reweighting rounds.
    converged : bool
        Whether the weights settled before `max_rounds`.
    warm : bool
        Whether the given start was used.
    """

    params: FloatArray
    robust_weight: FloatArray
    iterations: int
    rounds: int
    converged: bool
    warm: bool


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
    atm = _atm_vols(quotes)
    if start is not None and _is_near(quotes, start):
        return _reweighted(kernels, quotes, start, _prior(quotes, atm, start, settings), settings, warm=True)
    first, prior = _cold_start(kernels, quotes, atm, _prior(quotes, atm, None, settings), settings)
    return _reweighted(kernels, quotes, first, prior, settings, warm=False)


def _check_start(start: FloatArray, n: int) -> None:
    if start.shape != (n, 3) or not np.isfinite(start).all():
        raise CalibrationError(f"expected a finite start of shape ({n}, 3), found shape {start.shape}")
    if not (start[:, [0, 2]] > 0.0).all() or not (np.abs(start[:, 1]) < 1.0).all():
        raise CalibrationError("expected a start with theta > 0, |rho| < 1 and psi > 0; leave it out instead")


def _reweighted(
    kernels: ModuleType,
    quotes: PackedQuotes,
    start: FloatArray,
    prior: FloatArray,
    settings: RobustSettings,
    *,
    warm: bool,
) -> Calibration:
    x = kernels.coordinates_of(np.ascontiguousarray(start))
    robust = np.ones(quotes.vol.size)
    iterations, converged, rounds = 0, False, 0
    first = settings.huber_rounds if warm else 0
    for number in range(first, settings.max_rounds):
        rounds += 1
        errors = _errors(quotes, kernels.map_slices(x))
        previous, robust = robust, _robust_weights(quotes, errors, settings, number)
        settled = number > max(first, settings.huber_rounds)
        converged = settled and bool(np.max(np.abs(robust - previous)) < settings.weight_tolerance)
        last = converged or number == settings.max_rounds - 1
        x, _, steps, _ = kernels.minimise(
            x,
            quotes.log_moneyness,
            quotes.vol,
            quotes.weight * np.sqrt(robust),
            quotes.offsets,
            quotes.taus,
            prior,
            4 * settings.max_iterations if last else settings.max_iterations,
            1e-9 if last else 1e-5,
        )
        iterations += int(steps)
        if converged:
            break
    return Calibration(
        params=kernels.map_slices(x),
        robust_weight=robust,
        iterations=iterations,
        rounds=rounds,
        converged=converged,
        warm=warm,
    )


def _cold_start(
    kernels: ModuleType,
    quotes: PackedQuotes,
    atm: FloatArray,
    prior: FloatArray,
    settings: RobustSettings,
) -> tuple[FloatArray, FloatArray]:
    packed = (quotes.log_moneyness, quotes.vol, quotes.weight, quotes.offsets, quotes.taus)
    # A generic prior worth one quote keeps a slice of many outliers from a flat smile at the edge of rho.
    generic = prior.copy()
    generic[:, 1], generic[:, 3] = 1.0 / 0.25, 1.0 / (0.25 * prior[:, 2] ** 2)
    fitted = kernels.fit_slices(atm, *packed, generic, settings.min_scale, 4)
    thin = np.diff(quotes.offsets) < FULL_SLICE
    if thin.any() and not thin.all():
        # Thin slices lean on the median shape of the full ones instead of the generic one.
        rho = float(np.median(fitted[~thin, 1]))
        shape = float(np.median(fitted[~thin, 2] / np.sqrt(fitted[~thin, 0])))
        prior = prior.copy()
        prior[thin, 0] = rho
        prior[thin, 2] = shape * np.sqrt(fitted[thin, 0])
        refitted = kernels.fit_slices(atm, *packed, prior, settings.min_scale, 4)
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


def _atm_vols(quotes: PackedQuotes) -> FloatArray:
    """Weighted median vol of the quotes nearest the money, per slice."""
    atm = np.empty(quotes.taus.size)
    for s in range(atm.size):
        part = slice(int(quotes.offsets[s]), int(quotes.offsets[s + 1]))
        vol, weight = quotes.vol[part], quotes.weight[part] ** 2
        near = np.argsort(np.abs(quotes.log_moneyness[part]), kind="stable")[: max(5, vol.size // 5)]
        order = near[np.argsort(vol[near], kind="stable")]
        share = np.cumsum(weight[order])
        atm[s] = vol[order[int(np.searchsorted(share, 0.5 * share[-1]))]]
    return atm


def _errors(quotes: PackedQuotes, params: FloatArray) -> FloatArray:
    owner = quotes.owner
    theta, rho, psi = params[owner].T
    variance = essvi_total_variance(quotes.log_moneyness, theta, rho, psi)
    return np.asarray((np.sqrt(variance / quotes.taus[owner]) - quotes.vol) * quotes.weight)


def _is_near(quotes: PackedQuotes, start: FloatArray) -> bool:
    return bool(np.median(np.abs(_errors(quotes, start))) < 4.0)


def _robust_weights(
    quotes: PackedQuotes, errors: FloatArray, settings: RobustSettings, number: int
) -> FloatArray:
    size = np.abs(errors) / _scales(quotes, errors, settings)
    if number < settings.huber_rounds:
        return np.asarray(np.minimum(1.0, settings.huber / np.maximum(size, 1e-12)))
    inside = np.clip(1.0 - (size / settings.tukey) ** 2, 0.0, 1.0)
    return np.asarray(inside * inside)


def _scales(quotes: PackedQuotes, errors: FloatArray, settings: RobustSettings) -> FloatArray:
    """Robust scale of the errors for each quote: its slice's, held between one and three times the whole's.

    A slice whose shape the model cannot follow is thus not thrown away as a whole, and a slice of few
    quotes cannot call its own outliers normal.
    """
    absolute = np.abs(errors)
    overall = max(1.4826 * float(np.median(absolute)), settings.min_scale)
    counts = np.diff(quotes.offsets)
    ordered = absolute[np.lexsort((absolute, quotes.owner))]
    medians = 1.4826 * ordered[quotes.offsets[:-1] + counts // 2]
    own = np.where(counts >= FULL_SLICE, np.clip(medians, overall, 3.0 * overall), overall)
    return np.repeat(own, counts)
