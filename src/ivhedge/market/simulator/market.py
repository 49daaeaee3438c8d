"""The simulated market: paths, listings and venues put together, with the truth beside the quotes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from ivhedge.core.types import IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_SECOND
from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA
from ivhedge.market.simulator.config import SimulationConfig
from ivhedge.market.simulator.listing import EXPIRY_HOUR_NS, Listing, next_listing
from ivhedge.market.simulator.paths import MarketPaths, simulate_paths
from ivhedge.market.simulator.scene import Blocks, Scene, VenueMoment, render
from ivhedge.market.simulator.status import basis_path, outage_modes
from ivhedge.market.simulator.streams import Streams
from ivhedge.market.simulator.tables import (
    CHAIN_ORDER,
    LABEL_SCHEMA,
    SETTLEMENT_SCHEMA,
    STATE_SCHEMA,
    TRUTH_SCHEMA,
    VENUE_SCHEMA,
    TableBuilder,
)
from ivhedge.market.simulator.venues import OutageMode
from ivhedge.market.snapshot import MarketSnapshot

__all__ = ["SETTLEMENT_WINDOW_NS", "SimulatedMarket", "simulate_market"]

SETTLEMENT_WINDOW_NS = 1_800 * NS_PER_SECOND
"""The settlement price is the average of spot over these last 30 minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMarket:
    """Quotes of all venues and the truth behind them.

    Parameters
    ----------
    config : SimulationConfig
    chains : pl.DataFrame
        Options, in `CHAIN_SCHEMA`, sorted by ts, underlying, venue, expiry, strike, is_call.
    futures : pl.DataFrame
        Futures and perpetuals, in `FUTURES_SCHEMA`.
    truth : pl.DataFrame
        One row per snapshot, underlying, expiry and listed strike: tau, true_forward, true_iv,
        true_atm_iv, true_price (of the out-of-the-money option), true_call, true_put; in USD on the
        common index. A venue with an index basis b prices off the forward times 1 + b.
    states : pl.DataFrame
        Per snapshot and underlying: spot, variance, short_carry, premium.
    settlements : pl.DataFrame
        Per 08:00 UTC inside the run: ts, underlying, settlement_price (USD), the average of the spot path
        over the last 30 minutes. Dollar venues deliver on the same common index.
    venues : pl.DataFrame
        Per snapshot and venue: status (live, frozen, absent), level_bias, slope_bias, index_basis.
    labels : pl.DataFrame
        Per row of `chains`, in its order: state_ts, is_stale, is_outlier. Frozen venues count as stale.
    """

    config: SimulationConfig
    chains: pl.DataFrame
    futures: pl.DataFrame
    truth: pl.DataFrame
    states: pl.DataFrame
    settlements: pl.DataFrame
    venues: pl.DataFrame
    labels: pl.DataFrame

    def snapshots(self) -> Iterator[MarketSnapshot]:
        """Each time and underlying in order, also when no venue is there; the index is the true spot."""
        keys = ("ts", "underlying")
        chains = self.chains.partition_by(*keys, as_dict=True)
        futures = self.futures.partition_by(*keys, as_dict=True)
        times = self.states["ts"].dt.epoch("ns").to_list()
        for ts_ns, row in zip(times, self.states.iter_rows(named=True), strict=True):
            key = (row["ts"], row["underlying"])
            yield MarketSnapshot(
                ts_ns=ts_ns,
                underlying=row["underlying"],
                index=row["spot"],
                chain=chains.get(key, self.chains.clear()),
                futures=futures.get(key, self.futures.clear()),
            )


