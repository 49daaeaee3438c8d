"""SABR: Hagan's lognormal expansion with Obloj's correction, and its fit to one expiry.

With forward 1, K = e^k, y = (1 − β)k and z = ν(1 − K^(1−β)) / (α(1 − β)):

    vol(k) = α·(y / (e^y − 1))·(z / D(z))·(1 + τ·I)
    D(z) = asinh((z − ρ)/√(1 − ρ²)) + asinh(ρ/√(1 − ρ²))
    I = (1 − β)²α²/(24K^(1−β)) + ρβνα/(4K^((1−β)/2)) + (2 − 3ρ²)ν²/24

The expansion is one in small τ. Far from the money, most of all at low strikes with β < 1 and for large ν²τ,
the density that it implies turns negative: `sabr_arbitrage` finds where.

References
----------
Hagan, Kumar, Lesniewski, Woodward (2002), Managing smile risk, Wilmott, equation 2.17.
Obloj (2008), Fine-tune your smile: correction to Hagan et al., equations 1 to 5.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.surface.certificate import density_factor
from ivhedge.surface.models._checks import box_of, checked_points, limits_hit, require_params
from ivhedge.surface.models._minimise import minimise_in_box
from ivhedge.surface.models.quotes import VolQuotes
from ivhedge.surface.models.report import ArbitrageReport, ModelFit, build_fit

__all__ = ["SABR_BOUNDS", "SabrModel", "fit_sabr", "sabr_arbitrage"]

SABR_BOUNDS: Mapping[str, tuple[float, float]] = {
    "alpha": (1e-3, 10.0),
    "beta": (0.0, 1.0),
    "rho": (-0.999, 0.999),
    "nu": (1e-3, 200.0),
}
_STEP = 1e-20


def _sabr_vol(
    k: FloatArray, tau: FloatArray | float, alpha: object, beta: object, rho: object, nu: object
) -> NDArray[np.complex128]:
    """The expansion for complex parameters: complex steps give exact derivatives."""
    a, b, r, n = (np.complex128(x) for x in (alpha, beta, rho, nu))  # type: ignore[call-overload]
    y = (1.0 - b) * k
    small = np.abs(y) < 1e-8
    safe = np.where(small, 1.0, y)
    ratio = np.where(small, 1.0 - 0.5 * y, safe / np.expm1(safe))
    # −k/ratio is (1 − K^(1−β))/(1 − β), without a division by 1 − β.
    z = -n * k / (a * ratio)
    share = (1.0 - r) * (1.0 + r)
    root = np.sqrt(1.0 - 2.0 * r * z + z * z)
    # One asinh of a difference: no cancellation near the money, nor at z < 0.
    distance = np.arcsinh((z + r * z * (z - 2.0 * r) / (root + 1.0)) / share)
    near = np.abs(z) < 1e-9
    stretch = np.where(near, 1.0 - 0.5 * r * z, z / np.where(near, 1.0, distance))
    power = np.exp(-0.5 * y)
    correction = (
        (1.0 - b) ** 2 * a * a * power * power / 24.0
        + 0.25 * r * b * n * a * power
        + (2.0 - 3.0 * r * r) * n * n / 24.0
    )
    return np.asarray(a * ratio * stretch * (1.0 + correction * tau))


@dataclass(frozen=True, slots=True, kw_only=True)
class SabrModel:
    """SABR parameters of one expiry on a forward of 1.

    Parameters
    ----------
    alpha : float
        Initial vol with the forward scaled to 1, near the vol at the money: the usual alpha times
        F^(beta − 1).
    beta : float
        Elasticity, 0 to 1.
    rho : float
        Correlation.
    nu : float
        Vol of vol, per √year.

    Raises
    ------
    ConfigError
        If alpha > 0, 0 <= beta <= 1, |rho| < 1 or nu >= 0 is violated.
    """

    alpha: float
    beta: float
    rho: float
    nu: float

    def __post_init__(self) -> None:
        conditions = {
            "alpha > 0": self.alpha > 0.0,
            "0 <= beta <= 1": 0.0 <= self.beta <= 1.0,
            "|rho| < 1": abs(self.rho) < 1.0,
            "nu >= 0": self.nu >= 0.0,
        }
        require_params("SABR", asdict(self), conditions)

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Implied vol of the expansion, decimal.

        Raises
        ------
        DataError
            If a point is out of range, or the expansion gives no positive vol there.
        """
        k, years = checked_points(log_moneyness, tau)
        vol = _sabr_vol(k, years, self.alpha, self.beta, self.rho, self.nu).real
        if not (vol > 0.0).all():
            raise DataError(
                f"expected positive vols, found {float(np.min(vol)):.4g}: the expansion fails for "
                f"tau = {float(np.max(years)):.4g} at these parameters (rho² > 2/3 with large nu²·tau); "
                "use a shorter tau or another model"
            )
        return np.asarray(vol)

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """vol² · tau; errors as `implied_vol`."""
        return np.asarray(self.implied_vol(log_moneyness, tau) ** 2 * np.asarray(tau, dtype=np.float64))


