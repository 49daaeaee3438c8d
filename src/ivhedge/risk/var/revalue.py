"""Profit of every leg in every scenario, by full revaluation after the horizon has passed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_YEAR
from ivhedge.pricing import black76_price
from ivhedge.risk.legs import Legs, LegStatus
from ivhedge.risk.var.shocks import ScenarioSet
from ivhedge.surface.base import VolSurface

__all__ = ["LegProfits", "revalue"]

_REACH, _POINTS = 16.0, 1281
"""Smiles are tabulated between these standardised moneynesses: linear in between to 1e-6 of vol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegProfits:
    """Profits by scenario and leg, shape (n, legs).

    Parameters
    ----------
    usd : FloatArray
        Change of the value in USD.
    coin : FloatArray
        Change of the value in coin of the leg's underlying; coins of different kinds do not add up.
    """

    usd: FloatArray
    coin: FloatArray


@dataclass(frozen=True, slots=True)
class _Moved:
    """One underlying after the horizon: shocks at one time to expiry."""

    spot: FloatArray
    vols: FloatArray
    rates: FloatArray
    nodes: FloatArray
    tenor_days: FloatArray

    def at(self, tau: float) -> tuple[FloatArray, FloatArray]:
        """Log vol shocks (n, N) and carry shocks (n,); beyond the tenors those of the nearest one."""
        days = np.clip(tau * DAYS_PER_YEAR, self.tenor_days[0], self.tenor_days[-1])
        high = min(int(np.searchsorted(self.tenor_days, days)), self.tenor_days.size - 1)
        low = max(high - 1, 0)
        span = self.tenor_days[high] - self.tenor_days[low]
        part = 1.0 if span == 0.0 else float((days - self.tenor_days[low]) / span)
        vols = (1.0 - part) * self.vols[:, low] + part * self.vols[:, high]
        return vols, (1.0 - part) * self.rates[:, low] + part * self.rates[:, high]


def revalue(legs: Legs, surfaces: Mapping[str, VolSurface], scenarios: ScenarioSet, ts_ns: int) -> LegProfits:
    """Revalue each leg in full in each scenario, time included.

    Parameters
    ----------
    legs : Legs
        As `price_legs` gives them at `ts_ns`, all of them priced (or marked conservatively).
    surfaces : mapping of underlying to surface
    scenarios : ScenarioSet
    ts_ns : int

    Returns
    -------
    LegProfits
        Futures as in `spot_vol_matrix`: worth 0 now, linear in USD or inverse.

    Raises
    ------
    DataError
        If a leg has no price, or the surface no vol at the money of an expiry after the horizon.
    UnknownInstrument
        If the scenarios do not cover an underlying.

    Notes
    -----
    Spot S becomes ``S e^u``; the forward of an expiry with tau' left becomes ``S e^u exp((c + dc) tau')``,
    the carry being c = ln(F/S)/tau of today. The vol of strike K is read off today's smile at tau' and the
    new moneyness ``x' = ln(K/F') / (atm' sqrt(tau'))``, times ``exp`` of the log shock at (tau', x'): the
    smile moves with the forward and widens with its own vol, all else is in the shocks. Shocks beyond the
    outermost nodes and tenors are those of the nearest. An expiry inside the horizon settles at the shocked
    spot of its end.
    """
    lost = np.flatnonzero(~legs.priced)
    if lost.size:
        at = int(lost[0])
        raise DataError(
            f"{legs.instruments[at].key}: expected a price, found {legs.status[at].value}: "
            f"{legs.status[at].describe()}"
        )
    n = scenarios.values.shape[0]
    usd, coin = np.empty((n, legs.size.size)), np.empty((n, legs.size.size))
    names = np.array(legs.underlyings, dtype=object)
    for underlying in dict.fromkeys(legs.underlyings):
        u, vols, rates = scenarios.layout.split(scenarios.values, underlying)
        moved = _Moved(u, vols, rates, scenarios.layout.nodes, scenarios.layout.tenor_days)
        own = names == underlying
        spot = _spot(legs, own, surfaces.get(underlying), underlying)
        for expiry in np.unique(legs.expiry_ns[own & ~np.isnan(legs.tau)]):
            rows = np.flatnonzero(own & (legs.expiry_ns == expiry) & ~np.isnan(legs.tau))
            tau = max(int(expiry) - ts_ns - scenarios.horizon_ns, 0) / NS_PER_YEAR
            _expiry(legs, rows, tau, spot, moved, surfaces.get(underlying), usd, coin)
        perpetuals = np.flatnonzero(own & np.isnan(legs.tau))
        index = spot * np.exp(u)[:, None]
        _futures(legs, perpetuals, legs.forward[perpetuals] * np.exp(u)[:, None], index, usd, coin)
    return LegProfits(usd=usd, coin=coin)


def _spot(legs: Legs, own: FloatArray, surface: VolSurface | None, underlying: str) -> float:
    spot = float(surface.forward(0.0)) if surface is not None else np.nan
    # Without a surface a conservative mark has put an index in place of the forward.
    spot = spot if np.isfinite(spot) and spot > 0.0 else float(np.nanmedian(legs.forward[own]))
    if not (np.isfinite(spot) and spot > 0.0):
        raise DataError(
            f"expected a spot of {underlying}, found {spot}; the surface needs a forward at tau = 0"
        )
    return spot


