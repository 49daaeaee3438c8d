"""The embedded showcase: five simulated venues, two coins, one ladder, four policies."""

from collections.abc import Callable

from ivhedge.engine import (
    BacktestResult,
    BookSpec,
    PolicyKind,
    PolicySpec,
    ReplayConfig,
    SettlementPrices,
    StructureKind,
    StructureSpec,
    replay,
)

__all__ = ["run_showcase", "showcase_book", "showcase_policies"]


def showcase_book() -> BookSpec:
    """A short strangle ladder on the liquid simulated venue."""
    return BookSpec(
        name="short strangle ladder",
        venue="aurora",
        collateral_usd=1_000_000.0,
        structures=tuple(
            StructureSpec(kind=StructureKind.STRANGLE, tenor_days=days, notional_usd=-250_000.0)
            for days in (7.0, 14.0, 30.0, 60.0)
        ),
    )


def showcase_policies() -> tuple[PolicySpec, ...]:
    """Do nothing; delta daily; delta in a band; delta and vega in bands."""
    return (
        PolicySpec(name="none", kind=PolicyKind.NONE),
        PolicySpec(name="delta daily", kind=PolicyKind.DELTA, interval_hours=24.0),
        PolicySpec(name="delta band", kind=PolicyKind.DELTA, delta_band=0.03),
        PolicySpec(name="delta + vega", kind=PolicyKind.DELTA_VEGA, delta_band=0.03),
    )


def run_showcase(
    *, seed: int, n_snapshots: int, progress: Callable[[int], None] | None = None
) -> BacktestResult:
    """Simulate the market from a seed and replay the showcase on it."""
    import numpy as np

    from ivhedge.market.simulator import SimulationConfig, simulate_market

    market = simulate_market(SimulationConfig(n_snapshots=n_snapshots), np.random.default_rng(seed))
    config = ReplayConfig(
        name="five simulated venues",
        hedge_venues=("aurora",),
        config={"seed": seed, "snapshots": n_snapshots},
    )
    return replay(
        market.snapshots(),
        showcase_book(),
        showcase_policies(),
        config,
        settlements=SettlementPrices.from_table(market.settlements),
        seed=seed,
        progress=progress,
    )
