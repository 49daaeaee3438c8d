"""Option prices from a characteristic function, and their derivatives in its parameters.

Lewis' formula with Black's model of the same variance as a control variate, forward 1:

    C(k) = Black(k) + e^(k/2)/π · ∫₀^∞ Re[e^(−iuk)·(φ_Black − φ)(½ + iu)] / (u² + ¼) du,   φ(z) = E[e^(zX)]

The control variate takes the poles at u = ±i/2 away. The integrand is then analytic in a strip, so the
trapezoidal rule converges exponentially: its error is the price's own periodic image at distance 2π/h. The
step is halved until the prices stand still; the cut-off is where the integrand has fallen below 1e-16, and is
checked on a grid that goes on far beyond it.

References
----------
Lewis (2001), A simple option formula for general jump-diffusion and other exponential Lévy processes.
Andersen, Lake (2018), Robust high-precision option pricing by Fourier transforms: contour deformations and
double-exponential quadrature.
Trefethen, Weideman (2014), The exponentially convergent trapezoidal rule, SIAM Review 56(3).
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ivhedge.core.errors import DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, StatusArray
from ivhedge.pricing import IvStatus, black76_price, implied_vol
from ivhedge.surface.models._checks import checked_points

__all__ = ["CharacteristicModel", "call_prices", "model_prices", "model_vols", "otm_prices"]

ComplexArray = NDArray[np.complex128]

TOLERANCE = 1e-11
"""Largest change of a price, relative to the forward, under the last halving of the step."""
SMALLEST_PRICE = 1e-11
"""Out-of-the-money prices below this, relative to the forward, carry no vol."""

_LOG_CUT = -37.0  # ln 1e-16
_MAX_NODES = 1 << 18
_CHUNK = 2048
_MAX_HALVINGS = 12


class CharacteristicModel(Protocol):
    """A model of ln(S/F) by its characteristic function."""

    def log_characteristic(
        self, z: ComplexArray, tau: float, *, gradient: bool = False
    ) -> tuple[ComplexArray, ComplexArray]:
        """Logarithm of E[e^(zX)], shape (n,), and its derivatives by parameter, shape (p, n) or (0, n)."""
        ...

    def expected_variance(self, tau: float) -> float:
        """Expected total variance to `tau`, jumps included."""
        ...


def call_prices(
    model: CharacteristicModel, log_moneyness: FloatArray, tau: float, *, gradient: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Call prices of one expiry relative to the forward, shape (n,), with derivatives, shape (p, n).

    Raises
    ------
    DataError
        If the integral does not converge: parameters far outside what any market shows.
    """
    is_call = np.ones(log_moneyness.shape, dtype=np.bool_)
    return _prices(model, log_moneyness, tau, is_call, gradient=gradient)


