"""Scenarios drawn from factors: heavy-tailed joint draws, mapped to spots and smiles by their loadings."""

import numpy as np
from scipy.stats import t as student

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.risk.var.shocks import ScenarioSet, ShockLayout

__all__ = ["factor_scenarios", "multivariate_t_draws", "t_copula_draws"]


def multivariate_t_draws(
    covariance: ArrayLike, dof: float, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Draw factors of a given covariance with joint tails of a Student t.

    Parameters
    ----------
    covariance : array_like, shape (k, k)
        Of the draws themselves, not the scale matrix: `dof` changes the tail and leaves the variance.
    dof : float
        Above 2; infinite for the normal.
    draws : int
    rng : numpy.random.Generator

    Returns
    -------
    FloatArray, shape (draws, k)
        ``sqrt((dof - 2) / chi2) · A z`` with ``A Aᵀ`` the covariance, in pairs of opposite sign.

    Raises
    ------
    ConfigError
        If `dof` is not above 2 or there are no draws.
    DataError
        If the matrix is not symmetric and positive semi-definite.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if not dof > 2.0 or draws < 1:
        raise ConfigError(f"expected dof above 2 and at least one draw, found {dof} and {draws}")
    root = _root(matrix)
    half = -(-draws // 2)
    normal = rng.standard_normal((half, matrix.shape[0])) @ root.T
    if np.isfinite(dof):
        normal *= np.sqrt((dof - 2.0) / rng.chisquare(dof, half))[:, None]
    return np.concatenate([normal, -normal])[:draws]


def t_copula_draws(
    sample: ArrayLike, correlation: ArrayLike, dof: float, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Draw factors whose margins are those of a sample and whose dependence is a t copula.

    Parameters
    ----------
    sample : array_like, shape (n, k)
        Factor moves already rescaled to today; each margin is interpolated between its sorted values, and
        nothing is drawn beyond the largest.
    correlation : array_like, shape (k, k)
    dof : float
        Positive; infinite for the normal copula, which has no joint tail.
    draws : int
    rng : numpy.random.Generator

    Raises
    ------
    ConfigError, DataError
        If `dof` or `draws` is out of range, the matrix is no correlation, or the sample is not finite.

    References
    ----------
    Demarta, McNeil (2005), "The t copula and related copulas", International Statistical Review 73.
    """
    values, matrix = np.asarray(sample, np.float64), np.asarray(correlation, np.float64)
    if not dof > 0.0 or draws < 1:
        raise ConfigError(f"expected a positive dof and at least one draw, found {dof} and {draws}")
    if values.ndim != 2 or values.shape[0] < 2 or not np.isfinite(values).all():
        raise DataError(f"expected a finite sample of shape (n >= 2, k), found {values.shape}")
    root = _root(matrix)
    if matrix.shape[0] != values.shape[1] or not np.allclose(np.diag(matrix), 1.0):
        raise DataError(f"expected a correlation of shape {(values.shape[1],) * 2} with ones on its diagonal")
    joint = rng.standard_normal((draws, matrix.shape[0])) @ root.T
    if np.isfinite(dof):
        joint /= np.sqrt(rng.chisquare(dof, draws) / dof)[:, None]
    levels = student.cdf(joint, dof)
    middle = (np.arange(values.shape[0]) + 0.5) / values.shape[0]
    ordered = np.sort(values, axis=0)
    return np.stack([np.interp(levels[:, j], middle, ordered[:, j]) for j in range(values.shape[1])], axis=1)


def factor_scenarios(
    layout: ShockLayout,
    draws: ArrayLike,
    loadings: ArrayLike,
    *,
    residuals: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    horizon_ns: int = NS_PER_DAY,
) -> ScenarioSet:
    """Turn draws of factors into joint shocks.

    Parameters
    ----------
    layout : ShockLayout
    draws : array_like, shape (n, k)
        Over the horizon.
    loadings : array_like, shape (k, layout.size)
        Shock per unit of factor.
    residuals : array_like, shape (m, layout.size), optional
        What the factors left unexplained in the past; each scenario takes one row by `rng`. Without them the
        residual risk counts as none: say so where the result is shown.
    rng : numpy.random.Generator, optional
        Needed with `residuals`.
    horizon_ns : int

    Raises
    ------
    ConfigError
        If residuals come without a generator.
    DataError
        If shapes do not fit.
    """
    factors, matrix = np.asarray(draws, np.float64), np.asarray(loadings, np.float64)
    if factors.ndim != 2 or matrix.shape != (factors.shape[1], layout.size):
        raise DataError(
            f"expected loadings of shape (k, {layout.size}), found {matrix.shape} for {factors.shape}"
        )
    values = factors @ matrix
    if residuals is not None:
        left = np.asarray(residuals, np.float64)
        if rng is None:
            raise ConfigError("expected a random generator beside residuals; pass rng")
        if left.ndim != 2 or left.shape[1] != layout.size or left.shape[0] == 0:
            raise DataError(f"expected residuals of shape (m, {layout.size}), found {left.shape}")
        values = values + left[rng.integers(0, left.shape[0], factors.shape[0])]
    return ScenarioSet(layout=layout, horizon_ns=horizon_ns, values=values)


def _root(matrix: FloatArray) -> FloatArray:
    # Of a semi-definite matrix too, where Cholesky's fails.
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise DataError(f"expected a finite square matrix, found shape {matrix.shape}")
    if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-12 * float(np.abs(matrix).max())):
        raise DataError("expected a symmetric matrix")
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -1e-9 * max(float(values[-1]), 0.0):
        raise DataError(f"expected a positive semi-definite matrix, found the eigenvalue {values[0]:g}")
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
