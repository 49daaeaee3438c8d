"""Greeks of undiscounted Black-76 options, to third order, and their practitioner units."""

from collections.abc import Sequence

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.pricing._greeks_numpy import COIN_GREEK_NAMES, GREEK_NAMES, NEED_TAILS, greeks_numpy
from ivhedge.pricing._inputs import broadcast_options, output
from ivhedge.pricing._parallel import in_chunks
from ivhedge.pricing.jit import jit_available

__all__ = ["GREEK_NAMES", "black76_greeks", "gamma_1pct", "theta_per_day", "vega_per_vol_point"]

_CODES = {name: code for code, name in enumerate(GREEK_NAMES + COIN_GREEK_NAMES)}


def black76_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    *,
    names: Sequence[str] = GREEK_NAMES,
    out: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """Compute raw mathematical Greeks; conventions, formulas and limits are in ``docs/pricing.md``.

    Parameters
    ----------
    forward, strike, tau, vol, is_call : array_like, broadcastable
        As for `black76_price`.
    names : sequence of str
        Any of `GREEK_NAMES`.
    out : FloatArray, shape (len(names), *broadcast shape), optional
        Where the results go, C-contiguous and apart from the inputs: repeated calls on large arrays spare
        the system fresh memory. The results are its rows.

    Returns
    -------
    dict of str to FloatArray, broadcast shape
        In the order of `names`, per unit of vol (1.0), per year of *calendar* time.

    Raises
    ------
    ConfigError
        If a name is unknown.
    DataError
        If an input is not numeric, `is_call` is not boolean, the shapes do not broadcast, or `out` does not
        fit.

    Notes
    -----
    Errors stay below 1e-11 of the value; where the polynomial in d1 and d2 of a formula is near a zero (zomma
    and color at d1·d2 = 1, say), of the sum of its absolute terms, with |ln(F/K)|/s + s/2 for d1 and d2.

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
    return compute_greeks(forward, strike, tau, vol, is_call, names, out)


def compute_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    vol: ArrayLike,
    is_call: ArrayLike,
    names: Sequence[str],
    out: FloatArray | None,
) -> dict[str, FloatArray]:
    """Compute Greeks, all in dollars or all in coin; the names are known to be right."""
    shape, flat, calls = broadcast_options(is_call, forward=forward, strike=strike, tau=tau, vol=vol)
    values = output(out, (len(names), *shape), (*flat, calls))
    rows = values.reshape(len(names), flat[0].size)
    if jit_available():
        _fill_compiled(flat, calls, names, rows)
    else:
        f, k, years, v = flat
        for row, greek in zip(
            rows, greeks_numpy(f, k, years, v, np.where(calls, 1.0, -1.0), names), strict=True
        ):
            row[:] = greek
    return dict(zip(names, values, strict=True))


def _fill_compiled(flat: list[FloatArray], calls: BoolArray, names: Sequence[str], out: FloatArray) -> None:
    from ivhedge.pricing._greeks_coin_numba import coin_greeks_kernel
    from ivhedge.pricing._greeks_numba import greeks_kernel

    forward, strike, tau, vol = flat
    codes = np.array([_CODES[name] for name in names], dtype=np.int64)
    kernel = greeks_kernel if codes.size == 0 or codes[0] < len(GREEK_NAMES) else coin_greeks_kernel
    with_tails = not NEED_TAILS.isdisjoint(names)
    irregular = np.empty(forward.size, dtype=np.bool_)

    def work(part: slice) -> None:
        columns = forward[part], strike[part], tau[part], vol[part], calls[part]
        kernel(*columns, codes, with_tails, out, part.start, irregular[part])

    in_chunks(forward.size, work)
    rest = np.flatnonzero(irregular)
    if rest.size:
        # Invalid inputs and expired or zero-vol options are rare; the twin knows their limits.
        signs = np.where(calls[rest], 1.0, -1.0)
        twin = greeks_numpy(forward[rest], strike[rest], tau[rest], vol[rest], signs, names)
        for row, values in zip(out, twin, strict=True):
            row[rest] = values


def vega_per_vol_point(vega: ArrayLike) -> FloatArray:
    """Return the change of value for +1 vol point (0.01)."""
    return np.asarray(vega, dtype=np.float64) * VOL_POINT


def theta_per_day(theta: ArrayLike) -> FloatArray:
    """Return the change of value for one calendar day, from theta per year."""
    return np.asarray(theta, dtype=np.float64) / DAYS_PER_YEAR


def gamma_1pct(gamma: ArrayLike, forward: ArrayLike) -> FloatArray:
    """Return the change of delta for a +1 % move of the forward."""
    return 0.01 * np.asarray(forward, dtype=np.float64) * np.asarray(gamma, dtype=np.float64)
