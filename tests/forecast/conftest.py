"""A year and a half of made-up hourly bars, and the recorded ones where they are at hand."""

import numpy as np
import polars as pl
import pytest

from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, parse_time
from ivhedge.forecast import DailyMeasures, bars_from_frame, daily_measures

START_NS = parse_time("2024-01-01")


def simulated_frame(days, seed=7, weekend=0.4):
    """Hourly bars of a market whose log variance wanders and whose weekends are calm."""
    rng = np.random.default_rng(seed)
    level = np.empty(days)
    state = 0.0
    for day in range(days):
        state = 0.95 * state + 0.25 * rng.standard_normal()
        level[day] = state
    weekday = np.arange(days) % 7
    variance = 4e-4 * np.exp(level) * np.where(weekday >= 5, weekend, 1.2)
    steps = rng.standard_normal((days, 24, 30)) * np.sqrt(variance / 720.0)[:, None, None]
    path = np.cumsum(steps.reshape(-1)).reshape(days * 24, 30)
    before = np.concatenate([[0.0], path[:-1, -1]])
    whole = np.concatenate([before[:, None], path], axis=1)
    price = 100.0 * np.exp(whole)
    stamps = START_NS + NS_PER_HOUR * np.arange(days * 24)
    frame = pl.DataFrame(
        {
            "timestamp": pl.Series(stamps).cast(pl.Datetime("ns", "UTC")),
            "open": price[:, 0],
            "high": price.max(axis=1),
            "low": price.min(axis=1),
            "close": price[:, -1],
        }
    )
    return frame, variance


@pytest.fixture(scope="session")
def frame():
    return simulated_frame(40)[0]


@pytest.fixture(scope="session")
def measures() -> DailyMeasures:
    return daily_measures(bars_from_frame(simulated_frame(480)[0]))


@pytest.fixture(scope="session")
def bitcoin(recorded) -> DailyMeasures:
    path = recorded / "underlying_hourly" / "BTC.parquet"
    if not path.is_file():
        pytest.skip(f"recorded hourly bars not found at {path}")
    return daily_measures(bars_from_frame(pl.read_parquet(path), repair=True))


def days_after(measures, count):
    return measures.day_ns[-1] + NS_PER_DAY * np.arange(1, count + 1)
