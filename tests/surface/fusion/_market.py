"""A small market of venues with known biases on a known eSSVI surface."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from ivhedge.core.units import NS_PER_DAY
from ivhedge.market.simulator import SimulationConfig, simulate_market
from ivhedge.surface import essvi_total_variance
from ivhedge.surface.fusion import VenueQuotes

TS_NS = 1_767_614_400_000_000_000
DAYS = np.array([7, 30, 90, 180])
TAUS = DAYS / 365.0
EXPIRIES = TS_NS + DAYS * NS_PER_DAY
NAMES = ("anna", "bert", "cora", "dora")
LEVEL = {"anna": 0.0, "bert": 0.0030, "cora": -0.0045, "dora": 0.0060}
SLOPE = {"anna": 0.0, "bert": 0.0020, "cora": 0.0, "dora": -0.0025}
HALF = {"anna": 0.006, "bert": 0.010, "cora": 0.012, "dora": 0.018}


def true_vol(k: np.ndarray, tau: float) -> np.ndarray:
    """Vols of the truth."""
    theta = 0.36 * tau * (1.0 + 0.1 * (1.0 - np.exp(-tau / 0.3)))
    psi = 1.08 * np.sqrt(theta) / (1.0 + 0.4 * np.sqrt(theta))
    return np.sqrt(essvi_total_variance(k, theta, -0.2, psi) / tau)


@dataclass(slots=True)
class Rows:
    """Columns of quotes."""

    venue: np.ndarray
    expiry: np.ndarray
    k: np.ndarray
    vol: np.ndarray
    half: np.ndarray
    age: np.ndarray

    def pick(self, mask: np.ndarray) -> "Rows":
        return Rows(*(getattr(self, name)[mask] for name in ("venue", "expiry", "k", "vol", "half", "age")))

    def quotes(self, ts_ns: int = TS_NS) -> VenueQuotes:
        return VenueQuotes.from_arrays(
            ts_ns=ts_ns,
            underlying="BTC",
            venue=self.venue.tolist(),
            expiry_ns=EXPIRIES[self.expiry],
            log_moneyness=self.k,
            bid_vol=self.vol - self.half,
            ask_vol=self.vol + self.half,
            age_s=self.age,
        )


def market(seed: int, *, names: tuple[str, ...] = NAMES, noise: float = 0.35, strikes: int = 30) -> Rows:
    """Two-sided quotes of all venues with normal errors of `noise` half-spreads."""
    rng = np.random.default_rng(seed)
    parts = []
    for e, tau in enumerate(TAUS):
        unit = 0.6 * np.sqrt(tau)
        k = np.linspace(-2.2 * unit, 2.2 * unit, strikes)
        truth = true_vol(k, tau)
        z = k / (float(true_vol(np.zeros(1), tau)[0]) * np.sqrt(tau))
        for name in NAMES:
            half = HALF[name] * (1.0 + 0.3 * z * z)
            error = noise * half * rng.standard_normal(k.size)
            if name in names:
                vol = truth + LEVEL[name] + SLOPE[name] * z + error
                parts.append((np.full(k.size, name), np.full(k.size, e), k, vol, half, np.zeros(k.size)))
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@lru_cache(maxsize=1)
def simulated() -> tuple[pl.DataFrame, pl.DataFrame]:
    """One snapshot of the simulator's five venues, BTC only, and the truth of the venues."""
    made = simulate_market(SimulationConfig(n_snapshots=1), np.random.default_rng(3))
    return made.chains.filter(pl.col("underlying") == "BTC"), made.venues