def _expiry(
    legs: Legs,
    rows: IntArray,
    tau: float,
    spot: float,
    moved: _Moved,
    surface: VolSurface | None,
    usd: FloatArray,
    coin: FloatArray,
) -> None:
    # Legs of one expiry share a forward, unless a conservative mark put an index in its place.
    shocks, rates = moved.at(tau)
    for known in np.unique(legs.forward[rows]):
        some = rows[legs.forward[rows] == known]
        carry = np.log(known / spot) / float(legs.tau[some[0]])
        log_forward = (np.log(spot) + moved.spot + (carry + rates) * tau)[:, None]
        options = legs.is_option[some]
        _futures(legs, some[~options], np.exp(log_forward), spot * np.exp(moved.spot)[:, None], usd, coin)
        if options.any():
            seen = moved.spot, shocks, moved.nodes
            _options(legs, some[options], tau, spot, log_forward, seen, surface, usd, coin)


def _options(
    legs: Legs,
    rows: IntArray,
    tau: float,
    spot: float,
    log_forward: FloatArray,
    scenarios: tuple[FloatArray, FloatArray, FloatArray],
    surface: VolSurface | None,
    usd: FloatArray,
    coin: FloatArray,
) -> None:
    moves, shocks, nodes = scenarios
    forward, strike, call = np.exp(log_forward), legs.strike[rows], legs.is_call[rows]
    marked = np.array([legs.status[row] is LegStatus.CONSERVATIVE for row in rows])
    vol = np.broadcast_to(legs.closing_vol[rows], (log_forward.size, rows.size))
    if tau > 0.0:
        money = np.exp(shocks[:, nodes == 0.0])
        # A conservative mark takes the shocks that go against its holder, and no others.
        conservative = vol * np.where(legs.size[rows] < 0.0, np.maximum(money, 1.0), np.minimum(money, 1.0))
        if not marked.all():
            smile = _Smile.read(surface, tau, legs.instruments[rows[0]].key)
            x = (np.log(strike) - log_forward) / (smile.atm * np.sqrt(tau) * money)
            vol = smile(x) * np.exp(_by_moneyness(shocks, nodes, x))
        if marked.any():
            vol = np.where(marked, conservative, vol)
    before = black76_price(legs.forward[rows], strike, legs.tau[rows], legs.opening_vol[rows], call)
    after = black76_price(forward, strike, tau, vol, call)
    # Coin-settled ones are paid in V / F coins, which the index of the scenario turns into USD.
    inverse, index = legs.is_inverse[rows], spot * np.exp(moves)[:, None]
    after = legs.size[rows] * np.where(inverse, after * (index / forward), after)
    before = legs.size[rows] * np.where(inverse, before * (spot / legs.forward[rows]), before)
    usd[:, rows] = after - before
    coin[:, rows] = after / index - before / spot


def _futures(
    legs: Legs, rows: IntArray, shocked: FloatArray, index: FloatArray, usd: FloatArray, coin: FloatArray
) -> None:
    size, forward, inverse = legs.size[rows], legs.forward[rows], legs.is_inverse[rows]
    inverse_coin = size * (1.0 / forward - 1.0 / shocked)
    linear_usd = size * (shocked - forward)
    usd[:, rows] = np.where(inverse, inverse_coin * index, linear_usd)
    coin[:, rows] = np.where(inverse, inverse_coin, linear_usd / index)


@dataclass(frozen=True, slots=True)
class _Smile:
    """Today's smile at one time to expiry by standardised moneyness."""

    atm: float
    vols: FloatArray

    @classmethod
    def read(cls, surface: VolSurface | None, tau: float, key: str) -> "_Smile":
        atm = np.nan if surface is None else float(surface.implied_vol(0.0, tau))
        if surface is None or not (np.isfinite(atm) and atm > 0.0):
            raise DataError(
                f"{key}: expected a vol at the money after the horizon (tau {tau:g}), found {atm}"
            )
        x = np.linspace(-_REACH, _REACH, _POINTS)
        vols = np.asarray(
            surface.implied_vol(x * atm * np.sqrt(tau), np.full(_POINTS, tau)), dtype=np.float64
        )
        good = np.isfinite(vols) & (vols > 0.0)
        # Beyond what the surface knows its outermost vol holds.
        return cls(atm, np.interp(x, x[good], vols[good]))

    def __call__(self, x: FloatArray) -> FloatArray:
        place = (np.clip(x, -_REACH, _REACH) + _REACH) * ((_POINTS - 1) / (2.0 * _REACH))
        low = np.minimum(place.astype(np.intp), _POINTS - 2)
        base = self.vols[low]
        return np.asarray(base + (place - low) * (self.vols[low + 1] - base))


def _by_moneyness(shocks: FloatArray, nodes: FloatArray, x: FloatArray) -> FloatArray:
    # Linear between nodes, flat outside; each scenario has its own values.
    if nodes.size == 1:
        return np.broadcast_to(shocks, x.shape)
    inner = np.clip(x, nodes[0], nodes[-1])
    low = np.clip(np.searchsorted(nodes, inner, side="right") - 1, 0, nodes.size - 2)
    part = (inner - nodes[low]) / np.diff(nodes)[low]
    left = np.take_along_axis(shocks, low, axis=1)
    return np.asarray(left + part * (np.take_along_axis(shocks, low + 1, axis=1) - left))
