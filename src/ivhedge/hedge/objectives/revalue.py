"""Profit of every leg per standard deviation of every factor, all factors in one pricing call.

The same numbers as `ivhedge.risk.factors.factor_loadings`, which revalues one factor at a time; a plan does
this at every look. The moved vols are those of `ivhedge.risk.factors.ShiftedSurface`. Besides the odd part,
``(V₊ − V₋)/2``, the even one of spot is kept, ``(V₊ + V₋)/2 − V₀``: what a move of one standard deviation
gains by curvature, vega's answer to it included.
"""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR
from ivhedge.pricing import black76_price
from ivhedge.risk.factors import Factor, FactorModel
from ivhedge.risk.legs import Legs
from ivhedge.surface.base import VolSurface

__all__ = ["FactorValues", "factor_values"]

_MINUTE = 1.0 / (DAYS_PER_YEAR * 1440.0)
_SPOT, _BASIS = "spot", "basis"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorValues:
    """Profit per standard deviation of the K factors of one underlying.

    Parameters
    ----------
    names : tuple of K str
    correlation : FloatArray, shape (K, K)
    odd : FloatArray, shape (K, n)
        In USD, or in coin.
    even_spot : FloatArray, shape (n,)
        Profit that a move of spot by one standard deviation brings either way.
    """

    names: tuple[str, ...]
    correlation: FloatArray
    odd: FloatArray
    even_spot: FloatArray


def factor_values(legs: Legs, surface: VolSurface, model: FactorModel, *, coin: bool) -> FactorValues:
    """Revalue legs of one underlying with each of its factors one standard deviation up and down.

    Parameters
    ----------
    legs : Legs
        Of the surface's underlying; those that are not priced get 0.
    surface : VolSurface
    model : FactorModel
        Over the horizon wanted.
    coin : bool
        Count in coin instead of USD.

    Raises
    ------
    ConfigError
        If the model has no spot factor of the underlying: spot's risk would count as none.
    DataError
        If a moved surface has no vol for a leg.
    """
    mine = [i for i, factor in enumerate(model.factors) if factor.underlying == surface.underlying]
    kinds = [model.factors[i].kind for i in mine]
    if _SPOT not in kinds:
        raise ConfigError(
            f"expected a model with a spot factor of {surface.underlying}, found {list(model.names)}; "
            "fit one with fit_factors on its panel"
        )
    rows = np.flatnonzero(legs.priced)
    count = len(mine)
    odd, even = np.zeros((count, legs.size.size)), np.zeros(legs.size.size)
    if rows.size:
        scales = np.concatenate((model.scales[mine], -model.scales[mine], [0.0]))
        moved = _values(legs, rows, surface, [model.factors[i] for i in mine], scales, coin=coin)
        up, down, base = moved[:count], moved[count : 2 * count], moved[-1]
        odd[:, rows] = 0.5 * (up - down)
        spot = kinds.index(_SPOT)
        even[rows] = 0.5 * (up[spot] + down[spot]) - base
    return FactorValues(
        names=tuple(model.names[i] for i in mine),
        correlation=model.correlation[np.ix_(mine, mine)],
        odd=odd,
        even_spot=even,
    )


def _values(
    legs: Legs, rows: IntArray, surface: VolSurface, factors: list[Factor], scales: FloatArray, *, coin: bool
) -> FloatArray:
    # One row per factor up, then per factor down, then the surface as it is: (2K + 1, m).
    tau = np.nan_to_num(legs.tau[rows])
    start = legs.forward[rows]
    log_move = np.zeros((scales.size, rows.size))
    for i, scale in enumerate(scales[:-1]):
        kind = factors[i % len(factors)].kind
        log_move[i] = scale * {_SPOT: 1.0, _BASIS: tau}.get(kind, 0.0)
    forward = np.asarray(surface.forward(tau), dtype=np.float64) * np.exp(log_move)
    size, option = legs.size[rows], legs.is_option[rows]
    # The index moves with spot and not with the basis.
    spot_moves = [i for i, factor in enumerate(factors) if factor.kind == _SPOT]
    index = np.full((scales.size, 1), float(surface.forward(0.0)))
    for i in spot_moves:
        index[[i, i + len(factors)], 0] *= np.exp(scales[[i, i + len(factors)]])
    inverse = legs.is_inverse[rows]
    held = np.where(inverse, size / start * (index / forward), size)
    usd = held * (forward - start)
    at = np.flatnonzero(option)
    if at.size:
        vol = _moved_vols(legs.strike[rows][at], tau[at], forward[:, at], surface, factors, scales)
        if not np.isfinite(vol).all():
            leg = int(rows[at[np.flatnonzero(~np.isfinite(vol).all(axis=0))[0]]])
            raise DataError(
                f"{legs.instruments[leg].key}: expected a vol after a move of one standard deviation, found "
                "none; refit the surface, or use a shorter horizon"
            )
        price = black76_price(forward[:, at], legs.strike[rows][at], tau[at], vol, legs.is_call[rows][at])
        usd[:, at] = size[at] * np.where(inverse[at], price * (index / forward[:, at]), price)
    return np.asarray(usd / index if coin else usd)


def _moved_vols(
    strike: FloatArray,
    tau: FloatArray,
    forward: FloatArray,
    surface: VolSurface,
    factors: list[Factor],
    scales: FloatArray,
) -> FloatArray:
    years = np.maximum(tau, _MINUTE)
    root = np.sqrt(years)
    before = np.asarray(surface.implied_vol(np.zeros_like(years), years))
    k = np.log(strike / forward)
    added, centre = np.zeros_like(k), np.zeros_like(years)
    for i, factor in enumerate(factors):
        if factor.shape is None:
            continue
        at_money = factor.shape.at(years, centre)
        both = np.array([i, i + len(factors)])
        after = before + scales[both, None] * at_money
        x = k[both] / (np.where(after > 0.0, after, np.nan) * root)
        k[both] = x * before * root
        added[both] = scales[both, None] * factor.shape.at(years, np.nan_to_num(x))
    vol = np.asarray(surface.implied_vol(k, np.broadcast_to(years, k.shape))) + added
    return np.asarray(np.where(vol > 0.0, vol, np.nan))
