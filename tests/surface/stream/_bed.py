"""A small market with a known surface, and quotes made from it."""

import numpy as np

from ivhedge.pricing import black76_price
from ivhedge.surface import EssviSurface, essvi_total_variance
from ivhedge.surface.stream import QuoteColumns, SurfaceStream, Universe

T0 = 1_767_614_400_000_000_000
DAY = 86_400_000_000_000
DAYS = np.array([3, 14, 60, 180])
PER = 21
FORWARD = 90_000.0


def truth(level: float = 1.0, ts_ns: int = T0) -> EssviSurface:
    """Slices without arbitrage; `level` multiplies vols."""
    taus = (DAYS * DAY - (ts_ns - T0)) / (365.0 * DAY)
    theta = 0.36 * taus * level**2
    return EssviSurface(
        underlying="BTC", ts_ns=ts_ns, expiries=T0 + DAYS * DAY, taus=taus, theta=theta,
        rho=np.array([-0.05, -0.1, -0.15, -0.18]), psi=1.0 * np.sqrt(theta) / (1.0 + 0.4 * np.sqrt(theta)),
        forwards=np.full(4, FORWARD),
    )  # fmt: skip


def universe(venues: tuple[str, ...] = ("a",), forward: float = FORWARD) -> Universe:
    """Out-of-the-money options, in coin."""
    k = np.concatenate([np.linspace(-1.6, 1.6, PER) * 0.6 * np.sqrt(d / 365.0) + 1e-4 for d in DAYS])
    return Universe(
        venues=venues, strike=forward * np.exp(k), expiry_ns=np.repeat(T0 + DAYS * DAY, PER),
        is_call=(k >= 0.0).astype(np.int64), in_coin=np.ones(k.size, dtype=np.int64),
    )  # fmt: skip


def quotes(
    market: Universe, surface: EssviSurface, items: np.ndarray, ts: np.ndarray | int, *,
    half: float = 0.005, error: np.ndarray | float = 0.0, forward: float = FORWARD, venue: int = 0,
) -> QuoteColumns:  # fmt: skip
    """Quotes around the true vols plus `error`, `half` to either side."""
    ts = np.broadcast_to(np.asarray(ts, dtype=np.int64), items.shape)
    e = np.searchsorted(surface.expiries, market.expiry_ns[items])
    k = np.log(market.strike[items] / forward)
    w = essvi_total_variance(k, surface.theta[e], surface.rho[e], surface.psi[e])
    vol = np.sqrt(w / surface.taus[e]) + error
    tau = (market.expiry_ns[items] - ts) / (365.0 * DAY)
    call = market.is_call[items] == 1
    bid, ask = (
        black76_price(forward, market.strike[items], tau, np.maximum(vol + sign * half, 0.01), call) / forward
        for sign in (-1.0, 1.0)
    )
    n = items.size
    return QuoteColumns(
        venue=np.full(n, venue), instrument=items, bid=bid, ask=ask, bid_size=np.full(n, 5.0),
        ask_size=np.full(n, 5.0), ts_event=ts, ts_recv=ts, forward=np.full(n, forward),
    )  # fmt: skip


def vols(surface: EssviSurface, forward: float = FORWARD) -> np.ndarray:
    """Vols on a fixed grid of standardised moneyness, shape (4, 9)."""
    k = np.linspace(-1.4, 1.4, 9) * 0.6 * np.sqrt(DAYS / 365.0)[:, None]
    w = essvi_total_variance(k, surface.theta[:, None], surface.rho[:, None], surface.psi[:, None])
    return np.sqrt(w / surface.taus[:, None])


def fresh(venues: tuple[str, ...] = ("a",), level: float = 1.0) -> tuple[Universe, SurfaceStream]:
    """A universe and a stream at its surface."""
    market = universe(venues)
    return market, SurfaceStream(market, start=truth(level))
