"""Undiscounted Black-76 prices on the forward."""

import numpy as np

from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.pricing._inputs import broadcast_options, output
from ivhedge.pricing._numpy_kernels import black76_price_numpy
from ivhedge.pricing._parallel import in_chunks
from ivhedge.pricing.jit import jit_available

__all__ = ["black76_price"]


def black76_price(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Price European options on a forward, undiscounted.

    Parameters
    ----------
    forward, strike : array_like, broadcastable
        Forward of the option's own expiry and strike, in the same unit; positive.
    tau : array_like
        Years to expiry, ACT/365, at least 0.
    vol : array_like
        Volatility as a decimal (0.45), at least 0.
    is_call : array_like of bool
    out : FloatArray, broadcast shape, optional
        Where the result goes, C-contiguous and apart from the inputs: repeated calls on large arrays spare
        the system fresh memory.

    Returns
    -------
    FloatArray, broadcast shape
        Price in the unit of `forward`; `out` where given.

    Raises
    ------
    DataError
        If an input is not numeric, `is_call` is not boolean, the shapes do not broadcast, or `out` does not
        fit.

    Notes
    -----
    At ``tau = 0`` or ``vol = 0`` the price is the intrinsic value. NaN exactly where an input is not finite,
    `forward` or `strike` lies outside 1e-150 … 1e150, or `tau` or `vol` is negative. Out-of-the-money
    prices keep a relative accuracy of 1e-13 far into the wings; below about 1e-308·min(F, K) they become 0.

    References
    ----------
    Black (1976), "The pricing of commodity contracts".

    Examples
    --------
    >>> float(black76_price(100.0, 100.0, 1.0, 0.2, True).round(4))
    7.9656
    """
    shape, flat, calls = broadcast_options(is_call, forward=forward, strike=strike, tau=tau, vol=vol)
    f, k, years, v = flat
    price = output(out, shape, (*flat, calls))
    if not jit_available():
        np.copyto(price, black76_price_numpy(f, k, years, v, np.where(calls, 1.0, -1.0)).reshape(shape))
        return price
    from ivhedge.pricing._price_numba import price_kernel

    rows = price.reshape(-1)
    in_chunks(
        f.size, lambda part: price_kernel(f[part], k[part], years[part], v[part], calls[part], rows[part])
    )
    return price
