"""Compile or load the kernels before the first quote arrives."""

from ivhedge.pricing.black76 import black76_price
from ivhedge.pricing.greeks import black76_greeks
from ivhedge.pricing.implied_vol import implied_vol

__all__ = ["warmup"]


def warmup() -> None:
    """Run every kernel once, so that compiling or loading it does not delay a live decision."""
    price = black76_price(100.0, 110.0, 0.5, 0.4, True)
    implied_vol(price, 100.0, 110.0, 0.5, True)
    black76_greeks(100.0, 110.0, 0.5, 0.4, True)
