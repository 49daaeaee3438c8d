"""Compile or load the kernels before the first quote arrives."""

from ivhedge.pricing.black76 import black76_price
from ivhedge.pricing.greeks import black76_greeks
from ivhedge.pricing.implied_vol import implied_vol
from ivhedge.pricing.scenario_grid import scenario_grid
from ivhedge.pricing.threads import threads

__all__ = ["warmup"]


def warmup() -> None:
    """Run every kernel once, so that compiling or loading it does not delay a live decision.

    Raises
    ------
    ConfigError
        If ``IVHEDGE_THREADS`` is invalid, which otherwise shows with the first large array.
    """
    threads()
    price = black76_price(100.0, 110.0, 0.5, 0.4, True)
    implied_vol(price, 100.0, 110.0, 0.5, True)
    black76_greeks(100.0, 110.0, 0.5, 0.4, True)
    scenario_grid(100.0, 110.0, 0.5, True, 1.0, spot_shocks=(0.0,), vols=0.4)
