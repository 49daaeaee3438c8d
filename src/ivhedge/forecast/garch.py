"""GARCH(1,1), GJR and EGARCH with Student-t innovations on daily closes, by maximum likelihood.

Own likelihood: it is forty lines, and the package that has it brings a data-frame library along.

References
----------
Bollerslev (1987); Glosten, Jagannathan and Runkle (1993); Nelson (1991).
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from ivhedge.core.types import FloatArray
from ivhedge.forecast._garch_kernel import filter_variance
from ivhedge.forecast.base import require_history
from ivhedge.forecast.measures import DailyMeasures

__all__ = ["GarchForecaster", "GarchKind"]

_PERCENT = 100.0
_MEMORY = 500
_BETA = 3


class GarchKind(StrEnum):
    """Shape of the recursion."""

    GARCH = "GARCH-t"
    GJR = "GJR-t"
    EGARCH = "EGARCH-t"


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchForecaster:
    """One member of the family.

    Parameters
    ----------
    kind : GarchKind
    window : int
        Days in a fit.
    """

    kind: GarchKind = GarchKind.GARCH
    window: int = 500
    refit_days: int = 7
    memory: int = _MEMORY

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.kind.value

    def fit(self, history: DailyMeasures, horizons: tuple[int, ...]) -> "_FittedGarch":
        """Maximise the Student-t likelihood; see `Forecaster.fit`."""
        require_history(history, 200, horizons, self.name)
        returns = history.log_return[-self.window :] * _PERCENT
        mean = float(returns.mean())
        residual = returns - mean
        variance = float(residual.var())
        egarch = self.kind is GarchKind.EGARCH
        if egarch:
            start = np.array([0.05 * np.log(variance), 0.15, 0.0, 0.95, 5.0])
            bounds = [(-2.0, 2.0), (0.0, 1.0), (-0.5, 0.5), (0.0, 0.995), (2.5, 50.0)]
        else:
            leverage = 0.5 if self.kind is GarchKind.GJR else 0.0
            start = np.array([0.05 * variance, 0.06, 0.02 if leverage else 0.0, 0.88, 5.0])
            bounds = [
                (1e-4 * variance, 2.0 * variance),
                (0.0, 0.5),
                (0.0, leverage),
                (0.0, 0.999),
                (2.5, 50.0),
            ]
        result = minimize(
            _with_gradient,
            start,
            args=(residual, variance, egarch),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 60, "ftol": 1e-8},
        )
        best = result.x if np.isfinite(result.fun) else start
        return _FittedGarch(
            horizons=horizons, mean=mean, variance=variance, parameters=np.asarray(best), egarch=egarch
        )


def _mean_abs(dof: float) -> float:
    """E|z| of a Student-t with unit variance."""
    log = gammaln((dof + 1.0) / 2.0) - gammaln(dof / 2.0)
    return float(2.0 * np.sqrt(dof - 2.0) / (dof - 1.0) / np.sqrt(np.pi) * np.exp(log))


def _negative_likelihood(x: FloatArray, residual: FloatArray, variance: float, egarch: bool) -> float:
    dof = x[4]
    persistence = x[3] if egarch else x[1] + 0.5 * x[2] + x[3]
    _, deviance = filter_variance(residual, x, first=variance, egarch=egarch, mean_abs=_mean_abs(dof))
    constant = gammaln((dof + 1.0) / 2.0) - gammaln(dof / 2.0) - 0.5 * np.log(np.pi * (dof - 2.0))
    total = residual.size * constant - 0.5 * deviance
    # A smooth wall: beyond it no long-run variance exists.
    wall = 1e4 * max(0.0, persistence - 0.998) ** 2 * residual.size
    return float(wall - total)


def _with_gradient(
    x: FloatArray, residual: FloatArray, variance: float, egarch: bool
) -> tuple[float, FloatArray]:
    """Value and forward differences: the optimiser's own cost more than the likelihood."""
    value = _negative_likelihood(x, residual, variance, egarch)
    slope = np.empty(x.size)
    for k in range(x.size):
        moved = x.copy()
        # Away from the upper bounds, of which persistence is the one that is met.
        step = -1e-6 * max(abs(x[k]), 0.1) if k == _BETA else 1e-6 * max(abs(x[k]), 0.1)
        moved[k] += step
        slope[k] = (_negative_likelihood(moved, residual, variance, egarch) - value) / step
    return value, slope


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedGarch:
    horizons: tuple[int, ...]
    mean: float
    variance: float
    parameters: FloatArray
    egarch: bool

    def predict(self, history: DailyMeasures, start: int) -> FloatArray:
        begin = max(0, start - _MEMORY)
        residual = history.log_return[begin:] * _PERCENT - self.mean
        dof = float(self.parameters[4])
        variance, _ = filter_variance(
            residual,
            self.parameters,
            first=self.variance,
            egarch=self.egarch,
            mean_abs=_mean_abs(dof),
        )
        after = variance[1:][start - begin :]
        steps = np.arange(max(self.horizons), dtype=np.float64)
        path = self._log_path(after, steps, dof) if self.egarch else self._path(after, steps)
        mean = np.cumsum(path, axis=1) / (steps + 1.0)
        return np.asarray(mean[:, np.array(self.horizons) - 1] / _PERCENT**2)

    def _path(self, after: FloatArray, steps: FloatArray) -> FloatArray:
        omega, alpha, gamma, beta = self.parameters[:4]
        persistence = alpha + 0.5 * gamma + beta
        long_run = omega / max(1.0 - persistence, 1e-3)
        return np.asarray(long_run + (after - long_run)[:, None] * persistence ** steps[None, :])

    def _log_path(self, after: FloatArray, steps: FloatArray, dof: float) -> FloatArray:
        """Two cumulants of the log variance; the exact mean does not exist for t innovations."""
        omega, alpha, gamma, beta = self.parameters[:4]
        shock = alpha**2 * (1.0 - _mean_abs(dof) ** 2) + gamma**2
        level = omega / max(1.0 - beta, 1e-3)
        spread = shock * (1.0 - beta ** (2.0 * steps)) / max(1.0 - beta**2, 1e-3)
        log = level + (np.log(after) - level)[:, None] * beta ** steps[None, :]
        return np.asarray(np.exp(np.clip(log + 0.5 * spread, -30.0, 30.0)))
