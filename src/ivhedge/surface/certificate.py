"""Certificate of no static arbitrage for any volatility surface.

Dense check, at every fitted expiry and at least 50 times between, before and after them:

* butterfly: the density factor g(k) >= 0 on 2,001 strikes over ±10 standard deviations and on
  logarithmically spaced strikes from there to ±1,000 standard deviations;
* calendar: total variance at equal log-moneyness does not fall from one of these times to the next, on the
  same two grids.

Wings: total variance grows more slowly than 2|k| at the far ends (Lee). Every surface is differentiated by
five-point stencils whose arms reach the neighbouring strikes, so that a kink between strikes is felt; one
that offers closed-form `derivatives` is judged by these as well. Only an `EssviSurface` and a
`FlexibleSurface` are taken at their word. Of the former the derivatives are exact, and the parameters tell
the wing slopes, which may not fall in time, and whether the sufficient conditions for all strikes and all
times hold. Of the latter `flexible.proof.prove` speaks for all strikes and all times, and the grid is checked
in prices, whose derivatives are sums of positive terms: the density at every expiry, the rise to the next,
and with them the mixtures of the two at times between. Smiles are read on every sixteenth strike, or on all
of them from one expiry to the next where a price fails; after the last expiry on every fourth.

A number that is not finite is a violation, and so are a forward that is not positive and an implied vol that
does not belong to the total variance.

References
----------
Gatheral, Jacquier (2014), Arbitrage-free SVI volatility surfaces, lemma 2.2 and theorem 4.2.
Lee (2004), The moment formula for implied volatility at extreme strikes.
Hendriks, Martini (2019), The extended SSVI volatility surface.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ivhedge.core.errors import ArbitrageError, ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray
from ivhedge.core.units import NS_PER_YEAR, year_fraction
from ivhedge.pricing.jit import jit_available
from ivhedge.surface._kernels import dense_checks
from ivhedge.surface.base import VolSurface
from ivhedge.surface.essvi import EssviSurface

if TYPE_CHECKING:
    from ivhedge.surface.flexible.proof import FlexibleProof
    from ivhedge.surface.flexible.surface import FlexibleSurface

__all__ = ["ArbitrageCertificate", "DifferentiableSurface", "Violation", "certify", "density_factor"]

SLOPE_LIMIT = 2.0
FAR_SD = 1000.0
FAR_STRIKES = 60
VOL_STRIKES = 25
EXACT_TOLERANCE = 1e-10
NUMERIC_TOLERANCE = 1e-6
PRICED_TOLERANCE = 1e-11
"""Relative accuracy of a total variance found from a price."""


@runtime_checkable
class DifferentiableSurface(Protocol):
    """A surface that knows the derivatives of its total variance in log-moneyness."""

    def derivatives(
        self, log_moneyness: ArrayLike, tau: ArrayLike
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Total variance, its slope and its curvature."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """The worst point of one breach.

    Parameters
    ----------
    kind : str
        butterfly | calendar | wing_slope | not_finite | forward | implied_vol.
    expiry_ns : int
        Expiry (or time between expiries) of the breach; for calendar the later one.
    log_moneyness, strike : float
        Where it is worst; infinite for a wing.
    size : float
        Density factor, rise of total variance, or 2 minus the wing slope: negative.
    n_strikes : int
        Number of strikes of the grid in breach.
    """

    kind: str
    expiry_ns: int
    log_moneyness: float
    strike: float
    size: float
    n_strikes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageCertificate:
    """What the check of a surface found.

    Parameters
    ----------
    valid : bool
        No violation anywhere.
    proven : bool
        A proof holds as well, by the conditions of eSSVI or by `flexible.proof.prove`: no arbitrage for all
        strikes and all times, not only on the grid. False for surfaces without such a test.
    min_density : float
        Smallest density factor g(k), of a `FlexibleSurface` on the strikes read as smiles.
    min_calendar : float
        Smallest rise of total variance from one time to the next at equal log-moneyness, on the same strikes.
    max_wing_slope : float
        Largest |dw/dk| at the ends; below 2.
    n_strikes, n_expiries : int
        Strikes per time, and times checked.
    violations : tuple of Violation
        Worst first; empty when valid.
    """

    valid: bool
    proven: bool
    min_density: float
    min_calendar: float
    max_wing_slope: float
    n_strikes: int
    n_expiries: int
    violations: tuple[Violation, ...]

    def require(self) -> None:
        """Refuse a surface without a valid certificate.

        Raises
        ------
        ArbitrageError
            If there is a violation.
        """
        if self.valid:
            return
        if not self.violations:
            raise ArbitrageError("expected a valid certificate, found an invalid one that names no violation")
        worst = self.violations[0]
        raise ArbitrageError(
            f"expected a surface without arbitrage, found {len(self.violations)} violations, the worst a "
            f"{worst.kind} of {worst.size:.3g} at log-moneyness {worst.log_moneyness:.4g}, expiry "
            f"{worst.expiry_ns}; keep the last good surface, marked stale"
        )


def density_factor(
    log_moneyness: ArrayLike, total_variance: ArrayLike, slope: ArrayLike, curvature: ArrayLike
) -> FloatArray:
    """Butterfly factor g(k), whose sign is that of the risk-neutral density.

    Parameters
    ----------
    log_moneyness, total_variance, slope, curvature : array_like
        k, w(k) > 0, w'(k), w''(k); they broadcast.

    Notes
    -----
    g = (1 − k w'/(2w))² − (w'²/4)(1/w + 1/4) + w''/2, Gatheral and Jacquier (2014), equation 2.1.
    """
    w, slope = np.asarray(total_variance, dtype=np.float64), np.asarray(slope, dtype=np.float64)
    tilt = 1.0 - 0.5 * np.asarray(log_moneyness) * slope / w
    return np.asarray(tilt * tilt - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * np.asarray(curvature))


def certify(
    surface: VolSurface,
    *,
    n_strikes: int = 2001,
    half_width_sd: float = 10.0,
    n_between: int = 50,
    proof: "FlexibleProof | None" = None,
) -> ArbitrageCertificate:
    """Check a surface for static arbitrage.

    Parameters
    ----------
    surface : VolSurface
        Used through its closed-form `derivatives` if it has them.
    n_strikes : int
        Strikes inside ±`half_width_sd`, >= 101; 120 more reach to ±1,000 standard deviations.
    half_width_sd : float
        In standard deviations sqrt(w(0)) of each time.
    n_between : int
        Times added between, before and after the fitted expiries, at least; >= 2.
    proof : FlexibleProof, optional
        Of this very `FlexibleSurface`, where it was made already; read for no other kind.

    Returns
    -------
    ArbitrageCertificate

    Raises
    ------
    ConfigError
        If a grid setting is too small.
    DataError
        If the surface has no expiries after its own time.
    """
    if n_strikes < 101 or not half_width_sd > 0.0 or n_between < 2:
        raise ConfigError(
            "expected n_strikes >= 101, half_width_sd > 0 and n_between >= 2, "
            f"found {n_strikes}, {half_width_sd}, {n_between}"
        )
    from ivhedge.surface.flexible.proof import prove
    from ivhedge.surface.flexible.surface import FlexibleSurface

    taus = _times(surface, n_between)
    near, far = _strikes_in_sd(n_strikes, half_width_sd)
    grid = np.concatenate((-far[::-1], near, far))
    if type(surface) is FlexibleSurface:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            proven = (prove(surface) if proof is None else proof).proven
            found, lowest, rise, max_slope = _flexible_checks(surface, taus, near, far)
        size, count = int(grid.size), int(taus.size)
        return _certificate(found, proven and not found, lowest, rise, max_slope, size, count)
    deviations = np.sqrt(np.asarray(surface.total_variance(0.0, taus)))
    if not (np.isfinite(deviations) & (deviations > 0.0)).all():
        raise DataError("expected positive at-the-money total variance at every expiry of the surface")
    k = deviations[:, None] * grid[None, :]
    # What is not finite is found and reported, not warned about.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        w, rise, densities = _checks(surface, k, taus, grid)
        some = np.s_[:, :: max(1, k.shape[1] // VOL_STRIKES)]
        found = _not_finite(surface, k, taus, w) + _inconsistent(surface, k[some], taus, w[some])
        max_slope, wing = _wings(surface, taus, k, w)
    for values, tolerance in densities:
        found += _breaches(surface, "butterfly", taus, k, values, tolerance)
    # Relative to the variance compared: rounding of a far wing is no arbitrage.
    found += _breaches(surface, "calendar", taus[1:], k[1:], rise, 1e-12 * np.maximum(w[1:], 1.0))
    found += wing
    proven = isinstance(surface, EssviSurface) and _essvi_sufficient(surface)
    smallest = float(np.min([np.min(values) for values, _ in densities]))
    return _certificate(
        found, proven and not found, smallest, rise, max_slope, int(grid.size), int(taus.size)
    )


def _certificate(
    found: list[Violation],
    proven: bool,
    min_density: float,
    rise: FloatArray,
    max_slope: float,
    n_strikes: int,
    n_expiries: int,
) -> ArbitrageCertificate:
    return ArbitrageCertificate(
        valid=not found,
        proven=proven,
        min_density=min_density,
        min_calendar=float(np.min(rise)) if rise.size else float("inf"),
        max_wing_slope=max_slope,
        n_strikes=n_strikes,
        n_expiries=n_expiries,
        violations=tuple(sorted(found, key=lambda violation: violation.size)),
    )


def _flexible_checks(
    surface: "FlexibleSurface", taus: FloatArray, near: FloatArray, far: FloatArray
) -> tuple[list[Violation], float, FloatArray, float]:
    """Violations, least density factor, rises and steepest wing of a flexible surface."""
    from ivhedge.surface.flexible._proof_dense import dense_smiles

    found: list[Violation] = []
    lowest, rises, steepest = np.inf, [np.empty(0)], 0.0
    vols: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for times, strikes, (w, slope, curvature) in dense_smiles(surface, taus, near, far):
        k = np.broadcast_to(strikes, w.shape)
        density, rise = density_factor(strikes, w, slope, curvature), np.diff(w, axis=0)
        found += _breaches(surface, "butterfly", times, k, density, EXACT_TOLERANCE)
        found += _breaches(surface, "calendar", times[1:], k[1:], rise, PRICED_TOLERANCE * w[1:])
        found += _not_finite(surface, k, times, w)
        # The same number of strikes of every time: implied vols in one go.
        some = np.linspace(0, strikes.size - 1, VOL_STRIKES).astype(np.int64)
        vols.append((k[:, some], times, w[:, some]))
        wing, more = _wings(surface, times, k, w)
        found += more
        lowest = float(np.minimum(lowest, np.min(density)))
        rises.append(rise.ravel())
        steepest = float(np.maximum(steepest, wing))
    found += _inconsistent(surface, *(np.concatenate(each) for each in zip(*vols, strict=True)))
    return found, lowest, np.concatenate(rises), steepest


def _times(surface: VolSurface, n_between: int) -> FloatArray:
    """Fitted expiries, and times before, between and after them."""
    quoted = year_fraction(surface.ts_ns, surface.expiries)
    if quoted.size == 0 or not (quoted > 0.0).all():
        raise DataError("expected a surface whose expiries lie after its time, found none or an expired one")
    knots = np.concatenate(([0.0], quoted, [1.5 * quoted[-1]]))
    per_gap = -(-n_between // (knots.size - 1))
    shares = np.arange(1, per_gap + 1) / (per_gap + 1)
    between = (knots[:-1, None] + np.diff(knots)[:, None] * shares).ravel()
    return np.unique(np.concatenate((quoted, between)))


def _strikes_in_sd(n_strikes: int, half_width_sd: float) -> tuple[FloatArray, FloatArray]:
    near = np.linspace(-half_width_sd, half_width_sd, n_strikes)
    far = np.geomspace(half_width_sd, max(FAR_SD, 2.0 * half_width_sd), FAR_STRIKES + 1)[1:]
    return near, far


def _checks(
    surface: VolSurface, k: FloatArray, taus: FloatArray, grid: FloatArray
) -> tuple[FloatArray, FloatArray, list[tuple[FloatArray, float]]]:
    """Total variance, rise over the time before, and density factors with their tolerances."""
    if isinstance(surface, EssviSurface):
        checks = _essvi_checks if jit_available() else _numpy_checks
        w, density, rise = checks(surface, k, taus)
        return w, rise, [(density, EXACT_TOLERANCE)]
    w, slope, curvature = _stencil(surface, k, taus, grid)
    densities = [(density_factor(k, w, slope, curvature), NUMERIC_TOLERANCE)]
    if isinstance(surface, DifferentiableSurface):
        densities.append((density_factor(k, *surface.derivatives(k, taus[:, None])), EXACT_TOLERANCE))
    return w, w[1:] - surface.total_variance(k[1:], taus[:-1, None]), densities


def _essvi_checks(
    surface: EssviSurface, k: FloatArray, taus: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    return dense_checks(k, np.column_stack(surface.slice_parameters(taus)))


def _numpy_checks(
    surface: EssviSurface, k: FloatArray, taus: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Total variance, density factor and rise over the time before: the twin of `dense_checks`."""
    w, slope, curvature = surface.derivatives(k, taus[:, None])
    rise = w[1:] - surface.total_variance(k[1:], taus[:-1, None])
    return w, density_factor(k, w, slope, curvature), rise


