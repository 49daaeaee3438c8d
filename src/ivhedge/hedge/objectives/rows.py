"""From an objective to the rows of a programme: exposures, loadings, covariance, bands.

The Greeks come first, as they always do: bands are on them, triggers watch them. Where an objective counts
other rows they keep `_KEPT` of their standard deviation, so that a band on them is still well scaled for the
solver; that is a ten-thousandth of their variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import FloatArray
from ivhedge.core.units import NS_PER_DAY
from ivhedge.hedge.factors import Factors, RiskModel, factor_loadings, leg_loadings
from ivhedge.hedge.limits import Band, Numeraire
from ivhedge.hedge.objectives.definitions import (
    BucketedVega,
    ConditionalValueAtRisk,
    DeltaGamma,
    DeltaGammaVega,
    FactorNeutral,
    HedgeObjective,
    MinimumVariance,
)
from ivhedge.hedge.objectives.residual import own_risk
from ivhedge.hedge.objectives.revalue import factor_values
from ivhedge.hedge.ratios import HedgeRatio
from ivhedge.risk.legs import Legs, check_legs, price_legs
from ivhedge.risk.var import revalue
from ivhedge.surface.base import VolSurface

__all__ = ["RESIDUAL", "RiskRows", "TailSample", "risk_rows"]

RESIDUAL = "residual "
"""How the names of the rows of own risk begin."""
_KEPT = 0.01
_SCENARIO_ROWS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TailSample:
    """Profits by scenario about their mean, in USD.

    Parameters
    ----------
    book : FloatArray, shape (T,)
    candidates : FloatArray, shape (T, n)
        Per contract.
    weights : FloatArray, shape (T,)
    level : float
    """

    book: FloatArray
    candidates: FloatArray
    weights: FloatArray
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRows:
    """Rows of a programme.

    Parameters
    ----------
    factors : Factors
        k rows, those of the Greeks first.
    exposure : FloatArray, shape (k,)
    loadings : FloatArray, shape (k, n)
    row_sd : FloatArray, shape (k,)
        USD per unit of exposure, the Greeks' own: what a band violation is priced with.
    tail : TailSample or None
    """

    factors: Factors
    exposure: FloatArray
    loadings: FloatArray
    row_sd: FloatArray
    tail: TailSample | None = None


def risk_rows(
    objective: HedgeObjective,
    greeks: Factors,
    exposure: FloatArray,
    book: Sequence[tuple[Instrument, Decimal]],
    coins: float,
    candidates: Sequence[Instrument],
    surface: VolSurface,
    risk: RiskModel,
    index: float,
    ts_ns: int,
    ratio: HedgeRatio | None = None,
) -> RiskRows:
    """Set up the rows.

    Parameters
    ----------
    objective : HedgeObjective
    greeks : Factors
    exposure : FloatArray
        Of the book to the Greeks.
    book : sequence of (instrument, contracts)
        Positions in the underlying that have not expired.
    coins : float
        Coin held as cash that counts in USD.
    candidates : sequence of n Instrument
    surface : VolSurface
    risk : RiskModel
    index : float
        USD.
    ts_ns : int
    ratio : HedgeRatio, optional
        Whose delta the row of delta is.

    Raises
    ------
    ConfigError, DataError, UnknownInstrument
        If the model or the scenarios do not cover the underlying, or a leg has no price.
    """
    n = len(candidates)
    if isinstance(objective, (BucketedVega, DeltaGamma, DeltaGammaVega)):
        units = [(item, Decimal(1)) for item in candidates]
        loads = factor_loadings(
            units, {surface.underlying: surface}, greeks, ts_ns, ratio=ratio, max_age_ns=None
        )
        sd = np.sqrt(np.diag(greeks.covariance))
        counted = replace(greeks, covariance=_greek_covariance(objective, greeks.covariance))
        return RiskRows(factors=counted, exposure=exposure, loadings=loads.reshape(sd.size, n), row_sd=sd)
    surfaces = {surface.underlying: surface}
    positions = [*book, *((item, Decimal(1)) for item in candidates)]
    legs = price_legs(positions, surfaces, ts_ns, max_age_ns=None)
    check_legs(legs, ts_ns)
    head = (greeks, exposure, leg_loadings(legs, greeks, surfaces, ratio)[:, len(book) :])
    coin = greeks.numeraire is Numeraire.COIN
    if isinstance(objective, ConditionalValueAtRisk):
        return _tail_rows(objective, head, legs, len(book), coins, surface, risk, index, ts_ns, coin=coin)
    return _model_rows(objective, head, legs, len(book), coins, surface, risk, index, coin=coin)


def _greek_covariance(objective: HedgeObjective, covariance: FloatArray) -> FloatArray:
    if isinstance(objective, BucketedVega):
        return covariance
    sd = np.sqrt(np.diag(covariance))
    share = np.ones(sd.size)
    vega = np.arange(sd.size) >= 2
    if isinstance(objective, DeltaGamma):
        share[vega] = _KEPT
        return np.asarray(covariance * np.outer(share, share))
    # All tenors as one, and a little of their own, which keeps the matrix positive definite.
    together = covariance.copy()
    block = np.ix_(vega, vega)
    together[block] = np.outer(sd[vega], sd[vega]) * (1.0 - _KEPT**2) + np.diag((_KEPT * sd[vega]) ** 2)
    return np.asarray(together)


_Head = tuple[Factors, FloatArray, FloatArray]


def _model_rows(
    objective: MinimumVariance | FactorNeutral,
    head: _Head,
    legs: Legs,
    held: int,
    coins: float,
    surface: VolSurface,
    risk: RiskModel,
    index: float,
    *,
    coin: bool,
) -> RiskRows:
    greek_loads = head[2]
    if isinstance(objective, FactorNeutral) and objective.bands:
        again = "rescale the bands and pass model.over(days)"
        _check_horizon("bands per standard deviation", objective.model.horizon_days, risk, again)
    model = objective.model.over(risk.horizon_days)
    values = factor_values(legs, surface, model, coin=coin)
    money = index if coin else 1.0
    own = own_risk(legs, surface, objective.residual, risk.horizon_days) / money
    count, n = len(values.names), greek_loads.shape[1]
    spot = values.names.index(f"{surface.underlying}.spot")
    moved = values.odd[:, :held].sum(axis=1)
    moved[spot] += coins * index * float(model.scales[model.names.index(values.names[spot])]) / money
    keys = [item.key for item in legs.instruments]
    options = [j for j in range(n) if legs.is_option[held + j]]
    rest, own_rows, own_loads, own_names = _own_rows(own, keys, held, options, n)
    correlation = values.correlation if isinstance(objective, MinimumVariance) else np.eye(count)
    tail = np.ones(2 + len(options))
    tail[0] = objective.kurtosis - 1.0
    covariance = np.zeros((count + tail.size, count + tail.size))
    covariance[:count, :count] = correlation
    covariance[np.arange(count, count + tail.size), np.arange(count, count + tail.size)] = tail
    open_band = Band(-np.inf, np.inf)
    bands = objective.bands if isinstance(objective, FactorNeutral) else {}
    chosen = [bands.get(name, open_band) for name in values.names] + [open_band] * tail.size
    unit = ("coin" if coin else "USD") + " per standard deviation"
    names = (*values.names, f"{values.names[spot]} squared", f"{RESIDUAL}of the book", *own_names)
    return _joined(
        head,
        names,
        (unit,) * len(names),
        np.concatenate((moved, [values.even_spot[:held].sum(), rest], own_rows)),
        np.vstack((values.odd[:, held:], values.even_spot[held:], np.zeros(n), own_loads)),
        covariance * money**2,
        chosen,
    )


def _check_horizon(what: str, days: float, risk: RiskModel, remedy: str) -> None:
    if abs(days - risk.horizon_days) > 1e-9 * risk.horizon_days:
        raise ConfigError(
            f"expected {what} over the risk model's horizon of {risk.horizon_days:g} days, found {days:g}; "
            f"{remedy}, or set RiskModel.horizon_days"
        )


def _own_rows(
    own: FloatArray, keys: list[str], held: int, options: list[int], n: int
) -> tuple[float, FloatArray, FloatArray, list[str]]:
    # One row per candidate option, in which a holding of the same contract counts; the rest of the book's
    # own risk cannot be traded away and stands in one row.
    place = {keys[held + j]: i for i, j in enumerate(options)}
    rows, rest = np.zeros(len(options)), 0.0
    for i in range(held):
        at = place.get(keys[i])
        if at is None:
            rest += float(own[i]) ** 2
        else:
            rows[at] += own[i]
    loads = np.zeros((len(options), n))
    loads[np.arange(len(options)), options] = own[held:][options]
    return float(np.sqrt(rest)), rows, loads, [f"{RESIDUAL}{keys[held + j]}" for j in options]


def _tail_rows(
    objective: ConditionalValueAtRisk,
    head: _Head,
    legs: Legs,
    held: int,
    coins: float,
    surface: VolSurface,
    risk: RiskModel,
    index: float,
    ts_ns: int,
    *,
    coin: bool,
) -> RiskRows:
    scenarios = objective.scenarios
    if surface.underlying not in scenarios.layout.underlyings:
        raise ConfigError(
            f"expected scenarios of {surface.underlying}, found {list(scenarios.layout.underlyings)}; "
            "draw them from its panel"
        )
    _check_horizon("scenarios", scenarios.horizon_ns / NS_PER_DAY, risk, "draw them over that horizon")
    profits = revalue(legs, {surface.underlying: surface}, scenarios, ts_ns)
    usd = profits.coin * index if coin else profits.usd
    total = usd[:, :held].sum(axis=1)
    spot = scenarios.layout.split(scenarios.values, surface.underlying)[0]
    total = total + coins * index * np.expm1(spot)
    weights = scenarios.weights
    if weights is None:
        weights = np.full(total.size, 1.0 / total.size)
    joint = np.column_stack((total, usd[:, held:]))
    joint = joint - weights @ joint
    size, directions = np.linalg.eigh(joint.T @ (weights[:, None] * joint))
    kept = np.flatnonzero(size > 1e-12 * max(float(size[-1]), 1e-300))[-_SCENARIO_ROWS:][::-1]
    spread = np.sqrt(size[kept])[:, None] * directions[:, kept].T
    names = tuple(f"scenarios {i + 1}" for i in range(spread.shape[0]))
    rows = _joined(
        head,
        names,
        ("USD",) * len(names),
        spread[:, 0],
        spread[:, 1:],
        np.eye(len(names)),
        [Band(-np.inf, np.inf)] * len(names),
    )
    sample = TailSample(
        book=joint[:, 0], candidates=joint[:, 1:], weights=np.asarray(weights), level=objective.level
    )
    return replace(rows, tail=sample)


def _joined(
    head: _Head,
    names: tuple[str, ...],
    units: tuple[str, ...],
    exposure: FloatArray,
    loadings: FloatArray,
    covariance: FloatArray,
    bands: list[Band],
) -> RiskRows:
    greeks, greek_exposure, greek_loads = head
    first = greek_exposure.size
    whole = np.zeros((first + len(names),) * 2)
    sd = np.sqrt(np.diag(greeks.covariance))
    whole[:first, :first] = np.diag((_KEPT * sd) ** 2)
    whole[first:, first:] = covariance
    factors = replace(
        greeks,
        names=(*greeks.names, *names),
        units=(*greeks.units, *units),
        target=np.concatenate((greeks.target, [band.target for band in bands])),
        lower=np.concatenate((greeks.lower, [band.lower for band in bands])),
        upper=np.concatenate((greeks.upper, [band.upper for band in bands])),
        covariance=whole,
    )
    return RiskRows(
        factors=factors,
        exposure=np.concatenate((greek_exposure, exposure)),
        loadings=np.vstack((greek_loads, loadings)),
        row_sd=np.concatenate((sd, np.sqrt(np.diag(covariance)))),
    )