def otm_prices(
    model: CharacteristicModel, log_moneyness: FloatArray, tau: float, *, gradient: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Out-of-the-money prices, calls from k = 0 on; otherwise as `call_prices`."""
    return _prices(model, log_moneyness, tau, log_moneyness >= 0.0, gradient=gradient)


def _prices(
    model: CharacteristicModel, k: FloatArray, tau: float, is_call: BoolArray, *, gradient: bool
) -> tuple[FloatArray, FloatArray]:
    variance = model.expected_variance(tau)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        cutoff = _cutoff(model, k, tau, variance)
        correction = _integral(model, k, tau, variance, cutoff, gradient)
    scale = np.exp(0.5 * k) / np.pi
    black = black76_price(1.0, np.exp(k), tau, np.sqrt(variance / tau), is_call)
    return np.asarray(black + scale * correction[0]), np.asarray(scale * correction[1:])


def _cutoff(model: CharacteristicModel, k: FloatArray, tau: float, variance: float) -> float:
    """Where the integrand, and all of it beyond, is negligible."""
    u = np.geomspace(1.0, 1e7, 260) / np.sqrt(variance)
    z: ComplexArray = np.asarray(0.5 + 1j * u, dtype=np.complex128)
    decay = model.log_characteristic(z, tau)[0].real
    decay = np.where(np.isnan(decay), np.inf, decay)
    # The control variate decays as well; the factor e^(k/2) and the length of the tail count.
    size = np.maximum(decay, -0.5 * variance * u * u) - np.log(u + 0.25 / u)
    size += 0.5 * max(float(np.max(k)), 0.0)
    loud = np.flatnonzero(size > _LOG_CUT)
    last = int(loud[-1]) + 1 if loud.size else 0
    if last >= u.size:
        raise DataError(
            f"expected a characteristic function that decays, found {size[-1]:.3g} (log) at u = {u[-1]:.3g}, "
            f"tau = {tau:.4g}; the parameters are degenerate (|rho| near 1 or a huge vol of variance)"
        )
    return float(u[last])


def _integral(
    model: CharacteristicModel, k: FloatArray, tau: float, variance: float, cutoff: float, gradient: bool
) -> FloatArray:
    step = np.pi / (float(np.max(np.abs(k), initial=0.0)) + 8.0 * np.sqrt(variance))
    step = min(step, cutoff / 8.0)
    # Half the weight at u = 0; beyond the cut-off there is nothing.
    count = int(np.ceil(cutoff / step))
    total = _node_sum(model, np.arange(count + 1) * step, k, tau, variance, gradient, halve_first=True)
    estimate = step * total
    worst = np.inf
    for _ in range(_MAX_HALVINGS):
        if 2 * count > _MAX_NODES:
            break
        middle = (np.arange(count) + 0.5) * step
        total = total + _node_sum(model, middle, k, tau, variance, gradient, halve_first=False)
        step, count = 0.5 * step, 2 * count
        previous, estimate = estimate, step * total
        change = np.exp(0.5 * k) / np.pi * np.abs(estimate[0] - previous[0])
        worst = float(np.max(change, initial=0.0))
        if worst <= TOLERANCE:
            return np.asarray(estimate)
    raise DataError(
        f"expected prices to converge to {TOLERANCE} of the forward, found changes of {worst:.3g} "
        f"with {count} nodes at tau = {tau:.4g}; the parameters are degenerate"
    )


def _node_sum(
    model: CharacteristicModel,
    u: FloatArray,
    k: FloatArray,
    tau: float,
    variance: float,
    gradient: bool,
    *,
    halve_first: bool,
) -> FloatArray:
    """Sum of the integrand over nodes, row 0; rows beyond: of its derivatives in the parameters.

    The price does not depend on the control variate, so the derivatives hold it fixed.
    """
    total: FloatArray | None = None
    for start in range(0, u.size, _CHUNK):
        part = u[start : start + _CHUNK]
        z: ComplexArray = np.asarray(0.5 + 1j * part, dtype=np.complex128)
        log_phi, slopes = model.log_characteristic(z, tau, gradient=gradient)
        square = part * part + 0.25
        phi = np.exp(log_phi)
        control = np.exp(-0.5 * variance * square)
        rows = np.vstack(((control - phi)[None, :], -phi * slopes)) / square
        if halve_first and start == 0:
            rows[:, 0] *= 0.5
        angle = np.outer(part, k)
        share = rows.real @ np.cos(angle) + rows.imag @ np.sin(angle)
        total = share if total is None else total + share
    return np.zeros((1, k.size)) if total is None else total


def model_prices(
    model: CharacteristicModel, log_moneyness: ArrayLike, tau: ArrayLike, is_call: ArrayLike
) -> FloatArray:
    """Undiscounted prices relative to the forward at any points; arguments broadcast."""
    k, years = checked_points(log_moneyness, tau)
    k, years, calls = np.broadcast_arrays(k, years, np.asarray(is_call, dtype=np.bool_))
    out = np.empty(k.shape)
    for one in np.unique(years):
        mine = years == one
        out[mine] = _prices(model, k[mine], float(one), calls[mine], gradient=False)[0]
    return out


def model_vols(
    model: CharacteristicModel, log_moneyness: ArrayLike, tau: ArrayLike
) -> tuple[FloatArray, StatusArray]:
    """Implied vols at any points, and the status of each: `NO_TIME_VALUE` where the price is too small."""
    k, years = checked_points(log_moneyness, tau)
    vol = np.full(k.shape, np.nan)
    status = np.full(k.shape, int(IvStatus.NO_TIME_VALUE), dtype=np.uint8)
    for one in np.unique(years):
        mine = years == one
        points = k[mine]
        price = otm_prices(model, points, float(one))[0]
        found, outcome = implied_vol(
            price, 1.0, np.exp(points), float(one), points >= 0.0, return_status=True
        )
        tiny = price < SMALLEST_PRICE * np.minimum(1.0, np.exp(points))
        outcome = np.where(tiny, np.uint8(IvStatus.NO_TIME_VALUE), outcome)
        vol[mine], status[mine] = np.where(outcome == IvStatus.OK, found, np.nan), outcome
    return vol, status


def required_vols(model: CharacteristicModel, log_moneyness: ArrayLike, tau: ArrayLike) -> FloatArray:
    """Implied vols; refuses points whose price is too small to carry one.

    Raises
    ------
    DataError
        If a point is not finite, or its price is below `SMALLEST_PRICE`.
    """
    vol, status = model_vols(model, log_moneyness, tau)
    bad = np.asarray(status != IvStatus.OK)
    if bad.any():
        k = np.broadcast_to(np.asarray(log_moneyness, dtype=np.float64), vol.shape)
        nearest = float(k[bad][np.argmin(np.abs(k[bad]))])
        raise DataError(
            f"expected out-of-the-money prices of at least {SMALLEST_PRICE} of the forward, found "
            f"{int(bad.sum())} of {vol.size} points below, the nearest at log-moneyness {nearest:.4g}; "
            "narrow the range or ask for `vols_with_status`"
        )
    return vol