def _stencil(
    surface: VolSurface, k: FloatArray, taus: FloatArray, grid: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    # Half the distance to the nearer neighbour: the outer arms reach it.
    gaps = np.diff(grid)
    nearest = np.minimum(np.concatenate(([gaps[0]], gaps)), np.concatenate((gaps, [gaps[-1]])))
    arm = 0.5 * nearest[None, :] * (k[:, -1:] / grid[-1])
    tau = taus[:, None]
    centre = surface.total_variance(k, tau)
    right, left = surface.total_variance(k + arm, tau), surface.total_variance(k - arm, tau)
    far_right, far_left = (
        surface.total_variance(k + 2.0 * arm, tau),
        surface.total_variance(k - 2.0 * arm, tau),
    )
    slope = (8.0 * (right - left) - (far_right - far_left)) / (12.0 * arm)
    curvature = (16.0 * (right + left) - (far_right + far_left) - 30.0 * centre) / (12.0 * arm * arm)
    return centre, slope, curvature


def _violation(
    surface: VolSurface, kind: str, tau: float, log_moneyness: float, size: float, n_strikes: int
) -> Violation:
    strike = float(surface.forward(tau)) * float(np.exp(np.clip(log_moneyness, -700.0, 700.0)))
    return Violation(
        kind=kind,
        # Whole microseconds: the rounding of tau does not show.
        expiry_ns=surface.ts_ns + 1000 * round(tau * NS_PER_YEAR / 1000),
        log_moneyness=log_moneyness,
        strike=strike,
        size=size,
        n_strikes=n_strikes,
    )


def _breaches(
    surface: VolSurface,
    kind: str,
    taus: FloatArray,
    k: FloatArray,
    values: FloatArray,
    tolerance: float | FloatArray,
) -> list[Violation]:
    # NaN is no better than a breach.
    bad = ~(values >= -np.asarray(tolerance))
    found = []
    for row in np.flatnonzero(bad.any(axis=1)):
        lowest = np.where(np.isnan(values[row]), -np.inf, values[row])
        worst = int(np.argmin(lowest))
        size = float(lowest[worst])
        count = int(bad[row].sum())
        found.append(_violation(surface, kind, float(taus[row]), float(k[row, worst]), size, count))
    return found


def _inconsistent(surface: VolSurface, k: FloatArray, taus: FloatArray, w: FloatArray) -> list[Violation]:
    """Vols that do not belong to the variances, forwards that are no prices."""
    vol = np.asarray(surface.implied_vol(k, taus[:, None]))
    implied = np.isclose(vol * vol * taus[:, None], w, rtol=1e-9, atol=0.0)
    forward = np.asarray(surface.forward(taus))
    lost = ~(np.isfinite(forward) & (forward > 0.0))[:, None]
    return _marked(surface, "implied_vol", taus, k, ~implied & np.isfinite(w)) + _marked(
        surface, "forward", taus, np.zeros(lost.shape), lost
    )


def _not_finite(surface: VolSurface, k: FloatArray, taus: FloatArray, w: FloatArray) -> list[Violation]:
    return _marked(surface, "not_finite", taus, k, ~(np.isfinite(w) & (w > 0.0)))


def _marked(
    surface: VolSurface, kind: str, taus: FloatArray, k: FloatArray, where: BoolArray
) -> list[Violation]:
    """One violation a time, at the first of the strikes marked."""
    return [
        _violation(
            surface,
            kind,
            float(taus[row]),
            float(k[row, int(np.argmax(where[row]))]),
            -float("inf"),
            int(where[row].sum()),
        )
        for row in np.flatnonzero(where.any(axis=1))
    ]


def _wings(
    surface: VolSurface, taus: FloatArray, k: FloatArray, w: FloatArray
) -> tuple[float, list[Violation]]:
    """Wing slopes per time: exact for eSSVI, else between the two farthest strikes of each side.

    Exact slopes are compared in time too: where one falls, total variances cross beyond every grid.
    """
    if isinstance(surface, EssviSurface):
        _, rho, psi = surface.slice_parameters(taus)
        left, right = 0.5 * psi * (1.0 - rho), 0.5 * psi * (1.0 + rho)
    else:
        left = -(w[:, 1] - w[:, 0]) / (k[:, 1] - k[:, 0])
        right = (w[:, -1] - w[:, -2]) / (k[:, -1] - k[:, -2])
    found = []
    for side, slopes in ((-np.inf, left), (np.inf, right)):
        found += [
            _violation(surface, "wing_slope", float(taus[i]), float(side), SLOPE_LIMIT - float(slopes[i]), 1)
            for i in np.flatnonzero(~(slopes < SLOPE_LIMIT))
        ]
        if isinstance(surface, EssviSurface):
            fall = np.diff(slopes)
            found += [
                _violation(surface, "calendar", float(taus[i + 1]), float(side), float(fall[i]), 1)
                for i in np.flatnonzero(fall < -1e-9 * slopes[1:])
            ]
    return float(np.max(np.maximum(np.abs(left), np.abs(right)))), found


def _essvi_sufficient(surface: EssviSurface) -> bool:
    """Conditions under which no strike and no time has arbitrage; see the head of `essvi`."""
    theta, rho, psi = surface.theta, surface.rho, surface.psi
    right, left = psi * (1.0 + rho), psi * (1.0 - rho)
    steepest = np.maximum(right, left)
    slack = 1.0 + 1e-12
    butterfly = (steepest < 4.0).all() and (psi * steepest <= 4.0 * theta * slack).all()
    rising = (right[1:] * slack >= right[:-1]).all() and (left[1:] * slack >= left[:-1]).all()
    flattening = (psi[1:] * theta[:-1] <= psi[:-1] * theta[1:] * slack).all()
    return bool(butterfly and rising and flattening)
