"""Made-up universes for the tests."""

from datetime import date

import numpy as np

from ivhedge.pricing import black76_price
from ivhedge.risk.margin import MarginPositions, load_margin_profile, prepare_margin

DAY = date(2026, 11, 1)
PROFILES = {
    "deribit_pm_btc": True,
    "deribit_sm": True,
    "okx_pm": True,
    "derive_pm2": False,
    "derive_srm": False,
    "bybit": False,
    "binance": False,
}


def universe(n=8, *, inverse=False, futures=True, seed=1, sizes=None):
    rng = np.random.default_rng(seed)
    tau = rng.choice([7, 30, 91, 240], n) / 365
    forward = 90_000 * np.exp(0.05 * tau)
    strike = np.round(forward * np.exp(rng.normal(0, 0.25, n)), -3)
    call = rng.random(n) < 0.5
    vol = rng.uniform(0.35, 0.9, n)
    price = black76_price(forward, strike, tau, vol, call)
    names = [f"o{i}" for i in range(n)]
    kind = np.zeros(n, dtype=int)
    size = rng.normal(0, 3, n).round(1)
    mark = price / forward if inverse else price
    if futures:
        names += ["perp"]
        kind, size, mark = np.append(kind, 2), np.append(size, -2.5), np.append(mark, 90_050.0)
        forward, tau = np.append(forward, 90_050.0), np.append(tau, 0.0)
        strike, vol, call = np.append(strike, np.nan), np.append(vol, np.nan), np.append(call, False)
    return MarginPositions.of(
        underlying="BTC",
        index=90_000.0,
        names=names,
        kind=kind,
        size=size if sizes is None else sizes,
        mark=mark,
        forward=forward,
        strike=strike,
        tau=tau,
        vol=vol,
        rate=0.0,
        is_call=call,
        is_inverse=inverse,
    )


def model_of(name, **kwargs):
    positions = universe(inverse=PROFILES[name], futures=name != "binance", **kwargs)
    return prepare_margin(positions, load_margin_profile(name), on=DAY)
