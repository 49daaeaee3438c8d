"""The plain numpy twin of the Greeks kernel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing._numpy_kernels import (
    H_MAX,
    S_MIN,
    black76_price_numpy,
    exp_numpy,
    log_ratio_numpy,
    tails_numpy,
    total_vol_numpy,
    valid_numpy,
)

__all__ = ["COIN_GREEK_NAMES", "GREEK_NAMES", "NEED_TAILS", "greeks_numpy"]

INV_SQRT_TWO_PI = float(1.0 / np.sqrt(2.0 * np.pi))


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What the formulas share: d1, d2, the density at d1 and N(q·d1), N(q·d2)."""

    forward: FloatArray
    strike: FloatArray
    tau: FloatArray
    vol: FloatArray
    sign: FloatArray
    total_vol: FloatArray
    d1: FloatArray
    d2: FloatArray
    density: FloatArray
    n1: FloatArray
    n2: FloatArray


def _gamma(x: _State) -> FloatArray:
    return x.density / (x.forward * x.total_vol)


def _vega(x: _State) -> FloatArray:
    return x.forward * x.density * np.sqrt(x.tau)


def _ultima(x: _State) -> FloatArray:
    product = x.d1 * x.d2
    return -(_vega(x) / x.vol / x.vol) * (product * (1.0 - product) + x.d1**2 + x.d2**2)


def _dvolga_dt(x: _State) -> FloatArray:
    product = x.d1 * x.d2
    return _vega(x) / x.vol / (2.0 * x.tau) * (x.d1**2 + x.d2**2 - product * (1.0 + product))


def _delta_coin(x: _State) -> FloatArray:
    return x.strike / x.forward * x.sign * x.n2


def _speed_coin(x: _State) -> FloatArray:
    slope = x.density / x.total_vol * (x.d1 / x.total_vol + 4.0)
    return (6.0 * _delta_coin(x) - slope) / x.forward / x.forward / x.forward


def _price(x: _State) -> FloatArray:
    return black76_price_numpy(x.forward, x.strike, x.tau, x.vol, x.sign)


# Undiscounted Black-76; time derivatives are with respect to calendar time, −∂/∂tau. Haug (2007), chapter 2.
_FORMULAS: dict[str, Callable[[_State], FloatArray]] = {
    "price": _price,
    "delta": lambda x: x.sign * x.n1,
    "gamma": _gamma,
    "vega": _vega,
    "theta": lambda x: -_vega(x) * x.vol / (2.0 * x.tau),
    "rho": lambda x: -x.tau * _price(x),
    "vanna": lambda x: -x.density * x.d2 / x.vol,
    "volga": lambda x: _vega(x) * x.d1 * x.d2 / x.vol,
    "charm": lambda x: x.density * x.d2 / (2.0 * x.tau),
    "veta": lambda x: -_vega(x) * (1.0 + x.d1 * x.d2) / (2.0 * x.tau),
    "speed": lambda x: -_gamma(x) / x.forward * (x.d1 / x.total_vol + 1.0),
    "zomma": lambda x: _gamma(x) * (x.d1 * x.d2 - 1.0) / x.vol,
    "color": lambda x: _gamma(x) * (1.0 - x.d1 * x.d2) / (2.0 * x.tau),
    "ultima": _ultima,
    "dual_delta": lambda x: -x.sign * x.n2,
    "dual_gamma": lambda x: x.density / x.strike * x.forward / x.strike / x.total_vol,
    "dvanna_dvol": lambda x: x.density * (x.d1 + x.d2 - x.d1 * x.d2**2) / x.vol / x.vol,
    "dvanna_dt": lambda x: x.density * x.d1 * (x.d2**2 - 1.0) / x.vol / (2.0 * x.tau),
    "dvolga_dt": _dvolga_dt,
    "dual_vanna": lambda x: x.density * x.forward / x.strike * x.d1 / x.vol,
    "dual_charm": lambda x: -x.density * x.forward / x.strike * x.d1 / (2.0 * x.tau),
}

