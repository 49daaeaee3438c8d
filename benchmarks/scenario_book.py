"""Scenario grid of a whole book on the surface: 41 spots x 21 vols x 2,000 legs, from `Book` to P&L.

Prints JSON. Variants take turns in one process and the median over the turns is reported; times are CPU time
of one thread. Each includes everything: reading positions, forwards and vols off the surface, the checks and
two currencies. The goal of 40 ms is for one 41 x 21 plane.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from ivhedge.core import Instrument, InstrumentKind, Settlement, TickLadder, currency
from ivhedge.core.units import NS_PER_DAY
from ivhedge.ledger.book import Book
from ivhedge.ledger.position import Position
from ivhedge.pricing.jit import jit_available
from ivhedge.pricing.threads import set_threads
from ivhedge.risk.exposure import CARRY_NAMES, GREEK_EXPOSURE_NAMES, exposures
from ivhedge.risk.scenarios import scenario_pnl, spot_vol_matrix
from ivhedge.risk.stress import load_catalogue, run_stress
from ivhedge.surface import EssviSurface
from ivhedge.surface.dynamics import SkewStickiness, StickyStrike

LEGS, SEED, TURNS = 2000, 7, 21
SPOTS, SHOCKS = np.linspace(-0.5, 0.5, 41), np.linspace(-0.5, 1.0, 21)
DAYS = np.array([1, 2, 7, 14, 30, 60, 90, 180, 365])


def sample_surface() -> EssviSurface:
    """An eSSVI surface with nine expiries, level and skew like those of bitcoin."""
    taus = DAYS / 365
    theta = 0.36 * taus
    return EssviSurface(
        underlying="BTC",
        ts_ns=0,
        expiries=DAYS * NS_PER_DAY,
        taus=taus,
        theta=theta,
        rho=np.linspace(-0.05, -0.3, DAYS.size),
        psi=0.9 * np.sqrt(theta),
        forwards=95_000.0 * np.exp(0.06 * taus),
        index=95_000.0,
    )


def sample_book(surface: EssviSurface) -> Book:
    """Legs on the listed expiries, strikes to six deviations, long and short."""
    rng = np.random.default_rng(SEED)
    expiry = rng.integers(0, DAYS.size, LEGS)
    deviations = np.clip(rng.normal(0.0, 1.7, LEGS), -6.0, 6.0)
    strikes = surface.forwards[expiry] * np.exp(deviations * 0.6 * np.sqrt(surface.taus[expiry]))
    positions = []
    for i, (at, strike) in enumerate(zip(expiry, strikes, strict=True)):
        item = Instrument(
            name=f"O{i}",
            venue="deribit",
            underlying="BTC",
            kind=InstrumentKind.OPTION,
            settlement=Settlement.COIN,
            settle_currency=currency("BTC"),
            multiplier=Decimal(1),
            lot=Decimal("0.1"),
            min_size=Decimal("0.1"),
            ticks=TickLadder.flat("0.0001"),
            expiry_ns=int(DAYS[at]) * NS_PER_DAY,
            strike=Decimal(f"{strike:.2f}"),
            is_call=bool(rng.random() < 0.5),
        )
        positions.append(Position(item, Decimal(f"{rng.normal(0.0, 10.0):.1f}")))
    return Book("benchmark", tuple(positions))


def turns(tasks: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each task, after one call to compile."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(TURNS):
        for name, task in tasks.items():
            start = time.thread_time_ns()
            task()
            times[name].append((time.thread_time_ns() - start) / 1e6)
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def main() -> None:
    """Measure and print."""
    set_threads(1)
    surface = sample_surface()
    surfaces, book = {"BTC": surface}, sample_book(surface)
    plane = {"spot_shocks": SPOTS, "vol_shocks": SHOCKS, "ts_ns": 0}
    catalogue = load_catalogue()
    ms = turns(
        {
            "plane_sticky_strike": lambda: spot_vol_matrix(book, surfaces, **plane),
            "plane_sticky_moneyness": lambda: spot_vol_matrix(
                book, surfaces, smile_dynamics="sticky_moneyness", **plane
            ),
            "plane_measured_ssr": lambda: spot_vol_matrix(
                book, surfaces, smile_dynamics=SkewStickiness(ssr=1.3), **plane
            ),
            "plane_of_skew_and_time": lambda: scenario_pnl(
                book, surfaces, skew_shocks=[5.0], days=[1.5], **plane
            ),
            "exposures": lambda: exposures(book, surfaces, ts_ns=0),
            "exposures_all_greeks_and_smile": lambda: exposures(
                book,
                surfaces,
                ts_ns=0,
                dynamics=StickyStrike(),
                extra=(*GREEK_EXPOSURE_NAMES, *CARRY_NAMES),
            ),
            "stress_catalogue": lambda: run_stress(book, surfaces, catalogue, 0),
        }
    )
    cells = LEGS * SPOTS.size * SHOCKS.size
    planes = {name: value for name, value in ms.items() if name.startswith("plane")}
    print(
        json.dumps(
            {
                "benchmark": "scenario_book",
                "machine": platform.machine(),
                "python": platform.python_version(),
                "compiled": jit_available(),
                "legs_spots_vols": [LEGS, SPOTS.size, SHOCKS.size],
                "stresses": len(catalogue.stresses),
                "turns": TURNS,
                "goal_ms": 40.0,
                "goal_met": all(value <= 40.0 for value in planes.values()),
                "ms": ms,
                "million_revaluations_per_second": {
                    name: round(cells / value / 1e3, 1) for name, value in planes.items()
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
