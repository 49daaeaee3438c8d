"""Greeks of undiscounted Black-76 options, to third order, and their practitioner units."""

from collections.abc import Sequence

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.pricing._greeks_numpy import GREEK_NAMES, greeks_numpy
from ivhedge.pricing._inputs import broadcast_floats, signs
from ivhedge.pricing.jit import jit_available

__all__ = ["GREEK_NAMES", "black76_greeks", "gamma_1pct", "theta_per_day", "vega_per_vol_point"]


def black76_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    names: Sequence[str] = GREEK_NAMES,
) -> dict[str, FloatArray]:
    """Compute raw mathematical Greeks; conventions, formulas and limits are in ``docs/pricing.md``.

    Parameters
    ----------
    forward, strike, tau, vol, is_call : array_like, broadcastable
        As for `black76_price`.
    names : sequence of str
        Any of `GREEK_NAMES`.

    Returns
    -------
    dict of str to FloatArray, broadcast shape
        In the order of `names`, per unit of vol (1.0), per year of *calendar* time.

    Raises
    ------
    ConfigError
        If a name is unknown.
    DataError
        If an input is not numeric, `is_call` is not boolean, or the shapes do not broadcast.

    Notes
    -----
    NaN where an input is invalid (as for `black76_price`). At zero total vol (``tau = 0`` or ``vol = 0``)
    off the money: delta and dual delta are those of the payoff, every other derivative is 0. At the money:
    price 0, delta and dual delta ±½, vega ``F·sqrt(tau)/sqrt(2π)``, rho 0; the others diverge and are NaN.

    References
    ----------
    Haug (2007), "The Complete Guide to Option Pricing Formulas", chapter 2.
    """
    unknown = [name for name in names if name not in GREEK_NAMES]
    if unknown:
        raise ConfigError(f"expected Greeks of {', '.join(GREEK_NAMES)}; found {', '.join(unknown)}")
    shape, flat = broadcast_floats(forward=forward, strike=strike, tau=tau, vol=vol, sign=signs(is_call))
    if jit_available():
        values = _compiled_greeks(flat, names)
    else:
        values = greeks_numpy(flat[0], flat[1], flat[2], flat[3], flat[4], names)
    return {name: value.reshape(shape) for name, value in zip(names, values, strict=True)}


def _compiled_greeks(flat: list[FloatArray], names: Sequence[str]) -> list[FloatArray]:
    from ivhedge.pricing._greeks_numba import greeks_kernel

    forward, strike, tau, vol, sign = flat
    codes = np.array([GREEK_NAMES.index(name) for name in names], dtype=np.int64)
    out = np.empty((codes.size, forward.size))
    irregular = np.empty(forward.size, dtype=np.bool_)
    greeks_kernel(forward, strike, tau, vol, sign, codes, out, irregular)
    rest = np.flatnonzero(irregular)
    if rest.size:
        # Invalid inputs and expired or zero-vol options are rare; the twin knows their limits.
        twin = greeks_numpy(forward[rest], strike[rest], tau[rest], vol[rest], sign[rest], names)
        for row, values in zip(out, twin, strict=True):
            row[rest] = values
    return list(out)


def vega_per_vol_point(vega: ArrayLike) -> FloatArray:
    """Return the change of value for +1 vol point (0.01)."""
    return np.asarray(vega, dtype=np.float64) * VOL_POINT


def theta_per_day(theta: ArrayLike) -> FloatArray:
    """Return the change of value for one calendar day, from theta per year."""
    return np.asarray(theta, dtype=np.float64) / DAYS_PER_YEAR


def gamma_1pct(gamma: ArrayLike, forward: ArrayLike) -> FloatArray:
    """Return the change of delta for a +1 % move of the forward."""
    return 0.01 * np.asarray(forward, dtype=np.float64) * np.asarray(gamma, dtype=np.float64)
