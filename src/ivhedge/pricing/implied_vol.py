"""Implied volatility of undiscounted Black-76 prices."""

from typing import Literal, overload

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray, StatusArray
from ivhedge.pricing._implied_vol_numpy import implied_vol_numpy
from ivhedge.pricing._inputs import broadcast_options, output
from ivhedge.pricing.jit import jit_available

__all__ = ["implied_vol"]

Numeraire = Literal["usd", "coin"]


@overload
def implied_vol(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_call: ArrayLike,
    *,
    numeraire: Numeraire = "usd",
    out: FloatArray | None = None,
    return_status: Literal[False] = False,
) -> FloatArray: ...


@overload
def implied_vol(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_call: ArrayLike,
    *,
    numeraire: Numeraire = "usd",
    out: FloatArray | None = None,
    return_status: Literal[True],
) -> tuple[FloatArray, StatusArray]: ...


def implied_vol(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_call: ArrayLike,
    *,
    numeraire: Numeraire = "usd",
    out: FloatArray | None = None,
    return_status: bool = False,
) -> FloatArray | tuple[FloatArray, StatusArray]:
    """Invert undiscounted Black-76 prices to volatilities.

    Parameters
    ----------
    price, forward, strike : array_like, broadcastable
        In the same unit, or `price` in coin.
    tau : array_like
        Years to expiry, ACT/365, positive.
    is_call : array_like of bool
    numeraire : {"usd", "coin"}
        Unit of `price`. A coin premium counts ``price·forward`` dollars, taken exactly: turning it into
        dollars beforehand would cost a rounding, which a deep in-the-money option does not forgive.
    out : FloatArray, broadcast shape, optional
        Where the vols go, C-contiguous and apart from the inputs: repeated calls on large arrays spare
        the system fresh memory.
    return_status : bool
        Return the per-item `IvStatus` too.

    Returns
    -------
    vol : FloatArray, broadcast shape
        Decimal volatility; NaN exactly where the status is not ``OK``.
    status : StatusArray, broadcast shape, only with ``return_status=True``

    Raises
    ------
    DataError
        If an input is not numeric, `is_call` is not boolean, the shapes do not broadcast, or `out` does not
        fit.
    ConfigError
        If `numeraire` is unknown.

    Notes
    -----
    The error is a few units in the last place plus what half a unit in the last place of `price` moves the
    answer: for deep in-the-money prices the latter dominates, so prefer the out-of-the-money option.

    References
    ----------
    Jäckel (2015), "Let's be rational", Wilmott; Householder (1970), section 4.4.
    """
    if numeraire not in ("usd", "coin"):
        raise ConfigError(f'expected numeraire "usd" or "coin", found {numeraire!r}')
    coin = numeraire == "coin"
    shape, (p, f, k, years), calls = broadcast_options(
        is_call, price=price, forward=forward, strike=strike, tau=tau
    )
    vol = output(out, shape, (p, f, k, years, calls))
    if jit_available():
        from ivhedge.pricing._implied_vol_numba import invert

        status = np.empty(p.size, dtype=np.uint8)
        invert(p, f, k, years, calls, coin, vol.reshape(-1), status)
    else:
        found, status = implied_vol_numpy(p, f, k, years, np.where(calls, 1.0, -1.0), coin=coin)
        np.copyto(vol, found.reshape(shape))
    return (vol, status.reshape(shape)) if return_status else vol
