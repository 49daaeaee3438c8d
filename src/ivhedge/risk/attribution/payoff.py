"""Payoffs of options in their settlement currency, and their slopes."""

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray

__all__ = ["payoff", "payoff_slope"]


def payoff(strike: FloatArray, is_call: BoolArray, is_coin: BoolArray, price: FloatArray) -> FloatArray:
    """Payoff per unit of underlying: coin where `is_coin`, else USD; NaN where the price is."""
    sign = np.where(is_call, 1.0, -1.0)
    usd = np.maximum(sign * (price - strike), 0.0)
    return np.where(is_coin, usd / price, usd)


def payoff_slope(strike: FloatArray, is_call: BoolArray, is_coin: BoolArray, price: FloatArray) -> FloatArray:
    """Derivative of the payoff by the settlement price, 0 at the strike."""
    sign = np.where(is_call, 1.0, -1.0)
    inside = sign * (price - strike) > 0.0
    return np.where(inside, np.where(is_coin, sign * strike / price**2, sign), 0.0)