def simulate_market(config: SimulationConfig, rng: np.random.Generator) -> SimulatedMarket:
    """Simulate a market of several venues and assets.

    Parameters
    ----------
    config : SimulationConfig
    rng : np.random.Generator
        Gives four words of entropy; everything else grows out of them.

    Returns
    -------
    SimulatedMarket
        The same for the same generator state, bit for bit. A run with fewer snapshots is the beginning of
        a longer one.

    Raises
    ------
    ConfigError
        If settings contradict each other.

    Examples
    --------
    >>> market = simulate_market(SimulationConfig(n_snapshots=1), np.random.default_rng(7))
    >>> market.chains["venue"].n_unique()
    5
    """
    streams = Streams.from_generator(rng)
    step = config.grid_step_ns
    history_steps = -(-config.history_ns // step)
    stride = config.step_ns // step
    times = config.start_ns + config.step_ns * np.arange(config.n_snapshots, dtype=np.int64)
    paths = simulate_paths(
        config.assets,
        config.correlations,
        start_ns=config.start_ns - history_steps * step,
        step_ns=step,
        n_steps=history_steps + stride * (config.n_snapshots - 1),
        streams=streams,
    )
    collector = _Collector(config, streams, times)
    for number in range(config.n_snapshots):
        collector.snapshot(number, paths, history_steps + stride * number)
    return collector.finish(paths, times)


class _Collector:
    """Walks over the snapshots and remembers listings and the last quotes of each venue."""

    def __init__(self, config: SimulationConfig, streams: Streams, times: IntArray) -> None:
        self._config, self._streams = config, streams
        self._modes = {v.name: outage_modes(v, times, streams) for v in config.venues}
        self._basis = {v.name: basis_path(v, times, config.step_ns, streams) for v in config.venues}
        self._listings: dict[str, Listing] = {}
        self._last: dict[tuple[str, str], Blocks] = {}
        self._chains, self._futures = TableBuilder(CHAIN_SCHEMA), TableBuilder(FUTURES_SCHEMA)
        self._truth, self._states = TableBuilder(TRUTH_SCHEMA), TableBuilder(STATE_SCHEMA)
        self._venues, self._labels = TableBuilder(VENUE_SCHEMA), TableBuilder(LABEL_SCHEMA)

    def snapshot(self, number: int, paths: MarketPaths, grid_index: int) -> None:
        """Add all quotes of one snapshot."""
        ts_ns = int(paths.times_ns[grid_index])
        for column, asset in enumerate(self._config.assets):
            listing = next_listing(
                self._listings.get(asset.underlying),
                ts_ns,
                float(paths.spot[grid_index, column]),
                self._config.expiries,
                asset.strikes,
            )
            self._listings[asset.underlying] = listing
            scene = Scene(
                number=number,
                asset=asset,
                column=column,
                paths=paths,
                grid_index=grid_index,
                listing=listing,
                expiries=self._config.expiries,
            )
            moments = [
                VenueMoment(profile=v, index_basis=float(self._basis[v.name][number]))
                for v in self._config.venues
                if self._modes[v.name][number] is None
            ]
            truth, live = render(scene, moments, self._streams)
            self._truth.add(truth, ts=ts_ns, underlying=asset.underlying)
            self._publish(number, ts_ns, asset.underlying, live)
            self._states.add(scene.state(), ts=ts_ns, underlying=asset.underlying)
        self._add_venues(number, ts_ns)

    def _publish(self, number: int, ts_ns: int, underlying: str, live: dict[str, Blocks]) -> None:
        for venue in self._config.venues:
            key = (venue.name, underlying)
            if venue.name in live:
                self._last[key] = blocks = live[venue.name]
            elif self._modes[venue.name][number] is OutageMode.FROZEN and key in self._last:
                blocks = self._last[key].unexpired(ts_ns)
            else:
                continue
            common: dict[str, str | float | bool] = {
                "ts": ts_ns,
                "venue": venue.name,
                "underlying": underlying,
                "settlement": venue.settlement.value,
            }
            self._chains.add(blocks.options, **common)
            self._futures.add(blocks.futures, **common)
            self._labels.add(blocks.options, **common)

    def _add_venues(self, number: int, ts_ns: int) -> None:
        for venue in self._config.venues:
            mode = self._modes[venue.name][number]
            self._venues.add(
                {"index_basis": self._basis[venue.name][number : number + 1]},
                ts=ts_ns,
                venue=venue.name,
                status="live" if mode is None else mode.value,
                level_bias=venue.level_bias,
                slope_bias=venue.slope_bias,
            )

    def finish(self, paths: MarketPaths, times: IntArray) -> SimulatedMarket:
        """Turn everything collected into tables."""
        chains, labels = self._chains.build(), self._labels.build()
        order = chains.select(pl.arg_sort_by(*CHAIN_ORDER)).to_series()
        return SimulatedMarket(
            config=self._config,
            chains=chains[order],
            futures=self._futures.build().sort("ts", "underlying", "venue", "expiry", maintain_order=True),
            truth=self._truth.build(),
            states=self._states.build(),
            settlements=_settlements(self._config, paths, times),
            venues=self._venues.build(),
            labels=labels[order],
        )


def _settlements(config: SimulationConfig, paths: MarketPaths, times: IntArray) -> pl.DataFrame:
    builder = TableBuilder(SETTLEMENT_SCHEMA)
    first_day = (int(times[0]) - EXPIRY_HOUR_NS) // NS_PER_DAY + 1
    last_day = (int(times[-1]) - EXPIRY_HOUR_NS) // NS_PER_DAY
    for day in range(first_day, last_day + 1):
        expiry_ns = day * NS_PER_DAY + EXPIRY_HOUR_NS
        for column, asset in enumerate(config.assets):
            start = max(expiry_ns - SETTLEMENT_WINDOW_NS, int(paths.times_ns[0]))
            price = paths.mean_spot(start, expiry_ns, column)
            builder.add({"settlement_price": np.array([price])}, ts=expiry_ns, underlying=asset.underlying)
    return builder.build()
