"""Prices of stablecoins, and the forwards that are quoted in them.

A venue that quotes in USDT shows ``F_usdt = F_usd / p`` with p the price of one USDT in USD, the same p at
every expiry. It is given, or estimated from the expiries that a dollar venue lists too; without either the
two kinds of forward are never put together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.market.parity import weighted_median

__all__ = ["DOLLAR", "StablePrice", "stable_prices"]

DOLLAR = "USD"
_FAR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StablePrice:
    """Price of one unit of a currency in USD.

    Parameters
    ----------
    currency : str
    price, std_error : float
        USD.
    source : str
        ``given`` or ``estimated``.
    n_expiries : int
        Pairs of forwards that an estimate rests on; 0 where given.

    Raises
    ------
    ConfigError
        If the price is not finite and positive, or its error negative or not finite.
    """

    currency: str
    price: float
    std_error: float
    source: str
    n_expiries: int

    def __post_init__(self) -> None:
        if not (0.0 < self.price < np.inf and 0.0 <= self.std_error < np.inf):
            raise ConfigError(
                f"{self.currency}: expected a finite price above 0 and a finite std_error >= 0 in USD, "
                f"found price={self.price}, std_error={self.std_error}"
            )


def stable_prices(
    currency: Sequence[str],
    expiry_ns: IntArray,
    forward: FloatArray,
    std_error: FloatArray,
    given: Sequence[StablePrice] = (),
) -> dict[str, StablePrice]:
    """Price of every currency among forwards, where it is given or can be estimated.

    Parameters
    ----------
    currency : sequence of str, length n
        What each forward is quoted in.
    expiry_ns, forward, std_error : arrays, shape (n,)
    given : sequence of StablePrice
        Taken instead of estimates.

    Returns
    -------
    dict
        By currency, without USD.
    """
    known = {price.currency: price for price in given}
    name = np.array(currency, dtype=np.str_)
    dollar = _means(expiry_ns, forward, std_error, name == DOLLAR)
    found = {}
    for unit in sorted(set(currency) - {DOLLAR}):
        if unit in known:
            found[unit] = known[unit]
            continue
        own = _means(expiry_ns, forward, std_error, name == unit)
        shared = sorted(set(own) & set(dollar))
        if shared:
            gap = np.array([dollar[e][0] - own[e][0] for e in shared])
            variance = np.array([dollar[e][1] + own[e][1] for e in shared])
            found[unit] = _estimate(unit, gap, variance)
    return found


def _means(
    expiry_ns: IntArray,
    forward: FloatArray,
    std_error: FloatArray,
    mine: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> dict[int, tuple[float, float]]:
    """Log forward and its variance by expiry, over venues."""
    means = {}
    for expiry in np.unique(expiry_ns[mine]).tolist():
        at = mine & (expiry_ns == expiry)
        weight = (forward[at] / std_error[at]) ** 2
        middle = weighted_median(np.log(forward[at]), weight)
        near = np.abs(np.log(forward[at]) - middle) <= np.maximum(_FAR * weight**-0.5, 25e-4)
        total = float(np.sum(weight[near]))
        if not total > 0.0:
            continue  # forwards of unbounded error say nothing
        means[expiry] = float(np.sum(weight[near] * np.log(forward[at])[near])) / total, 1.0 / total
    return means


def _estimate(unit: str, gap: FloatArray, variance: FloatArray) -> StablePrice:
    weight = 1.0 / variance
    middle = weighted_median(gap, weight)
    scatter = weighted_median(np.abs(gap - middle) / variance**0.5, np.ones(gap.size)) * 1.4826
    near = np.abs(gap - middle) <= _FAR * np.maximum(scatter, 1.0) * variance**0.5
    gap, weight = gap[near], weight[near]
    mean = float(np.sum(weight * gap) / np.sum(weight))
    error = float(np.sum(weight)) ** -0.5
    if gap.size > 1:
        error *= max(1.0, float(np.sum(weight * (gap - mean) ** 2)) / (gap.size - 1)) ** 0.5
    price = float(np.exp(mean))
    return StablePrice(
        currency=unit, price=price, std_error=price * error, source="estimated", n_expiries=int(gap.size)
    )
