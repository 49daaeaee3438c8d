"""A small book on made-up surfaces, marked at any time."""

from dataclasses import dataclass

import numpy as np

from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, parse_time
from ivhedge.pricing import black76_price
from ivhedge.risk.attribution import PERPETUAL, HeldLegs, Role, SpotPath, mark_legs

T0 = parse_time("2026-01-10T09:20")
SETTLES = parse_time("2026-01-11T08:00")
EXPIRIES = np.array([SETTLES, T0 + 7 * NS_PER_DAY, T0 + 30 * NS_PER_DAY, T0 + 90 * NS_PER_DAY])


@dataclass(frozen=True, slots=True, kw_only=True)
class SmileSurface:
    """Level, term, skew and curvature in standard deviations; forward with a carry."""

    ts_ns: int
    spot: float = 90_000.0
    level: float = 0.5
    term: float = 0.02
    skew: float = -0.03
    curvature: float = 0.02
    carry: float = 0.06
    underlying: str = "BTC"
    expiries: np.ndarray = None

    def forward(self, tau):
        return self.spot * np.exp(self.carry * np.asarray(tau, dtype=np.float64))

    def implied_vol(self, log_moneyness, tau):
        k, tau = np.broadcast_arrays(np.asarray(log_moneyness, float), np.asarray(tau, float))
        atm = self.level + self.term * (np.sqrt(30 / 365 / tau) - 1)
        x = np.clip(k / (0.5 * np.sqrt(tau)), -3.0, 3.0)
        return np.maximum(atm + self.skew * x + self.curvature * x**2, 0.05)

    def total_variance(self, log_moneyness, tau):
        return self.implied_vol(log_moneyness, tau) ** 2 * tau


def surface(ts_ns, **values):
    return SmileSurface(ts_ns=ts_ns, expiries=EXPIRIES[np.greater(EXPIRIES, ts_ns)], **values)


def book(coin=True, expiry=EXPIRIES[1:3]):
    """Four options of two expiries, an inverse perpetual and a linear dated future."""
    expiry = np.asarray(expiry)
    return HeldLegs(
        underlying="BTC",
        names=("put1", "call1", "put2", "call2", "perpetual", "future"),
        currencies=("BTC" if coin else "USDC",) * 4 + ("BTC", "USDC"),
        roles=(Role.BOOK, Role.BOOK, Role.BOOK, Role.HEDGE, Role.HEDGE, Role.HEDGE),
        size=np.array([-1.0, -1.0, 2.0, -0.5, 20_000.0, 0.3]),
        is_option=np.array([True] * 4 + [False] * 2),
        is_call=np.array([False, True, False, True, False, False]),
        is_coin=np.array([coin] * 4 + [True, False]),
        strike=np.array([86_000.0, 93_000.0, 90_000.0, 100_000.0, np.nan, np.nan]),
        expiry_ns=np.array([expiry[0], expiry[0], expiry[1], expiry[1], PERPETUAL, EXPIRIES[3]]),
    )


def marked(legs, seen, noise=0.0, settlement=np.nan):
    """Marks on a surface, the vols of the options off it by `noise` each a bit more than the last."""
    tau = np.where(legs.expiry_ns != PERPETUAL, (legs.expiry_ns - seen.ts_ns) / NS_PER_YEAR, 0.0)
    forward = seen.forward(np.maximum(tau, 0.0))
    options = legs.is_option & (tau > 0)
    price = forward.copy()
    vol = seen.implied_vol(np.log(legs.strike[options] / forward[options]), tau[options])
    vol = vol + noise * (1 + np.arange(vol.size))
    usd = black76_price(forward[options], legs.strike[options], tau[options], vol, legs.is_call[options])
    price[options] = np.where(legs.is_coin[options], usd / forward[options], usd)
    return mark_legs(
        legs,
        ts_ns=seen.ts_ns,
        spot=seen.spot,
        price=price,
        forward=forward,
        surface=seen,
        settlement=settlement,
    )


def hourly(start_ns=T0, hours=30, seed=3, spot=90_100.0):
    """A random hourly path from the full hour before `start_ns`."""
    first = start_ns // NS_PER_HOUR * NS_PER_HOUR
    steps = np.random.default_rng(seed).normal(0.0, 0.004, hours)
    return SpotPath(
        ts_ns=first + NS_PER_HOUR * np.arange(hours + 1),
        price=spot * np.exp(np.concatenate([[0.0], np.cumsum(steps)])),
    )
