"""Backtest of expected shortfall: losses beyond the value at risk against the shortfall forecast for them."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray

__all__ = ["ShortfallTest", "shortfall_z2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallTest:
    """Acerbi and Szekely's second test.

    Parameters
    ----------
    statistic : float
        Z2: 0 expected, 1 without any exceedance, negative when shortfall is underestimated.
    p_value : float
        Share of simulated histories with a statistic at most as high; small speaks against the model.
    p_too_large : float
        Share with a statistic at least as high; small says that the forecast is too large.
    """

    statistic: float
    p_value: float
    p_too_large: float


def shortfall_z2(
    pnl: ArrayLike,
    var: ArrayLike,
    es: ArrayLike,
    level: float,
    forecasts: ArrayLike,
    rng: np.random.Generator,
    *,
    draws: int = 9_999,
) -> ShortfallTest:
    """Test frequency and size of the losses beyond the value at risk against the forecast shortfall.

    Parameters
    ----------
    pnl : array_like, shape (n,)
    var, es : array_like, shape (n,)
        Forecasts as positive losses, ``es > 0``.
    level : float
    forecasts : array_like, shape (n, m)
        The forecast distribution of each day's profit as m equally likely values: the null hypothesis.
    rng : numpy.random.Generator
    draws : int

    Raises
    ------
    ConfigError, DataError
        If the level or `draws` is out of range, shapes do not fit, or a number is not finite or a shortfall
        not positive.

    Notes
    -----
    ``Z2 = 1 + Σ_t X_t·1[X_t < -VaR_t] / (n·(1 - level)·ES_t)``. No day, no distribution beyond `forecasts`
    and no limit theorem enters the p-value; days are drawn independently.

    References
    ----------
    Acerbi, Szekely (2014), "Backtesting expected shortfall", Risk, section 2.2, equation 6.
    """
    if not 0.0 < level < 1.0 or draws < 1:
        raise ConfigError(f"expected a level between 0 and 1 and draws >= 1, found {level} and {draws}")
    profit, bound, short = (np.asarray(a, dtype=np.float64) for a in (pnl, var, es))
    futures = np.asarray(forecasts, dtype=np.float64)
    n = profit.size
    good = n > 0 and profit.shape == bound.shape == short.shape == (n,)
    if not good or futures.ndim != 2 or futures.shape[0] != n or futures.shape[1] == 0:
        raise DataError(
            f"expected profits, values at risk and shortfalls of shape (n,) and forecasts (n, m), found "
            f"{profit.shape}, {bound.shape}, {short.shape}, {futures.shape}"
        )
    finite = all(np.isfinite(a).all() for a in (profit, bound, short, futures))
    if not finite or short.min() <= 0.0:
        raise DataError("expected finite numbers and positive shortfalls; leave days without a forecast out")
    scale = n * (1.0 - level)
    statistic = 1.0 + float(_beyond(profit, bound, short).sum()) / scale
    terms = _beyond(futures, bound[:, None], short[:, None])
    total = np.ones(draws)
    for day in terms:
        total += rng.choice(day, size=draws) / scale
    tie = 1e-12
    return ShortfallTest(
        statistic=statistic,
        p_value=float((1 + (total <= statistic + tie).sum()) / (1 + draws)),
        p_too_large=float((1 + (total >= statistic - tie).sum()) / (1 + draws)),
    )


def _beyond(profit: FloatArray, var: FloatArray, es: FloatArray) -> FloatArray:
    return np.where(profit < -var, profit / es, 0.0)