def sabr_arbitrage(model: SabrModel, tau: float, *, half_width_sd: float = 10.0) -> ArbitrageReport:
    """Find where the expansion implies a negative density.

    Parameters
    ----------
    model : SabrModel
    tau : float
        Years.
    half_width_sd : float
        The smile is checked on this many standard deviations at the money to either side, 4,001 strikes.

    Returns
    -------
    ArbitrageReport
        `proven` is always False: what lies beyond the checked range is unknown, and known to be bad for
        beta < 1 at low strikes.
    """
    if not half_width_sd > 0.0:
        raise ConfigError(f"expected half_width_sd > 0, found {half_width_sd}")
    sd = float(np.sqrt(model.total_variance(0.0, tau)))
    k = np.linspace(-half_width_sd, half_width_sd, 4001) * sd
    with np.errstate(invalid="ignore", divide="ignore"):
        density, w = _density(model, k, tau)
    density = np.where(np.isfinite(density) & (w > 0.0), density, -np.inf)
    bad = k[~(density >= 0.0)]
    below, above = bad[bad < 0.0], bad[bad >= 0.0]
    worst = int(np.argmin(density))
    violations = []
    if below.size:
        violations.append(f"the density is negative at log-moneyness {below.max():.4g} and below")
    if above.size:
        violations.append(f"the density is negative at log-moneyness {above.min():.4g} and above")
    return ArbitrageReport(
        free=not violations,
        proven=False,
        min_density=float(density[worst]),
        at_log_moneyness=float(k[worst]),
        min_variance=float(np.min(w)),
        left_slope=float("nan"),
        right_slope=float("nan"),
        checked_from=float(k[0]),
        checked_to=float(k[-1]),
        negative_below=float(below.max()) if below.size else None,
        negative_above=float(above.min()) if above.size else None,
        violations=tuple(violations),
    )


def _density(model: SabrModel, k: FloatArray, tau: float) -> tuple[FloatArray, FloatArray]:
    # Five-point stencils: their error of some 1e-8 is far below what matters of g.
    step = 2e-3 * float(np.sqrt(model.total_variance(0.0, tau)))
    vols = [
        _sabr_vol(k + j * step, tau, model.alpha, model.beta, model.rho, model.nu).real for j in range(-2, 3)
    ]
    far_left, left, w, right, far_right = (vol * np.abs(vol) * tau for vol in vols)
    slope = (8.0 * (right - left) - (far_right - far_left)) / (12.0 * step)
    curvature = (16.0 * (right + left) - (far_right + far_left) - 30.0 * w) / (12.0 * step * step)
    return density_factor(k, w, slope, curvature), w


def fit_sabr(
    quotes: VolQuotes,
    *,
    beta: float | None = 1.0,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    huber: float | None = 3.0,
    max_iterations: int = 100,
) -> ModelFit[SabrModel]:
    """Fit SABR to the quotes of one expiry.

    Parameters
    ----------
    quotes : VolQuotes
        One expiry; at least 3 strikes, 4 when beta is free.
    beta : float or None
        Held fixed; None fits it as well (one smile hardly tells it from rho).
    bounds : mapping, optional
        Replaces entries of `SABR_BOUNDS`.
    huber : float or None
        Errors beyond this many half-spreads count linearly; None for least squares.
    max_iterations : int

    Returns
    -------
    ModelFit of SabrModel
        `arbitrage` says where the density turns negative, if it does; a fit with such a smile also warns.

    Raises
    ------
    CalibrationError
        If there are fewer strikes than parameters, or several expiries.
    ConfigError
        If a setting is out of range.
    """
    if max_iterations < 1 or (huber is not None and not huber > 0.0):
        raise ConfigError(f"expected positive max_iterations and huber, found {max_iterations}, {huber}")
    if beta is not None and not 0.0 <= beta <= 1.0:
        raise ConfigError(f"expected 0 <= beta <= 1 or None, found {beta}")
    box = box_of(SABR_BOUNDS, bounds)
    names = [name for name in box if name != "beta" or beta is None]
    quotes.require(parameters=len(names), single=True)
    k, tau, mid = quotes.log_moneyness, float(quotes.taus[0]), quotes.mid_vol
    weight = 1.0 / quotes.half_spread
    lower, upper = (np.array([box[name][side] for name in names]) for side in (0, 1))

    def residuals(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        values = {"beta": beta, **dict(zip(names, x, strict=True))}
        vol = _sabr_vol(k, tau, **values).real
        jacobian = np.empty((k.size, x.size))
        for column, name in enumerate(names):
            moved = {**values, name: values[name] + 1j * _STEP}
            jacobian[:, column] = _sabr_vol(k, tau, **moved).imag / _STEP
        return (vol - mid) * weight, jacobian * weight[:, None]

    atm = float(mid[np.argmin(np.abs(k))])
    wing = float(np.clip(1.5 * atm / np.sqrt(atm * np.sqrt(tau) + 0.05), 0.3, 50.0))
    ends = []
    for nu, rho in ((wing, 0.0), (0.3 * wing, -0.3), (3.0 * wing, 0.3)):
        first = {"alpha": atm, "beta": 0.7, "rho": rho, "nu": nu}
        start = np.array([first[name] for name in names])
        ends.append(
            minimise_in_box(residuals, start, lower, upper, huber=huber, max_iterations=max_iterations)
        )
    best = min(ends, key=lambda end: end.cost)
    values = dict(zip(names, best.x.tolist(), strict=True))
    model = SabrModel(**{"beta": beta, **values})
    report = sabr_arbitrage(model, tau)
    size = model.nu**2 * tau
    warnings = [*limits_hit(values, box), *report.violations]
    if size > 1.0:
        warnings.append(
            f"nu²·tau = {size:.3g} is not small: the vols are those of the expansion, not of SABR"
        )
    return build_fit(
        model,
        model.implied_vol(k, tau),
        quotes,
        iterations=sum(end.iterations for end in ends),
        converged=best.converged,
        warnings=tuple(warnings),
        arbitrage=report,
    )
