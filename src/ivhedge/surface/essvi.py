"""The eSSVI surface: three numbers per expiry, free of arbitrage for all strikes and all times.

One slice has total variance

    w(k) = ½·(θ + ρψk + √((ψk)² + 2ρθψk + θ²)),        |ρ| < 1, θ > 0, ψ > 0.

θ is the at-the-money total variance, ρ the sign and size of the skew, ψ = θφ its steepness. With
a = ψ(1+ρ) and b = ψ(1−ρ), twice the right and the left wing slope, a set of slices has no arbitrage if

* butterfly: max(a, b) < 4 and ψ·max(a, b) ≤ 4θ on every slice;
* calendar: a, b do not fall and ψ/θ does not rise from one expiry to the next.

`EssviSurface` interpolates (θ, a, b) linearly in time, which keeps all of that (docs/surface.md has the
proofs).

References
----------
Gatheral, Jacquier (2014), Arbitrage-free SVI volatility surfaces, theorem 4.2.
Hendriks, Martini (2019), The extended SSVI volatility surface, proposition 3.5.
Corbetta, Cohort, Laachir, Martini (2019), Robust calibration and arbitrage-free interpolation of SSVI slices.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import CalibrationError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.surface.clock import VarianceClock

__all__ = ["EssviSurface", "essvi_derivatives", "essvi_total_variance"]


SHORTEST_TAU = 1.0 / (365.0 * 1440.0)
"""A minute: what stands for the limit at tau = 0 on a clock."""


def essvi_total_variance(
    log_moneyness: ArrayLike, theta: ArrayLike, rho: ArrayLike, psi: ArrayLike
) -> FloatArray:
    """Total variance of eSSVI slices.

    Parameters
    ----------
    log_moneyness : array_like
        ln(K / F); all arguments broadcast.
    theta, rho, psi : array_like
        Slice parameters, see the module.

    Returns
    -------
    FloatArray
        vol² · tau, of the broadcast shape.

    Examples
    --------
    >>> float(essvi_total_variance(0.0, 0.04, -0.3, 0.2))
    0.04
    """
    theta, rho = np.asarray(theta, dtype=np.float64), np.asarray(rho, dtype=np.float64)
    z = np.asarray(psi, dtype=np.float64) * np.asarray(log_moneyness, dtype=np.float64)
    # (z + ρθ)² + θ²(1 − ρ²) is the radicand without cancellation.
    root = np.sqrt((z + rho * theta) ** 2 + theta * theta * (1.0 - rho * rho))
    return np.asarray(0.5 * (theta + rho * z + root))


def essvi_derivatives(
    log_moneyness: ArrayLike, theta: ArrayLike, rho: ArrayLike, psi: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Total variance of eSSVI slices and its first two derivatives in log-moneyness, in closed form.

    Parameters
    ----------
    log_moneyness, theta, rho, psi : array_like
        As in `essvi_total_variance`; all arguments broadcast.

    Returns
    -------
    (w, dw_dk, d2w_dk2) : tuple of FloatArray
    """
    theta, rho = np.asarray(theta, dtype=np.float64), np.asarray(rho, dtype=np.float64)
    psi = np.asarray(psi, dtype=np.float64)
    z = psi * np.asarray(log_moneyness, dtype=np.float64)
    shifted = z + rho * theta
    flat = theta * theta * (1.0 - rho * rho)
    root = np.sqrt(shifted * shifted + flat)
    w = 0.5 * (theta + rho * z + root)
    slope = 0.5 * psi * (rho + shifted / root)
    curvature = 0.5 * psi * psi * flat / (root * root * root)
    return np.asarray(w), np.asarray(slope), np.asarray(curvature)