# Of c = V/F. The premium-adjusted delta delta − V/F is (K/F)·q·N(q·d2), so that nothing cancels.
_COIN_FORMULAS: dict[str, Callable[[_State], FloatArray]] = {
    "price_coin": lambda x: _price(x) / x.forward,
    "delta_coin": _delta_coin,
    "gamma_coin_1pct": lambda x: 0.01 * (x.density / x.total_vol - _delta_coin(x)),
    "vega_coin": lambda x: x.density * np.sqrt(x.tau),
    "theta_coin": lambda x: -x.density * np.sqrt(x.tau) * x.vol / (2.0 * x.tau),
    "vanna_coin": lambda x: -x.density / x.forward * x.d1 / x.vol,
    "volga_coin": lambda x: x.density * np.sqrt(x.tau) * x.d1 * x.d2 / x.vol,
    "c_F": lambda x: _delta_coin(x) / x.forward,
    "c_FF": lambda x: (x.density / x.total_vol - 2.0 * _delta_coin(x)) / x.forward / x.forward,
    "c_FFF": _speed_coin,
    "charm_coin": lambda x: x.density / x.forward * x.d1 / (2.0 * x.tau),
    "veta_coin": lambda x: -x.density * np.sqrt(x.tau) * (1.0 + x.d1 * x.d2) / (2.0 * x.tau),
    "zomma_coin": lambda x: _gamma(x) / x.forward * (x.d1 * (2.0 * x.d1 - x.d2) - 1.0) / x.vol,
    "color_coin": lambda x: _gamma(x) / x.forward * (1.0 - x.d1 * (2.0 * x.d1 - x.d2)) / (2.0 * x.tau),
    "ultima_coin": lambda x: _ultima(x) / x.forward,
    "dvanna_dvol_coin": lambda x: x.density / x.forward * (x.d1 + x.d2 - x.d1**2 * x.d2) / x.vol / x.vol,
    "dvanna_dt_coin": lambda x: x.density / x.forward * x.d2 * (x.d1**2 - 1.0) / x.vol / (2.0 * x.tau),
    "dvolga_dt_coin": lambda x: _dvolga_dt(x) / x.forward,
    "dual_delta_coin": lambda x: -x.sign * x.n2 / x.forward,
    "dual_gamma_coin": lambda x: x.density / x.strike / x.strike / x.total_vol,
    "dual_vanna_coin": lambda x: x.density / x.strike * x.d1 / x.vol,
    "dual_charm_coin": lambda x: -x.density / x.strike * x.d1 / (2.0 * x.tau),
}

GREEK_NAMES: tuple[str, ...] = tuple(_FORMULAS)
COIN_GREEK_NAMES: tuple[str, ...] = tuple(_COIN_FORMULAS)
NEED_TAILS = frozenset(
    (
        "price",
        "delta",
        "rho",
        "dual_delta",
        "price_coin",
        "delta_coin",
        "gamma_coin_1pct",
        "c_F",
        "c_FF",
        "c_FFF",
        "dual_delta_coin",
    )
)
"""Those made of prices or distribution functions; the others are densities times polynomials."""


def greeks_numpy(
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    vol: FloatArray,
    sign: FloatArray,
    names: Sequence[str],
) -> list[FloatArray]:
    """Return the named Greeks of flat arrays of one shape."""
    with np.errstate(all="ignore"):
        state = _state(forward, strike, tau, vol, sign)
        values = [(_FORMULAS.get(name) or _COIN_FORMULAS[name])(state) for name in names]
        ok = valid_numpy(forward, strike, tau, vol)
        flat = state.total_vol < S_MIN
        for i, name in enumerate(names):
            values[i] = np.where(flat, _limit(name, state, values[i]), values[i])
            values[i] = np.where(ok, values[i] + 0.0, np.nan)
    return values


def _state(
    forward: FloatArray, strike: FloatArray, tau: FloatArray, vol: FloatArray, sign: FloatArray
) -> _State:
    total_vol = total_vol_numpy(tau, vol)
    # Beyond H_MAX every density is 0; the bound keeps its products with powers of d1 at 0 instead of NaN.
    h = np.clip(log_ratio_numpy(forward, strike) / total_vol, -H_MAX, H_MAX)
    d1, d2 = h + 0.5 * total_vol, h - 0.5 * total_vol
    return _State(
        forward=forward,
        strike=strike,
        tau=tau,
        vol=vol,
        sign=sign,
        total_vol=total_vol,
        d1=d1,
        d2=d2,
        density=INV_SQRT_TWO_PI * exp_numpy(-0.5 * d1 * d1),
        n1=tails_numpy(sign * d1),
        n2=tails_numpy(sign * d2),
    )


def _limit(name: str, x: _State, value: FloatArray) -> FloatArray:
    # Total vol 0: a step function. Off the money every other derivative is 0, at the money most diverge.
    in_the_money = np.where(x.sign * (x.forward - x.strike) > 0, 1.0, 0.0)
    at_the_money: BoolArray = x.forward == x.strike
    step = np.where(at_the_money, 0.5, in_the_money)
    if name in ("price", "rho", "price_coin"):
        return value
    if name == "delta":
        return x.sign * step
    if name == "dual_delta":
        return -x.sign * step
    if name == "vega":
        return np.where(at_the_money, x.forward * np.sqrt(x.tau) * INV_SQRT_TWO_PI, 0.0)
    if name == "vega_coin":
        return np.where(at_the_money, np.sqrt(x.tau) * INV_SQRT_TWO_PI, 0.0)
    if name == "dual_delta_coin":
        return -x.sign * step / x.forward
    delta_coin = x.strike / x.forward * x.sign * step
    if name == "delta_coin":
        return delta_coin
    if name == "c_F":
        return delta_coin / x.forward
    # Off the money only what multiplies the delta is left of these.
    rest = {"gamma_coin_1pct": -0.01 * delta_coin, "c_FF": -2.0 * delta_coin / x.forward / x.forward}
    rest["c_FFF"] = 6.0 * delta_coin / x.forward / x.forward / x.forward
    return np.where(at_the_money, np.nan, rest.get(name, 0.0))
