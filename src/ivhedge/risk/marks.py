"""Marks of options where they do not come straight from the surface.

Marks given as prices, with a status per option; conservative marks where there are none; options that settle
on an average which already runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from math import comb, isfinite
from typing import Final

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, BoolArray, FloatArray, IntArray, StatusArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, NS_PER_YEAR
from ivhedge.pricing import black76_greeks, implied_vol
from ivhedge.risk.legs import Legs, LegStatus
from ivhedge.surface.averaging import SETTLEMENT_WINDOW_NS, averaged_terms
from ivhedge.surface.base import VolSurface

__all__ = [
    "ConservativeMarks",
    "MarkStatus",
    "OptionMarks",
    "SettlementWindow",
    "conservative_legs",
    "mark_options",
    "settling_greeks",
]

INTRINSIC_VOL: Final = 1e-4
"""Small enough for intrinsic value, large enough for every Greek to be a number."""


class MarkStatus(IntEnum):
    """Where the vol of a mark came from."""

    OK = 0
    SURFACE_VOL = 1
    NO_VOL = 2
    EXPIRED = 3

    def describe(self) -> str:
        """What it means."""
        return (
            "vol implied by the mark",
            "the mark has no implied vol; the surface's vol stands in and the residual takes the gap",
            "neither the mark nor the surface has a vol; the value change is all residual",
            "at expiry; the value is the payoff",
        )[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionMarks:
    """Marks of n options at one time.

    Parameters
    ----------
    price : FloatArray, shape (n,)
        In each option's settlement currency, per unit of underlying.
    forward, vol, tau : FloatArray, shape (n,)
        USD, decimal (NaN where the status says there is none), years.
    status : StatusArray, shape (n,)
        `MarkStatus` of each vol.
    """

    price: FloatArray
    forward: FloatArray
    vol: FloatArray
    tau: FloatArray
    status: StatusArray


def mark_options(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    is_call: ArrayLike,
    is_coin: ArrayLike,
    surface_vol: ArrayLike,
) -> OptionMarks:
    """Invert the marks of options, falling back on the surface's vol.

    Parameters
    ----------
    price : array_like, shape (n,)
        Marks per unit of underlying, in coin where `is_coin`, else USD.
    forward, strike, tau : array_like, shape (n,)
    is_call, is_coin : array_like of bool, shape (n,)
    surface_vol : array_like, shape (n,)
        Used where the mark has no implied vol (below intrinsic, say); may be NaN.

    Raises
    ------
    DataError
        If a price or forward is not finite, or a forward is not positive.
    """
    price, forward, strike, tau, fallback = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (price, forward, strike, tau, surface_vol))
    )
    if not (np.isfinite(price).all() and np.isfinite(forward).all() and (forward > 0.0).all()):
        raise DataError("expected finite marks and positive forwards to attribute P&L; mark every leg first")
    coin = np.broadcast_to(np.asarray(is_coin, dtype=np.bool_), price.shape)
    call = np.broadcast_to(np.asarray(is_call, dtype=np.bool_), price.shape)
    alive = tau > 0.0
    vol = np.full(price.shape, np.nan)
    usd = np.where(coin, price * forward, price)
    vol[alive] = implied_vol(usd[alive], forward[alive], strike[alive], tau[alive], call[alive])
    usable = np.isfinite(fallback) & (fallback > 0.0)
    status = np.where(
        np.isfinite(vol), MarkStatus.OK, np.where(usable, MarkStatus.SURFACE_VOL, MarkStatus.NO_VOL)
    )
    status = np.where(alive, status, MarkStatus.EXPIRED)
    vol = np.where(status == MarkStatus.SURFACE_VOL, fallback, vol)
    return OptionMarks(
        price=price.copy(), forward=forward.copy(), vol=vol, tau=tau.copy(), status=status.astype(np.uint8)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConservativeMarks:
    """What stands in for a missing vol, forward or surface, so that no risk counts as none.

    Parameters
    ----------
    short_vol_multiple : float
        Stressed vol: this many times the at-the-money vol of its tenor, where the surface has one.
    short_vol_floor : float
        Lowest stressed vol, decimal.
    indices : mapping of underlying to float
        USD price that stands in for a missing forward, and for that of a stale surface; without one such a
        leg stays without a price.

    Raises
    ------
    ConfigError
        If the multiple is below 1, or the floor or an index is not a positive finite number.
    """

    short_vol_multiple: float = 2.0
    short_vol_floor: float = 1.5
    indices: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isfinite(self.short_vol_multiple) and self.short_vol_multiple >= 1.0):
            raise ConfigError(f"expected short_vol_multiple at or above 1, found {self.short_vol_multiple}")
        for name, value in (("short_vol_floor", self.short_vol_floor), *self.indices.items()):
            if not (isfinite(value) and value > 0.0):
                raise ConfigError(f"expected {name} positive and finite, found {value}")


def conservative_legs(legs: Legs, surfaces: Mapping[str, VolSurface], rule: ConservativeMarks) -> Legs:
    """Mark legs without a price against their holder; their status becomes `LegStatus.CONSERVATIVE`.

    Parameters
    ----------
    legs : Legs
        As `price_legs` gives them.
    surfaces : mapping of underlying to surface
        A stale one still gives the at-the-money vol that the multiple applies to.
    rule : ConservativeMarks

    Returns
    -------
    Legs
        `vol` is the usual one at the money (the floor where there is none). A profit of such a leg starts
        at `entry_vol` and ends at `exit_vol`: a long option may lose its value at the stressed vol down to
        intrinsic, a short one goes from intrinsic to the stressed vol. So it never pays for another leg's
        loss with more than it surely would. A vol of 0.01 points stands for intrinsic, to within 1.2e-5 of
        the forward at a month. Expired legs and legs without any forward stay as they are.
    """
    forward, vol, status = legs.forward.copy(), legs.vol.copy(), list(legs.status)
    index = legs.index.copy()
    entry, leave = np.full((2, vol.size), np.nan)
    for row, found in enumerate(legs.status):
        if found.has_numbers or found is LegStatus.EXPIRED:
            continue
        item = legs.instruments[row]
        tau = 0.0 if item.expiry_ns is None else float(legs.tau[row])
        surface = surfaces.get(item.underlying)
        known, spot = forward[row], index[row]
        if surface is not None and not isfinite(known):
            known, spot = float(surface.forward(tau)), float(surface.forward(0.0))
        if found is LegStatus.STALE_SURFACE or not (isfinite(known * spot) and min(known, spot) > 0.0):
            # The forward of an old surface is no price of today.
            known = spot = rule.indices.get(item.underlying, np.nan)
        if not isfinite(known):
            continue
        forward[row], index[row], status[row] = known, spot, LegStatus.CONSERVATIVE
        if item.is_option:
            usual = np.nan if surface is None else float(surface.implied_vol(0.0, tau))
            known_vol = isfinite(usual) and usual > 0.0
            stressed = max(rule.short_vol_multiple * usual if known_vol else 0.0, rule.short_vol_floor)
            vol[row] = usual if known_vol else rule.short_vol_floor
            pair = (stressed, INTRINSIC_VOL)
            entry[row], leave[row] = pair if legs.size[row] >= 0.0 else pair[::-1]
    return replace(
        legs,
        forward=forward,
        index=index,
        vol=vol,
        status=tuple(status),
        entry_vol=entry,
        exit_vol=leave,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementWindow:
    """The average of the index on which options settle.

    Parameters
    ----------
    known : mapping of (underlying, expiry_ns) to float
        Mean of the index from the begin of the window until now, USD, for each expiry inside its window.
    length_ns : int
        Deribit's 30 minutes by default.
    from_ns : int
        Time to expiry below which options are priced on the average. Quotes of an expiry price the average
        already; the hour is where the fit stops taking them and the vol becomes that of later expiries.

    Raises
    ------
    ConfigError
        If a mean is not positive and finite, the length not above 0 and at most a day, or `from_ns` shorter.
    """

    known: Mapping[tuple[str, int], float] = field(default_factory=dict)
    length_ns: int = SETTLEMENT_WINDOW_NS
    from_ns: int = NS_PER_HOUR

    def __post_init__(self) -> None:
        if not 0 < self.length_ns <= NS_PER_DAY or self.from_ns < self.length_ns:
            raise ConfigError(
                f"expected a window above 0, at most a day and at most from_ns, "
                f"found {self.length_ns} and {self.from_ns} ns"
            )
        for key, mean in self.known.items():
            if not (np.isfinite(mean) and mean > 0.0):
                raise ConfigError(f"expected a positive, finite mean of the index for {key}, found {mean}")

    def applies(self, legs: Legs, ts_ns: int) -> BoolArray:
        """Option legs that are priced on the average, shape (n,)."""
        left = legs.expiry_ns - ts_ns
        return np.asarray(legs.is_option & (left > 0) & (left < self.from_ns))

    def refuse_unknown(self, legs: Legs, ts_ns: int) -> Legs:
        """The same legs; those whose average runs without its mean being known become `NO_AVERAGE`."""
        runs = self.applies(legs, ts_ns) & (legs.expiry_ns - ts_ns < self.length_ns)
        lost = runs & np.isnan(self.means(legs)) & legs.priced
        found = zip(legs.status, lost.tolist(), strict=True)
        return replace(legs, status=tuple(LegStatus.NO_AVERAGE if bad else status for status, bad in found))

    def means(self, legs: Legs) -> FloatArray:
        """Mean so far per leg, shape (n,); NaN where it is not known."""
        keys = zip(legs.underlyings, legs.expiry_ns.tolist(), strict=True)
        return np.array([self.known.get(key, np.nan) for key in keys], dtype=np.float64)


# USD derivatives of the value by (vol order, forward order), the same in time, and by strike.
_BY_VOL_AND_FORWARD: Final = {
    (0, 0): "price",
    (0, 1): "delta",
    (0, 2): "gamma",
    (0, 3): "speed",
    (1, 0): "vega",
    (1, 1): "vanna",
    (1, 2): "zomma",
    (2, 0): "volga",
    (2, 1): "dvanna_dvol",
    (3, 0): "ultima",
}
_IN_TIME: Final = {
    "theta": "price",
    "charm": "delta",
    "color": "gamma",
    "veta": "vega",
    "dvanna_dt": "vanna",
    "dvolga_dt": "volga",
    "dual_charm": "dual_delta",
}
_BY_STRIKE: Final = {"dual_delta": 0, "dual_gamma": 1, "dual_vanna": 0}


def settling_greeks(
    legs: Legs, rows: IntArray, window: SettlementWindow, ts_ns: int
) -> dict[str, FloatArray]:
    """Greeks per unit of options on their settlement average, by the names of the pricing room.

    Parameters
    ----------
    legs : Legs
        Their vol is that of the index.
    rows : IntArray, shape (m,)
        Legs that `SettlementWindow.applies` to.
    window : SettlementWindow
    ts_ns : int

    Returns
    -------
    dict of str to FloatArray, shape (m,)
        `GREEK_NAMES` and `COIN_GREEK_NAMES`.

    Notes
    -----
    With f the known share, M its mean and S the index, the option pays on ``B = f·M + (1 − f)·A'``:
    ``N = (1 − f)·Black(S, K', w)`` (`ivhedge.surface.averaging`). A coin-settled one is worth ``c = N / B``
    coins, hence ``c·S`` USD: as the average fills up, delta and gamma in coin fade to 0 and the delta in USD
    to the c coins that are as good as paid. A USD-settled one is worth N. The total variance is proportional
    to vol² to 1e-4, which vega and its kin use. Derivatives in time are differences over a second in which
    the index stands still and enters the average.
    """
    left = legs.expiry_ns[rows] - ts_ns
    step = int(min(NS_PER_SECOND, max(int(left.min()) // 8, 1))) if rows.size else 1
    usd, coin = _at(legs, rows, window, ts_ns, 0)
    for values, later in zip((usd, coin), _at(legs, rows, window, ts_ns, step), strict=True):
        for name, source in _IN_TIME.items():
            values[name] = (later[source] - values[source]) * (NS_PER_YEAR / step)
    usd["rho"] = -legs.tau[rows] * usd["price"]
    S = legs.forward[rows]
    delta = S * coin["delta"]
    curve = {"c_F": coin.pop("delta"), "c_FF": coin.pop("gamma"), "c_FFF": coin.pop("speed")}
    curve |= {"delta_coin": delta, "gamma_coin_1pct": 0.01 * (delta + S * S * curve["c_FF"])}
    return usd | curve | {f"{name}_coin": values for name, values in coin.items()}


def _at(
    legs: Legs, rows: IntArray, window: SettlementWindow, ts_ns: int, step: int
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    S, K, vol = legs.forward[rows], legs.strike[rows], legs.vol[rows]
    call, inverse, expiry = legs.is_call[rows], legs.is_inverse[rows], legs.expiry_ns[rows]
    elapsed = np.maximum(window.length_ns - (expiry - ts_ns), 0).astype(np.float64)
    held = np.where(elapsed > 0.0, window.means(legs)[rows], S)
    mean = (elapsed * held + step * S) / np.maximum(elapsed + step, 1.0)
    mean = np.where(mean > 0.0, mean, S)
    terms = averaged_terms(ts_ns + step, expiry, S, K, vol, mean, window.length_ns)
    # A strike that the known part has passed leaves a forward contract: a call struck at next to nothing.
    strike = np.maximum(terms.strike, 1e-9 * S)
    plain = black76_greeks(S, strike, terms.total_variance / vol**2, vol, call)
    plain["price"] = plain["price"] + np.where(call, strike - terms.strike, 0.0)
    ahead, B = terms.scale, terms.expected_settlement
    N = {order: ahead * plain[name] for order, name in _BY_VOL_AND_FORWARD.items()}
    # Derivatives of 1/B for coin-settled options; a USD-settled one is converted at the index.
    slope = np.where(inverse, ahead, 1.0)
    rate = np.where(inverse, B, S)
    g = [1.0 / rate, -slope / rate**2, 2.0 * slope**2 / rate**3, -6.0 * slope**3 / rate**4]
    coin, usd = {}, {}
    for (v, i), name in _BY_VOL_AND_FORWARD.items():
        coin[name] = sum((comb(i, j) * N[v, j] * g[i - j] for j in range(i + 1)), np.zeros_like(S))
        below = i * coin[_BY_VOL_AND_FORWARD[v, i - 1]] if i else 0.0
        usd[name] = np.where(inverse, S * coin[name] + below, N[v, i])
    for name, order in _BY_STRIKE.items():
        by_strike = plain[name] / ahead**order
        coin[name] = by_strike * g[0]
        usd[name] = np.where(inverse, S * coin[name], by_strike)
    return usd, coin
