"""Realised GARCH, log-linear, on daily returns and a range measure of each day's variance.

    ln h_t = omega + beta ln h_{t−1} + gamma ln x_{t−1}
    ln x_t = xi + phi ln h_t + tau1 z_t + tau2 (z_t² − 1) + u_t,    z_t = r_t / sqrt(h_t)

Quasi-likelihood with normal z and u. Given h, the second line is a least-squares regression, so only omega,
beta and gamma are searched for.

References
----------
Hansen, Huang and Shek (2012), Realized GARCH: a joint model for returns and realized measures of volatility.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.signal import lfilter

from ivhedge.core.types import FloatArray
from ivhedge.forecast.base import level_scale, require_history
from ivhedge.forecast.measures import DailyMeasures

__all__ = ["RealisedGarchForecaster"]

_PERCENT2 = 1e4
_MEMORY = 500
_LONGEST_MEMORY = 0.998


@dataclass(frozen=True, slots=True, kw_only=True)
class RealisedGarchForecaster:
    """Realised GARCH(1,1) with Garman-Klass, at the level of realised variance, as the measure.

    Parameters
    ----------
    window : int
        Days in a fit.
    """

    name: str = "Realised GARCH"
    window: int = 500
    refit_days: int = 7
    memory: int = _MEMORY

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "FittedRealisedGarch":
        """Maximise the joint quasi-likelihood of returns and measures; see `Forecaster.fit`."""
        require_history(history, 200, horizons, self.name)
        recent = history.rows(max(0, len(history) - self.window), len(history))
        scale = level_scale(history) * _PERCENT2
        log_x = np.log(recent.garman_klass * scale)
        mean = float(recent.log_return.mean())
        squares = (recent.log_return - mean) ** 2 * _PERCENT2
        residual = np.sqrt(squares) * np.sign(recent.log_return - mean)
        first = float(np.log(squares.mean()))
        start = np.array([0.1 * first, 0.55, 0.35])
        result = minimize(
            _negative_likelihood,
            start,
            args=(residual, log_x, first),
            method="L-BFGS-B",
            bounds=[(-3.0, 3.0), (0.0, 0.99), (0.0, 1.0)],
            options={"maxiter": 80, "ftol": 1e-9},
        )
        omega, beta, gamma = result.x if np.isfinite(result.fun) else start
        log_h = _log_variance(log_x, omega, beta, gamma, first)[:-1]
        measured = _Measurement.of(log_h, log_x, residual)
        return FittedRealisedGarch(
            horizons=horizons,
            scale=scale,
            first=first,
            omega=float(omega),
            beta=float(beta),
            gamma=float(gamma),
            measured=measured,
        )


def _log_variance(log_x: FloatArray, omega: float, beta: float, gamma: float, first: float) -> FloatArray:
    """Log of h of every day and of the one after the last, shape (days + 1,)."""
    push = omega + gamma * log_x
    after, _ = lfilter([1.0], [1.0, -beta], push, zi=[beta * first])
    return np.concatenate([[first], after])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measurement:
    """The measurement equation: its level and slope, and what is left of each day's measure."""

    xi: float
    phi: float
    unexplained: float
    """Variance of u."""
    spread: float
    """Variance of ln x about its mean given h: tau terms and u together."""
    smear: float
    """Mean of exp of the same (Duan 1983)."""

    @classmethod
    def of(cls, log_h: FloatArray, log_x: FloatArray, residual: FloatArray) -> "_Measurement":
        z = residual * np.exp(-0.5 * log_h)
        columns = np.column_stack([np.ones(log_h.size), log_h, z, z**2 - 1.0])
        slope = np.linalg.lstsq(columns, log_x, rcond=1e-10)[0]
        around = log_x - columns[:, :2] @ slope[:2]
        u = log_x - columns @ slope
        return cls(
            xi=float(slope[0]),
            phi=float(slope[1]),
            unexplained=float(max(u.var(), 1e-12)),
            spread=float(around.var()),
            smear=float(np.exp(np.minimum(around, 30.0)).mean()),
        )


def _negative_likelihood(x: FloatArray, residual: FloatArray, log_x: FloatArray, first: float) -> float:
    omega, beta, gamma = (float(v) for v in x)
    log_h = np.clip(_log_variance(log_x, omega, beta, gamma, first)[:-1], -30.0, 30.0)
    measured = _Measurement.of(log_h, log_x, residual)
    returns = float(np.sum(log_h + residual**2 * np.exp(-log_h)))
    measures = residual.size * float(np.log(measured.unexplained))
    # A smooth wall: beyond it no long-run variance exists.
    beyond = max(0.0, beta + gamma * measured.phi - _LONGEST_MEMORY)
    return 0.5 * (returns + measures) + 1e4 * beyond**2 * residual.size


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRealisedGarch:
    """Parameters of one fit; variances in percent squared per day."""

    horizons: tuple[int, ...]
    scale: float
    first: float
    omega: float
    beta: float
    gamma: float
    measured: _Measurement

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        """Mean of the measure over each horizon; see `FittedForecaster.predict`."""
        begin = max(0, start - _MEMORY)
        log_x = np.log(history.garman_klass[begin:] * self.scale)
        log_h = _log_variance(log_x, self.omega, self.beta, self.gamma, self.first)[1:][start - begin :]
        m = self.measured
        steps = np.arange(max(self.horizons), dtype=np.float64)
        persistence = min(self.beta + self.gamma * m.phi, _LONGEST_MEMORY)
        level = (self.omega + self.gamma * m.xi) / (1.0 - persistence)
        path = level + (log_h - level)[:, None] * persistence ** steps[None, :]
        # Log variance is a first-order autoregression: two cumulants give the mean of its exponential.
        spread = self.gamma**2 * m.spread * (1.0 - persistence ** (2.0 * steps)) / (1.0 - persistence**2)
        log_mean = m.xi + m.phi * path + 0.5 * m.phi**2 * spread
        measure = m.smear * np.exp(np.clip(log_mean, -30.0, 30.0))
        mean = np.cumsum(measure, axis=1) / (steps + 1.0)
        return np.asarray(mean[:, np.array(self.horizons) - 1] / _PERCENT2)