@dataclass(frozen=True, slots=True, kw_only=True)
class EssviSurface:
    """An eSSVI surface of one underlying at one time.

    Parameters
    ----------
    underlying : str
    ts_ns : int
        Time of the surface, nanoseconds since the epoch, UTC.
    expiries : IntArray, shape (n,)
        Fitted expiries, ascending, nanoseconds since the epoch.
    taus : FloatArray, shape (n,)
        Years to these expiries, ACT/365.
    theta, rho, psi : FloatArray, shape (n,)
        Slice parameters.
    forwards : FloatArray, shape (n,)
        Forward of each expiry, USD.
    index : float or None
        Index price, USD: the forward at tau = 0 when known.
    clock : VarianceClock, optional
        Time in which total variance runs between expiries; calendar time without it.

    Raises
    ------
    CalibrationError
        If shapes differ, a number is not finite, or theta, psi, rho lie outside their domain.

    Notes
    -----
    The class accepts slices with arbitrage on purpose, so that `certify` can refuse them; what
    `fit_surface` builds never has any. The arrays are read-only copies.
    """

    underlying: str
    ts_ns: int
    expiries: IntArray
    taus: FloatArray
    theta: FloatArray
    rho: FloatArray
    psi: FloatArray
    forwards: FloatArray
    index: float | None = None
    clock: VarianceClock | None = None

    def __post_init__(self) -> None:
        expiries = np.array(self.expiries, dtype=np.int64)
        expiries.setflags(write=False)
        object.__setattr__(self, "expiries", expiries)
        for name in ("taus", "theta", "rho", "psi", "forwards"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or values.size == 0 or values.shape != expiries.shape:
                raise CalibrationError(
                    f"expected {name} of the same shape (n,) as expiries, n >= 1, "
                    f"found {values.shape} beside {expiries.shape}"
                )
            if not np.isfinite(values).all():
                raise CalibrationError(f"expected finite {name}, found {values.tolist()}")
            if name != "rho" and not (values > 0.0).all():
                raise CalibrationError(f"expected positive {name}, found {values.tolist()}")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if not (np.abs(self.rho) < 1.0).all():
            raise CalibrationError(f"expected rho inside (-1, 1), found {self.rho.tolist()}")
        if (np.diff(expiries) <= 0).any() or (np.diff(self.taus) <= 0.0).any():
            raise CalibrationError("expected expiries and taus in strictly ascending order; sort the slices")
        if self.index is not None and not (np.isfinite(self.index) and self.index > 0.0):
            raise CalibrationError(f"expected a positive index price or None, found {self.index}")

    def slice_parameters(self, tau: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Slice parameters (theta, rho, psi) at any time to expiry.

        Parameters
        ----------
        tau : array_like
            Years, > 0.

        Returns
        -------
        (theta, rho, psi) : tuple of FloatArray, of the shape of tau

        Raises
        ------
        DataError
            If a tau is negative or not finite.

        Notes
        -----
        Between expiries theta, psi and rho·psi are linear in tau. Before the first they shrink with tau
        (w is proportional to tau). After the last theta grows at the last forward variance, rho stays and
        psi grows like √theta up to its butterfly cap, so that the skew keeps fading like 1/√tau. On a clock
        the same holds in its time: the surface is read at `VarianceClock.warped_tau`, which never falls.
        """
        tau = _checked_tau(tau)
        if self.clock is not None:
            tau = self.clock.warped_tau(self.ts_ns, self.expiries, tau)
        knots = np.concatenate(([0.0], self.taus))
        theta, psi, skew = (
            np.interp(tau, knots, np.concatenate(([0.0], values)))
            for values in (self.theta, self.psi, self.rho * self.psi)
        )
        # At tau = 0 all three vanish; rho is the first slice's there.
        rho = np.where(psi > 0.0, skew / np.where(psi > 0.0, psi, 1.0), self.rho[0])
        beyond = tau > self.taus[-1]
        if np.any(beyond):
            grown = self.theta[-1] + self._last_forward_variance() * (tau - self.taus[-1])
            cap = max(float(self.psi[-1]), 3.999 / (1.0 + abs(float(self.rho[-1]))))
            theta = np.where(beyond, grown, theta)
            psi = np.where(beyond, np.minimum(self.psi[-1] * np.sqrt(theta / self.theta[-1]), cap), psi)
            rho = np.where(beyond, self.rho[-1], rho)
        return theta, rho, psi

    def _last_forward_variance(self) -> float:
        if self.taus.size == 1:
            return float(self.theta[0] / self.taus[0])
        rise = float(self.theta[-1] - self.theta[-2])
        return max(rise, 0.0) / float(self.taus[-1] - self.taus[-2])

    def total_variance(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Total implied variance vol² · tau; 0 at tau = 0.

        Raises
        ------
        DataError
            If a log-moneyness is not finite, or a tau is negative or not finite.
        """
        k = _checked_moneyness(log_moneyness)
        theta, rho, psi = self.slice_parameters(tau)
        return essvi_total_variance(k, theta, rho, psi)

    def derivatives(
        self, log_moneyness: ArrayLike, tau: ArrayLike
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Total variance and its first two derivatives in log-moneyness.

        Raises
        ------
        DataError
            If a log-moneyness is not finite, or a tau is not positive and finite.
        """
        k = _checked_moneyness(log_moneyness)
        if np.any(np.asarray(tau) == 0.0):
            raise DataError("expected tau > 0 for derivatives of the total variance, found 0")
        return essvi_derivatives(k, *self.slice_parameters(tau))

    def implied_vol(self, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
        """Implied volatility, decimal; before the first expiry the first slice's, unless on a clock.

        Raises
        ------
        DataError
            If a log-moneyness is not finite, or a tau is negative or not finite.
        """
        # Before the first expiry w is proportional to tau, hence the vol does not depend on it; on a clock
        # it does, down to the limit at tau = 0.
        shortest = self.taus[0] if self.clock is None else min(self.taus[0], SHORTEST_TAU)
        held: FloatArray = np.maximum(_checked_tau(tau), shortest)
        return np.asarray(np.sqrt(self.total_variance(log_moneyness, held) / held))

    def forward(self, tau: ArrayLike) -> FloatArray:
        """Forward price in USD: ln F is linear between expiries and from the index at tau = 0.

        Without an index the forward before the first expiry is the first one's. After the last expiry the
        mean carry rate over the known span continues; with one expiry and no index it is 0.

        Raises
        ------
        DataError
            If a tau is negative or not finite.
        """
        years = _checked_tau(tau)
        knots, logs = self.taus, np.log(self.forwards)
        if self.index is not None:
            knots = np.concatenate(([0.0], knots))
            logs = np.concatenate(([np.log(self.index)], logs))
        carry = (logs[-1] - logs[0]) / (knots[-1] - knots[0]) if knots.size > 1 else 0.0
        log_forward = np.interp(years, knots, logs) + carry * np.maximum(years - knots[-1], 0.0)
        return np.asarray(np.exp(log_forward))


def _checked_tau(tau: ArrayLike) -> FloatArray:
    values = np.asarray(tau, dtype=np.float64)
    if not np.isfinite(values).all() or np.any(values < 0.0):
        worst = float(values[~(values >= 0.0)].flat[0]) if np.any(~(values >= 0.0)) else float("inf")
        raise DataError(
            f"expected tau in years, finite and >= 0, found {worst}; drop expired instruments first"
        )
    return values


def _checked_moneyness(log_moneyness: ArrayLike) -> FloatArray:
    values = np.asarray(log_moneyness, dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            "expected finite log-moneyness ln(K / F), found NaN or infinity; check strikes and forwards"
        )
    return values
