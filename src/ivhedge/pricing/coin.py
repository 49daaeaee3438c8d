"""Coin-settled (inverse) options: the value c = V/F in coin, and its derivatives.

V is the undiscounted Black-76 price in dollars and F the forward of the option's own expiry, which is the
numeraire; an index is never used to convert what was priced on the forward.
"""

from collections.abc import Sequence

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.pricing._greeks_numpy import COIN_GREEK_NAMES
from ivhedge.pricing._inputs import broadcast_floats
from ivhedge.pricing.greeks import compute_greeks

__all__ = ["COIN_GREEK_NAMES", "coin_greeks", "coin_price", "usd_price"]


def coin_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    names: Sequence[str] = COIN_GREEK_NAMES,
    out: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """Compute the value in coin and its Greeks.

    Parameters
    ----------
    forward, strike, tau, vol, is_call : array_like, broadcastable
        As for `black76_price`; `forward` and `strike` in dollars.
    names : sequence of str
        Any of `COIN_GREEK_NAMES`.
    out : FloatArray, shape (len(names), *broadcast shape), optional
        As for `black76_greeks`.

    Returns
    -------
    dict of str to FloatArray, broadcast shape
        ``price_coin`` c = V/F; ``delta_coin`` = delta − V/F = F·dc/dF, coins of exposure;
        ``gamma_coin_1pct`` = change of ``delta_coin`` for F + 1 % = 0.01·(F·gamma − delta_coin);
        ``vega_coin`` dc/dvol; ``theta_coin`` dc/dt per year of calendar time at constant F;
        ``vanna_coin`` d²c/dF·dvol; ``volga_coin`` d²c/dvol²; ``c_F``, ``c_FF``, ``c_FFF`` the derivatives
        by F; all others the derivative of c whose dollar namesake is the same derivative of V.

    Raises
    ------
    ConfigError
        If a name is unknown.
    DataError
        As for `black76_price`.

    Notes
    -----
    Invalid inputs and zero total vol are treated as in `black76_greeks`. Long one perpetual or future of
    q·M dollars, inverse, has ``delta_coin`` = q·M/F: selling contracts worth ``delta_coin·F`` dollars
    leaves the value in coin unchanged to first order.

    References
    ----------
    Alexander and Imeraj (2023), "Delta hedging bitcoin options with a smile", Quantitative Finance 23(5).
    """
    unknown = [name for name in names if name not in COIN_GREEK_NAMES]
    if unknown:
        raise ConfigError(
            f"expected coin Greeks of {', '.join(COIN_GREEK_NAMES)}; found {', '.join(unknown)}"
        )
    return compute_greeks(forward, strike, tau, vol, is_call, names, out)


def coin_price(price_usd: ArrayLike, forward: ArrayLike) -> FloatArray:
    """Convert a price in dollars to coin at the option's own forward.

    Parameters
    ----------
    price_usd, forward : array_like, broadcastable

    Returns
    -------
    FloatArray, broadcast shape
        ``price_usd / forward``; NaN where `forward` is not a positive finite number.
    """
    shape, (price, rate) = broadcast_floats(price_usd=price_usd, forward=forward)
    with np.errstate(all="ignore"):
        return np.where((rate > 0) & (rate < np.inf), price / rate, np.nan).reshape(shape)


def usd_price(price_coin: ArrayLike, forward: ArrayLike) -> FloatArray:
    """Convert a price in coin to dollars at the option's own forward.

    Parameters
    ----------
    price_coin, forward : array_like, broadcastable

    Returns
    -------
    FloatArray, broadcast shape
        ``price_coin · forward``; NaN where `forward` is not a positive finite number.
    """
    shape, (price, rate) = broadcast_floats(price_coin=price_coin, forward=forward)
    with np.errstate(all="ignore"):
        return np.where((rate > 0) & (rate < np.inf), price * rate, np.nan).reshape(shape)
