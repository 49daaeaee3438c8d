"""Revaluations per second of a spot × vol grid on a surface: kernel, numpy twin and price by price.

Prints JSON. The tasks take turns in one process and the median over the turns is reported, so a busy machine
slows all. Times are process CPU time on one thread; they include the public function's checks, and where the
name says so reading the vols off the surface.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.pricing import black76_price, scenario_grid
from ivhedge.pricing._scenario_numpy import grid_numpy
from ivhedge.pricing.jit import jit_available
from ivhedge.pricing.threads import set_threads
from ivhedge.surface import EssviSurface

LEGS = 2000
SPOTS = np.linspace(-0.5, 0.5, 41)
SHOCKS = np.linspace(-0.5, 1.0, 21)
FAST_TURNS, SLOW_TURNS = 31, 5
SEED = 7
NS_PER_DAY = 86_400 * 10**9


def sample_surface() -> EssviSurface:
    """An eSSVI surface with nine expiries, level and skew like those of bitcoin."""
    days = np.array([1, 2, 7, 14, 30, 60, 90, 180, 365])
    taus = days / 365
    theta = 0.36 * taus
    return EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=days * NS_PER_DAY,
        taus=taus,
        theta=theta,
        rho=np.linspace(-0.05, -0.3, days.size),
        psi=0.9 * np.sqrt(theta),
        forwards=95_000.0 * np.exp(0.06 * taus),
        index=95_000.0,
    )


def sample_book(surface: EssviSurface) -> dict[str, FloatArray | BoolArray]:
    """Legs on the listed expiries, strikes to six deviations, long and short."""
    rng = np.random.default_rng(SEED)
    tau = rng.choice(surface.taus, LEGS)
    forward = surface.forward(tau)
    z = np.clip(rng.normal(0.0, 1.7, LEGS), -6.0, 6.0)
    return {
        "forward": forward,
        "strike": forward * np.exp(z * 0.6 * np.sqrt(tau)),
        "tau": tau,
        "is_call": rng.random(LEGS) < 0.5,
        "quantity": rng.normal(0.0, 10.0, LEGS),
    }


def turns(tasks: dict[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Milliseconds of each task in each turn, after one call to compile."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(count):
        for name, task in tasks.items():
            start = time.process_time_ns()
            task()
            times[name].append((time.process_time_ns() - start) / 1e6)
    return times


def main() -> None:
    """Measure and print."""
    surface = sample_surface()
    book = sample_book(surface)
    forward, strike, tau = book["forward"], book["strike"], book["tau"]
    is_call, quantity = book["is_call"], book["quantity"]

    def read_vols() -> FloatArray:
        moneyness = np.log(strike / forward) - np.log1p(SPOTS)[:, None]
        return surface.implied_vol(moneyness, tau)

    vols = read_vols()
    shocks = {"spot_shocks": SPOTS, "vol_shocks": SHOCKS}
    shocked = (forward * (1.0 + SPOTS)[:, None])[:, None, :]
    cells = (SPOTS.size, 1, SHOCKS.size)

    def by_price() -> FloatArray:
        prices = black76_price(shocked, strike, tau, vols[:, None, :] * (1.0 + SHOCKS)[:, None], is_call)
        return np.stack([(quantity * prices).sum(axis=-1), (quantity * prices / shocked).sum(axis=-1)])

    def twin() -> FloatArray:
        usd, coin = np.empty((2, *cells))
        order, bounds = np.arange(LEGS), np.array([0, LEGS])
        sign = np.where(is_call, 1.0, -1.0)
        legs = (forward, strike, tau, sign, quantity)
        grid_numpy(*legs, SPOTS[:, None], vols, SHOCKS[:, None], True, order, bounds, usd, coin)
        return np.stack([usd[:, 0], coin[:, 0]])

    set_threads(1)
    grid = scenario_grid(**book, vols=vols, **shocks)
    prices = black76_price(shocked, strike, tau, vols[:, None, :] * (1.0 + SHOCKS)[:, None], is_call)
    gross = np.abs(quantity * prices).sum(axis=-1)
    fast = {
        "grid": lambda: scenario_grid(**book, vols=vols, **shocks),
        "grid_and_surface": lambda: scenario_grid(**book, vols=read_vols(), **shocks),
        "surface": read_vols,
    }
    slow = {"grid_again": fast["grid"], "numpy_twin": twin, "price_by_price": by_price}
    times = turns(fast, FAST_TURNS) | turns(slow, SLOW_TURNS)
    medians = {name: statistics.median(values) for name, values in times.items()}
    n = LEGS * SPOTS.size * SHOCKS.size
    print(
        json.dumps(
            {
                "benchmark": "scenario",
                "machine": platform.machine(),
                "python": platform.python_version(),
                "compiled": jit_available(),
                "legs_spots_vols": [LEGS, SPOTS.size, SHOCKS.size],
                "turns": {"fast": FAST_TURNS, "slow": SLOW_TURNS},
                "ms": {name: round(value, 2) for name, value in medians.items()},
                "fastest_ms": {name: round(min(values), 2) for name, values in times.items()},
                "million_revaluations_per_second": {
                    name: round(n / medians[name] / 1e3, 2) for name in medians if name != "surface"
                },
                "over_grid": {
                    name: round(medians[name] / medians["grid_again"], 2)
                    for name in ("numpy_twin", "price_by_price")
                },
                "largest_difference_over_gross": {
                    "numpy_twin": float(np.max(np.abs(twin()[0] - grid.usd) / gross)),
                    "price_by_price": float(np.max(np.abs(by_price()[0] - grid.usd) / gross)),
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
