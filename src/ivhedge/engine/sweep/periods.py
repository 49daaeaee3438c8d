"""The snapshots of a period, recorded or simulated."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.engine.settlement import SettlementPrices
from ivhedge.engine.sweep.identity import canonical, data_version, digest, plain
from ivhedge.engine.sweep.spec import Period, RecordedPeriod, SimulatedPeriod
from ivhedge.market import MarketSnapshot, read_chains, read_futures, snapshots

if TYPE_CHECKING:
    from ivhedge.market.simulator import SimulationConfig

__all__ = ["PeriodData", "load_period", "version_of"]

_LABELS = frozenset({"name"})


@dataclass(frozen=True, slots=True)
class PeriodData:
    """Snapshots and settlement prices of a period, with the digest of its content."""

    looks: tuple[MarketSnapshot, ...]
    settlements: SettlementPrices
    version: str
    seed: int | None = None


def load_period(period: Period) -> PeriodData:
    """Read or simulate a period.

    Raises
    ------
    EmptyData
        If the window holds fewer than two times.
    ConfigError, DataError
        If the source cannot be read or a coin is not of the simulator's.
    """
    return _recorded(period) if isinstance(period, RecordedPeriod) else _simulated(period)


def version_of(period: Period) -> str:
    """Digest of a period's content; a simulated one is told by its settings and is not simulated."""
    return load_period(period).version if isinstance(period, RecordedPeriod) else _settings_version(period)


def _recorded(period: RecordedPeriod) -> PeriodData:
    window = {"underlying": period.underlying, "start": period.start, "end": period.end}
    try:
        chains = read_chains(period.source, **window)
    except EmptyData as exc:
        raise EmptyData(f"period {period.name!r} of {period.market}: {exc}") from exc
    times = chains["ts"].n_unique()
    if times < 2:
        raise EmptyData(
            f"period {period.name!r} of {period.market}: expected two times or more, found {times}; "
            "widen the period"
        )
    futures = read_futures(period.source, **window, missing_ok=True)
    settlements, bars = SettlementPrices(), b""
    if period.settlement_bars is not None:
        settlements = SettlementPrices.from_bars(period.settlement_bars, period.underlying)
        at = chains["ts"].dt.epoch("ns").sort()
        first, last = int(at[0]), int(at[-1])
        inside = sorted((ts, price) for (_, ts), price in settlements.known.items() if first <= ts <= last)
        bars = repr((inside, settlements.source)).encode()
    version = digest(data_version(chains, futures).encode(), bars)
    return PeriodData(tuple(snapshots(chains, futures)), settlements, version)


def _settings_version(period: SimulatedPeriod) -> str:
    _simulation(period)  # an impossible setting is to be told before anything runs
    return digest(canonical(plain(period, without=_LABELS)))


def _simulation(period: SimulatedPeriod) -> "SimulationConfig":
    from ivhedge.market.simulator import BTC, ETH, SimulationConfig

    known = {asset.underlying: asset for asset in (BTC, ETH)}
    if strange := [coin for coin in period.underlyings if coin not in known]:
        raise ConfigError(f"period {period.name!r}: expected underlyings of {sorted(known)}, found {strange}")
    return SimulationConfig(
        n_snapshots=period.n_snapshots,
        step_ns=period.step_ns,
        assets=tuple(known[coin] for coin in period.underlyings),
    )


def _simulated(period: SimulatedPeriod) -> PeriodData:
    from ivhedge.market.simulator import simulate_market

    market = simulate_market(_simulation(period), np.random.default_rng(period.seed))
    return PeriodData(
        tuple(market.snapshots()),
        SettlementPrices.from_table(market.settlements),
        _settings_version(period),
        period.seed,
    )
