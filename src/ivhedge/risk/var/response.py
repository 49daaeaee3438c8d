"""Scenarios whose spots come from a long history and whose smiles respond to them as recently recorded.

Chains are recorded for months, prices for years: the tail of the spot is taken where it can be seen, and the
smile's move given the spot's is a regression plus its joint residuals.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, EmptyData
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.risk.var.filtering import StandardisedReturns, overlap_of, rolling_rms
from ivhedge.risk.var.shocks import ScenarioSet, ShockHistory

__all__ = ["ResponseSettings", "SmileResponse", "fit_response", "response_scenarios"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSettings:
    """How the smile's response to the spot is estimated and drawn.

    Parameters
    ----------
    half_life_days : float
        Of the weights of the regression.
    residual_half_life_days : float
        Of the volatility that the residuals are rescaled to.
    ridge : float
        Prior observations with no response.
    bounds : tuple of float
        Least and largest ratio of the residual volatility of today to that of then.
    scatter_dof : float
        Residuals of one scenario are multiplied by one draw of ``sqrt((dof - 2) / chi2)``: a joint tail
        beyond the few recorded days. Infinite for none.
    spread : float
        Growth of the residuals per unit of ``|u|`` above its mean: vols move less predictably on wild days.
    """

    half_life_days: float = 25.0
    residual_half_life_days: float = 7.0
    ridge: float = 10.0
    bounds: tuple[float, float] = (0.5, 2.5)
    scatter_dof: float = float("inf")
    spread: float = 0.0

    def __post_init__(self) -> None:
        if not (self.half_life_days > 0.0 and self.residual_half_life_days > 0.0 and self.ridge >= 0.0):
            raise ConfigError("expected positive half-lives and a ridge at or above 0")
        if not (
            0.0 < self.bounds[0] <= 1.0 <= self.bounds[1] and self.scatter_dof > 2.0 and self.spread >= 0.0
        ):
            raise ConfigError("expected bounds around 1, scatter_dof above 2 and spread at or above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmileResponse:
    """Regression of all shocks but the spots on the own spot's move, with what it leaves.

    Parameters
    ----------
    coefficients : FloatArray, shape (3, D)
        Of 1, u and |u|; u is the log spot move over the volatility per day that options implied. Columns of
        spots are 0.
    residuals : FloatArray, shape (n, D)
        Rescaled to today's residual volatility.
    mean_abs : FloatArray, shape (underlyings,)
        Weighted mean of |u|, for the growth of residuals.
    explained : FloatArray, shape (D,)
        Weighted R², in sample.
    overlap : int
    """

    coefficients: FloatArray
    residuals: FloatArray
    mean_abs: FloatArray
    explained: FloatArray
    overlap: int


def fit_response(
    history: ShockHistory, reference_vol: ArrayLike, settings: ResponseSettings | None = None
) -> SmileResponse:
    """Regress smile and carry shocks on the spot move of the same underlying.

    Parameters
    ----------
    history : ShockHistory
        Known at the forecast.
    reference_vol : array_like, shape (n, underlyings)
        Volatility per day that options implied at each start: at-the-money vol of a month / sqrt(365), say.
    settings : ResponseSettings, optional

    Raises
    ------
    DataError
        If shapes do not fit or a reference is not positive.
    EmptyData
        If there are fewer than twenty shocks.
    """
    chosen = settings or ResponseSettings()
    layout, values = history.layout, history.values
    n, count = values.shape[0], len(layout.underlyings)
    reference = np.asarray(reference_vol, dtype=np.float64)
    if reference.shape != (n, count) or not (np.isfinite(reference).all() and reference.min() > 0.0):
        raise DataError(f"expected positive reference vols of shape {(n, count)}, found {reference.shape}")
    if n < 20:
        raise EmptyData(
            f"expected at least twenty shocks to fit the smile's response, found {n}; record more"
        )
    weight = np.exp2((history.end_ns - history.end_ns[-1]) / (NS_PER_DAY * chosen.half_life_days))
    coefficients, residuals = np.zeros((3, layout.size)), np.zeros_like(values)
    explained, mean_abs = np.zeros(layout.size), np.zeros(count)
    for j, name in enumerate(layout.underlyings):
        first = layout.start(name)
        rest = slice(first + 1, first + layout.width)
        u = values[:, first] / reference[:, j]
        mean_abs[j] = np.average(np.abs(u), weights=weight)
        features = np.stack([np.ones(n), u, np.abs(u)], axis=1)
        gram = features.T @ (weight[:, None] * features) + chosen.ridge * np.diag([0.0, 1.0, 1.0])
        coefficients[:, rest] = np.linalg.solve(gram, features.T @ (weight[:, None] * values[:, rest]))
        residuals[:, rest] = values[:, rest] - features @ coefficients[:, rest]
        total = np.average((values[:, rest] - values[:, rest].mean(axis=0)) ** 2, axis=0, weights=weight)
        left = np.average(residuals[:, rest] ** 2, axis=0, weights=weight)
        explained[rest] = 1.0 - left / np.maximum(total, np.finfo(np.float64).tiny)
    # No drift on average: a mean change of vols over months is chance.
    for j, name in enumerate(layout.underlyings):
        rest = slice(layout.start(name) + 1, layout.start(name) + layout.width)
        coefficients[0, rest] = -coefficients[2, rest] * mean_abs[j]
    residuals -= np.average(residuals, axis=0, weights=weight)
    then, now = rolling_rms(history, residuals, chosen.residual_half_life_days)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(then > 0.0, now / then, 1.0)
    return SmileResponse(
        coefficients=coefficients,
        residuals=residuals * np.clip(ratio, *chosen.bounds),
        mean_abs=mean_abs,
        explained=explained,
        overlap=overlap_of(history),
    )


def response_scenarios(
    history: ShockHistory,
    reference_vol: ArrayLike,
    returns: StandardisedReturns,
    daily_vol: ArrayLike,
    *,
    draws: int,
    rng: np.random.Generator,
    horizon_ns: int = NS_PER_DAY,
    settings: ResponseSettings | None = None,
) -> ScenarioSet:
    """Draw spots from a long filtered history and smiles from their recorded response.

    Parameters
    ----------
    history : ShockHistory
        Known at the forecast.
    reference_vol : array_like, shape (n + 1, underlyings)
        As for `fit_response`; the last row is that of today.
    returns : StandardisedReturns
        Long history known at the forecast, of the underlyings of `history` in their order.
    daily_vol : array_like, shape (underlyings,)
        Today's forecast, of the filter that standardised `returns`.
    draws : int
    rng : numpy.random.Generator
    horizon_ns : int
        Of returns, shocks and scenarios.
    settings : ResponseSettings, optional

    Returns
    -------
    ScenarioSet
        Spots stratified: sorted by the first underlying and drawn at even steps, so that their tail does not
        depend on luck; each meets a random row of residuals.

    Raises
    ------
    ConfigError
        If the draws are below 1.
    DataError
        If underlyings or shapes do not fit, or a volatility is not positive.
    """
    chosen, layout = settings or ResponseSettings(), history.layout
    reference, today = np.asarray(reference_vol, float), np.asarray(daily_vol, float)
    count = len(layout.underlyings)
    if draws < 1:
        raise ConfigError(f"expected at least one draw, found {draws}")
    if returns.underlyings != layout.underlyings:
        raise DataError(f"expected returns of {layout.underlyings}, found {returns.underlyings}")
    if today.shape != (count,) or not (np.isfinite(today).all() and today.min() > 0.0):
        raise DataError(
            f"expected one positive daily vol for each of {layout.underlyings}, found {today.tolist()}"
        )
    if reference.ndim != 2 or reference.shape[0] != history.values.shape[0] + 1:
        raise DataError(f"expected a reference vol per shock and one for today, found {reference.shape}")
    response = fit_response(history, reference[:-1], chosen)
    order = np.argsort(returns.values[:, 0], kind="stable")
    even = (np.arange(draws) + rng.random()) * (order.size / draws)
    spots = returns.values[order[np.minimum(even.astype(np.intp), order.size - 1)]]
    spots = (spots - np.mean(returns.values, axis=0)) * (today * np.sqrt(horizon_ns / NS_PER_DAY))
    rows = rng.integers(0, response.residuals.shape[0], size=draws)
    values = response.residuals[rows].copy()
    if np.isfinite(chosen.scatter_dof):
        dof = chosen.scatter_dof
        values *= np.sqrt((dof - 2.0) / rng.chisquare(dof, size=draws))[:, None]
    for j, name in enumerate(layout.underlyings):
        first = layout.start(name)
        rest = slice(first + 1, first + layout.width)
        u = spots[:, j] / reference[-1, j]
        away = np.maximum(np.abs(u) - response.mean_abs[j], 0.0)
        values[:, rest] *= (1.0 + chosen.spread * away)[:, None]
        values[:, rest] += np.stack([np.ones(draws), u, np.abs(u)], axis=1) @ response.coefficients[:, rest]
        values[:, first] = spots[:, j]
    overlap = max(1, round(draws * returns.overlap / order.size)) if draws > order.size else 1
    return ScenarioSet(layout=layout, horizon_ns=horizon_ns, values=values, overlap=max(overlap, 1))
