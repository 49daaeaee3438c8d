"""Fit of Heston and Bates to a whole surface: Levenberg–Marquardt on vol errors, closed-form gradients.

Positive parameters are searched in logarithms, inside bounds. Several starts are followed for a few steps;
the best is followed to its minimum.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TypeVar

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray
from ivhedge.pricing import IvStatus, implied_vol
from ivhedge.surface.models._checks import box_of, limits_hit
from ivhedge.surface.models._fourier import SMALLEST_PRICE, otm_prices
from ivhedge.surface.models._minimise import Minimum, minimise_in_box
from ivhedge.surface.models.bates import BatesModel
from ivhedge.surface.models.heston import HestonModel
from ivhedge.surface.models.quotes import VolQuotes
from ivhedge.surface.models.report import ModelFit, build_fit

__all__ = ["BATES_BOUNDS", "HESTON_BOUNDS", "fit_bates", "fit_heston"]

HESTON_BOUNDS: Mapping[str, tuple[float, float]] = {
    "v0": (1e-4, 9.0),
    "kappa": (0.02, 100.0),
    "theta": (1e-4, 9.0),
    "xi": (0.05, 30.0),
    "rho": (-0.98, 0.98),
}
BATES_BOUNDS: Mapping[str, tuple[float, float]] = {
    **HESTON_BOUNDS,
    "jump_rate": (1e-3, 1000.0),
    "jump_mean": (-0.8, 0.8),
    "jump_sd": (2e-3, 1.0),
}
_LINEAR = ("rho", "jump_mean")
_FIRST_STEPS = 8
_WORST_ERROR = 1e3  # half-spreads: what a quote counts where the model has no price at all

S = TypeVar("S", HestonModel, BatesModel)


def fit_heston(
    quotes: VolQuotes,
    *,
    start: HestonModel | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    huber: float | None = 3.0,
    max_iterations: int = 60,
) -> ModelFit[HestonModel]:
    """Fit Heston to the quotes of all expiries together.

    Parameters
    ----------
    quotes : VolQuotes
        At least 5 quotes.
    start : HestonModel, optional
        Where to begin; otherwise three starts around the at-the-money term structure.
    bounds : mapping, optional
        Replaces entries of `HESTON_BOUNDS`.
    huber : float or None
        Errors beyond this many half-spreads count linearly; None for least squares.
    max_iterations : int
        Steps after the first ones of each start.

    Returns
    -------
    ModelFit of HestonModel
        A violated Feller condition is a warning, not a constraint.

    Raises
    ------
    CalibrationError
        If there are fewer quotes than parameters.
    ConfigError
        If a setting is out of range.
    """
    quotes.require(parameters=5)
    box = box_of(HESTON_BOUNDS, bounds)
    starts = [start] if start is not None else _heston_starts(quotes, box)
    return _fit(HestonModel, quotes, starts, box, huber, max_iterations)


def fit_bates(
    quotes: VolQuotes,
    *,
    start: BatesModel | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    huber: float | None = 3.0,
    max_iterations: int = 80,
) -> ModelFit[BatesModel]:
    """Fit Bates to the quotes of all expiries together.

    Parameters
    ----------
    quotes : VolQuotes
        At least 8 quotes.
    start : BatesModel, optional
        Where to begin; otherwise starts with rare large and frequent small jumps.
    bounds : mapping, optional
        Replaces entries of `BATES_BOUNDS`.
    huber, max_iterations
        As in `fit_heston`.

    Returns
    -------
    ModelFit of BatesModel

    Raises
    ------
    CalibrationError
        If there are fewer quotes than parameters.
    ConfigError
        If a setting is out of range.
    """
    quotes.require(parameters=8)
    box = box_of(BATES_BOUNDS, bounds)
    starts = [start] if start is not None else _bates_starts(quotes, box)
    return _fit(BatesModel, quotes, starts, box, huber, max_iterations)


def _fit(
    kind: type[S],
    quotes: VolQuotes,
    starts: list[S],
    box: dict[str, tuple[float, float]],
    huber: float | None,
    max_iterations: int,
) -> ModelFit[S]:
    if max_iterations < 1 or (huber is not None and not huber > 0.0):
        raise ConfigError(f"expected positive max_iterations and huber, found {max_iterations}, {huber}")
    names = list(box)
    for name, (low, _) in box.items():
        if name not in _LINEAR and not low > 0.0:
            raise ConfigError(f"expected a positive lower bound of {name}, found {low}")
    logs = np.array([name not in _LINEAR for name in names])
    lower, upper = (_free(np.array([box[name][side] for name in names]), logs) for side in (0, 1))

    def residuals(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        values = np.where(logs, np.exp(np.where(logs, x, 0.0)), x)
        model = kind(**dict(zip(names, values.tolist(), strict=True)))
        error, jacobian = _errors(model, quotes, len(names))
        return error, jacobian * np.where(logs, values, 1.0)

    def search(x: FloatArray, steps: int) -> Minimum:
        return minimise_in_box(residuals, x, lower, upper, huber=huber, max_iterations=steps, tolerance=1e-10)

    first = [np.array([asdict(model)[name] for name in names]) for model in starts]
    # A start may lie on or outside the bounds: jumps of rate 0 have no logarithm.
    ends = [
        search(_free(np.maximum(values, np.where(logs, 1e-12, -np.inf)), logs), _FIRST_STEPS)
        for values in first
    ]
    best = min(ends, key=lambda end: end.cost)
    steps = sum(end.iterations for end in ends)
    end = best if best.converged else search(best.x, max_iterations)
    found = np.where(logs, np.exp(np.where(logs, end.x, 0.0)), end.x).tolist()
    fitted: dict[str, float] = dict(zip(names, found, strict=True))
    model: S = kind(**fitted)
    vols: FloatArray
    beyond: tuple[str, ...]
    vols, beyond = _fitted_vols(model, quotes)
    return build_fit(
        model,
        vols,
        quotes,
        iterations=steps + (0 if end is best else end.iterations),
        converged=end.converged,
        warnings=(*limits_hit(fitted, box), *_feller(model), *beyond),
    )


def _free(values: FloatArray, logs: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
    return np.asarray(np.where(logs, np.log(np.where(logs, values, 1.0)), values))


def _feller(model: HestonModel | BatesModel) -> tuple[str, ...]:
    if model.feller_ratio >= 1.0:
        return ()
    return (f"Feller ratio 2*kappa*theta/xi^2 = {model.feller_ratio:.3g} is below 1: variance reaches zero",)


def _errors(model: HestonModel | BatesModel, quotes: VolQuotes, size: int) -> tuple[FloatArray, FloatArray]:
    """Vol errors in half-spreads and their derivatives in the parameters, shape (q, p)."""
    error, jacobian = np.empty(len(quotes)), np.empty((len(quotes), size))
    weight = 1.0 / quotes.half_spread
    for number, tau in enumerate(quotes.taus.tolist()):
        rows = slice(int(quotes.offsets[number]), int(quotes.offsets[number + 1]))
        k, mid = quotes.log_moneyness[rows], quotes.mid_vol[rows]
        try:
            price, slopes = otm_prices(model, k, tau, gradient=True)
        except DataError:
            # A trial step into a corner without a convergent integral: far worse than any other.
            error[rows], jacobian[rows] = _WORST_ERROR, 0.0
            continue
        vol = _vols_of(price, k, tau, mid)
        vega = _vega(k, tau, vol)
        error[rows] = np.clip((vol - mid) * weight[rows], -_WORST_ERROR, _WORST_ERROR)
        # Nothing is learnt where the price is too small for a vol.
        told = price >= SMALLEST_PRICE * np.minimum(1.0, np.exp(k))
        jacobian[rows] = (told * slopes / vega).T * weight[rows, None]
    return error, jacobian


def _vols_of(price: FloatArray, k: FloatArray, tau: float, mid: FloatArray) -> FloatArray:
    """Vols of prices; where a price carries none, the vol whose price is the smallest that does."""
    floor = SMALLEST_PRICE * np.minimum(1.0, np.exp(k))
    vol, status = implied_vol(np.maximum(price, floor), 1.0, np.exp(k), tau, k >= 0.0, return_status=True)
    return np.asarray(np.where(status == IvStatus.OK, vol, 3.0 * mid))


def _vega(k: FloatArray, tau: float, vol: FloatArray) -> FloatArray:
    sd = vol * np.sqrt(tau)
    d1 = -k / sd + 0.5 * sd
    return np.asarray(np.maximum(np.exp(-0.5 * d1 * d1) * np.sqrt(tau / (2.0 * np.pi)), 1e-12))


def _fitted_vols(model: HestonModel | BatesModel, quotes: VolQuotes) -> tuple[FloatArray, tuple[str, ...]]:
    vol, status = model.vols_with_status(quotes.log_moneyness, quotes.taus[quotes.owner])
    bad = np.asarray(status != IvStatus.OK)
    if not bad.any():
        return vol, ()
    # Prices too small for a vol: the vol of the smallest price that carries one bounds them from above.
    for number, tau in enumerate(quotes.taus.tolist()):
        mine = bad & (quotes.owner == number)
        if mine.any():
            k = quotes.log_moneyness[mine]
            vol[mine] = _vols_of(np.zeros(k.size), k, tau, quotes.mid_vol[mine])
    words = f"{int(bad.sum())} quotes lie where the model's price is below {SMALLEST_PRICE} of the forward"
    return vol, (f"{words}; their fitted vols are upper bounds",)


def _atm_term(quotes: VolQuotes) -> FloatArray:
    vols = np.empty(quotes.taus.size)
    for number in range(vols.size):
        rows = slice(int(quotes.offsets[number]), int(quotes.offsets[number + 1]))
        near = np.argsort(np.abs(quotes.log_moneyness[rows]), kind="stable")[:5]
        vols[number] = np.median(quotes.mid_vol[rows][near])
    return vols


def _heston_starts(quotes: VolQuotes, box: dict[str, tuple[float, float]]) -> list[HestonModel]:
    atm = _atm_term(quotes)
    short, long = float(np.median(atm[:2])), float(np.median(atm[-2:]))
    starts = []
    for kappa, relative_xi, rho in ((3.0, 2.5, -0.2), (12.0, 7.0, -0.1), (1.0, 1.5, -0.4)):
        values = {
            "v0": short**2,
            "kappa": kappa,
            "theta": 1.15 * long**2,
            "xi": relative_xi * long,
            "rho": rho,
        }
        starts.append(HestonModel(**{n: float(np.clip(v, *box[n])) for n, v in values.items()}))
    return starts


def _bates_starts(quotes: VolQuotes, box: dict[str, tuple[float, float]]) -> list[BatesModel]:
    atm = _atm_term(quotes)
    short, long = float(np.median(atm[:2])), float(np.median(atm[-2:]))
    starts = []
    for rate, share, kappa in ((4.0, 0.15, 3.0), (50.0, 0.4, 3.0), (50.0, 0.25, 1.0), (300.0, 0.4, 6.0)):
        # Jumps take a share of the variance and the diffusion keeps the rest.
        values = {
            "v0": (1.0 - share) * short**2,
            "kappa": kappa,
            "theta": (1.0 - share) * 1.15 * long**2,
            "xi": 2.0 * long,
            "rho": -0.2,
            "jump_rate": rate,
            "jump_mean": -0.01,
            "jump_sd": long * float(np.sqrt(share / rate)),
        }
        starts.append(BatesModel(**{n: float(np.clip(v, *box[n])) for n, v in values.items()}))
    return starts
