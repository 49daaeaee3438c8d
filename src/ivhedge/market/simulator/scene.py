"""One underlying at one time: its truth, and the quotes of every live venue made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.types import BoolArray, FloatArray, IntArray
from ivhedge.core.units import year_fraction
from ivhedge.market.simulator.carry import forward_price
from ivhedge.market.simulator.config import AssetConfig
from ivhedge.market.simulator.futures import PERPETUAL_EXPIRY, quote_futures
from ivhedge.market.simulator.listing import ExpiryRule, Listing, expiry_label, monthly_expiries
from ivhedge.market.simulator.paths import MarketPaths
from ivhedge.market.simulator.quotes import OptionDraws, QuoteColumns, draw_options, quote_options
from ivhedge.market.simulator.smiles import Points, Smile, smile_of
from ivhedge.market.simulator.streams import Streams
from ivhedge.market.simulator.venues import VenueProfile

__all__ = ["Blocks", "Scene", "VenueMoment", "render"]

_OPEN_INTEREST_LOTS = 2_000.0
_LOWEST_VARIANCE = 1e-4
"""Options are priced with a variance state of at least this (a vol of 1 %), which keeps the series short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where the market stands: paths, place on their grid, asset and what is listed."""

    number: int
    asset: AssetConfig
    column: int
    paths: MarketPaths
    grid_index: int
    listing: Listing
    expiries: ExpiryRule

    @property
    def ts_ns(self) -> int:
        """Time of the snapshot."""
        return int(self.paths.times_ns[self.grid_index])

    @property
    def path_step_ns(self) -> int:
        """Step of the path grid."""
        return int(self.paths.times_ns[1] - self.paths.times_ns[0])

    def state(self) -> dict[str, FloatArray]:
        """Spot, variance, short carry and perpetual premium now, as columns of one row."""
        row, column = slice(self.grid_index, self.grid_index + 1), self.column
        return {
            "spot": self.paths.spot[row, column],
            "variance": self.paths.variance[row, column],
            "short_carry": self.paths.short_carry[row, column],
            "premium": self.paths.premium[row, column],
        }

    def forwards(self, expiry_ns: IntArray, age_steps: IntArray | int = 0) -> FloatArray:
        """True forwards of expiries, now or in earlier states."""
        at = self.grid_index - np.asarray(age_steps, dtype=np.int64)
        tau = year_fraction(self.paths.times_ns[at], expiry_ns)
        spot, short = self.paths.spot[at, self.column], self.paths.short_carry[at, self.column]
        return forward_price(spot, short, tau, self.asset.carry)

    def points(self, rows: IntArray, basis: float, age_steps: IntArray | int = 0) -> Points:
        """Listed strikes in dollars of a venue whose index lies `basis` above, now or in earlier states."""
        expiry = self.listing.expiry_ns[rows]
        at = np.broadcast_to(self.grid_index - np.asarray(age_steps, dtype=np.int64), rows.shape)
        return Points(
            forward=self.forwards(expiry, age_steps) * (1.0 + basis),
            strike=self.listing.strike[rows],
            tau=year_fraction(self.paths.times_ns[at], expiry),
            variance=np.maximum(self.paths.variance[at, self.column], _LOWEST_VARIANCE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueMoment:
    """A live venue and the basis of its index now."""

    profile: VenueProfile
    index_basis: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Quotes of one venue on one underlying."""

    options: QuoteColumns
    futures: QuoteColumns

    def unexpired(self, ts_ns: int) -> "Blocks":
        """What a frozen venue still shows at `ts_ns`, marked stale."""
        keep = self.options["expiry"] > ts_ns
        options = {name: column[keep] for name, column in self.options.items()}
        options["is_stale"] = np.ones(int(keep.sum()), dtype=np.bool_)
        expiry = self.futures["expiry"]
        alive = (expiry > ts_ns) | (expiry == PERPETUAL_EXPIRY)
        return Blocks(options=options, futures={n: column[alive] for n, column in self.futures.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    # What one venue needs from the pricer: option rows (put then call per strike), their randomness,
    # and where its points lie in the common batch.
    moment: VenueMoment
    rows: IntArray
    is_call: BoolArray
    draws: OptionDraws
    now: slice | None  # None: the venue has no basis and shares the truth
    stale: slice
    stale_rows: IntArray


def render(
    scene: Scene, moments: Sequence[VenueMoment], streams: Streams
) -> tuple[QuoteColumns, dict[str, Blocks]]:
    """Make the truth and the quotes of all live venues; every option is priced in one batch.

    Parameters
    ----------
    scene : Scene
    moments : sequence of VenueMoment
    streams : Streams

    Returns
    -------
    truth : columns of the truth table
    live : Blocks by venue name
    """
    everything = np.arange(scene.listing.strike.size)
    truth_points = scene.points(everything, 0.0)
    batch = [truth_points]
    orders = [_order(scene, moment, streams, batch) for moment in moments]
    points = Points.join(batch)
    smile = smile_of(points, scene.asset.model)
    live = {order.moment.profile.name: _blocks(scene, order, points, smile, streams) for order in orders}
    return _truth_columns(scene, truth_points, smile.take(slice(0, everything.size))), live


def _truth_columns(scene: Scene, points: Points, smile: Smile) -> QuoteColumns:
    call_value = np.maximum(points.forward - points.strike, 0.0)
    put_value = np.maximum(points.strike - points.forward, 0.0)
    return {
        "expiry": scene.listing.expiry_ns,
        "strike": points.strike,
        "tau": points.tau,
        "true_forward": points.forward,
        "true_iv": smile.vol,
        "true_atm_iv": smile.atm_vol,
        "true_price": smile.otm_price,
        "true_call": smile.otm_price + call_value,
        "true_put": smile.otm_price + put_value,
    }


def _covered(scene: Scene, profile: VenueProfile, streams: Streams) -> IntArray:
    listing = scene.listing
    cents = np.round(listing.strike * 100.0).astype(np.int64)
    name = (profile.name, scene.asset.underlying)
    expiry = streams.uniforms("expiry coverage", *name, keys=(listing.expiry_ns,))
    strike = streams.uniforms("strike coverage", *name, keys=(listing.expiry_ns, cents))
    listed = (expiry < profile.expiry_coverage) & (strike < profile.strike_coverage)
    return np.flatnonzero(listed).astype(np.int64)


def _order(scene: Scene, moment: VenueMoment, streams: Streams, batch: list[Points]) -> _Order:
    profile = moment.profile
    strikes = _covered(scene, profile, streams)
    rows = np.repeat(strikes, 2)
    is_call = np.tile(np.array([False, True]), strikes.size)
    age_limit = (scene.ts_ns - scene.listing.listed_ns[rows]) // scene.path_step_ns
    draws = draw_options(
        profile,
        rows.size,
        streams.generator("options", profile.name, scene.asset.underlying, scene.number),
        path_step_ns=scene.path_step_ns,
        oldest_steps=np.minimum(age_limit, scene.grid_index),
    )
    now = None if moment.index_basis == 0.0 else _append(batch, scene.points(rows, moment.index_basis))
    stale_rows = np.flatnonzero(draws.is_stale).astype(np.int64)
    old = scene.points(rows[stale_rows], moment.index_basis, draws.age_steps[stale_rows])
    return _Order(
        moment=moment,
        rows=rows,
        is_call=is_call,
        draws=draws,
        now=now,
        stale=_append(batch, old),
        stale_rows=stale_rows,
    )


def _append(batch: list[Points], points: Points) -> slice:
    first = sum(part.tau.size for part in batch)
    batch.append(points)
    return slice(first, first + points.tau.size)


def _pick(points: Points, smile: Smile, index: IntArray) -> tuple[Points, Smile]:
    return (
        Points(
            forward=points.forward[index],
            strike=points.strike[index],
            tau=points.tau[index],
            variance=points.variance[index],
        ),
        Smile(otm_price=smile.otm_price[index], vol=smile.vol[index], atm_vol=smile.atm_vol[index]),
    )


def _blocks(scene: Scene, order: _Order, points: Points, smile: Smile, streams: Streams) -> Blocks:
    profile, underlying = order.moment.profile, scene.asset.underlying
    current = order.rows if order.now is None else np.arange(order.now.start, order.now.stop)
    made_in = current.copy()
    made_in[order.stale_rows] = np.arange(order.stale.start, order.stale.stop)
    options = quote_options(
        profile,
        underlying,
        order.is_call,
        order.draws,
        now=_pick(points, smile, current),
        seen=_pick(points, smile, made_in),
        ts_ns=scene.ts_ns,
        path_step_ns=scene.path_step_ns,
    )
    rng = streams.generator("futures", profile.name, underlying, scene.number)
    index = round(float(scene.state()["spot"][0]) * (1.0 + order.moment.index_basis), 2)
    expiry, strike = scene.listing.expiry_ns[order.rows], scene.listing.strike[order.rows]
    options |= {
        "instrument_name": _names(underlying, expiry, strike, order.is_call),
        "expiry": expiry,
        "strike": strike,
        "is_call": order.is_call,
        "forward": _published_forwards(scene, order, points.forward[current], expiry, rng),
        "index": np.full(order.rows.size, index),
        "open_interest": _open_interest(scene, order, streams),
        "state_ts": scene.ts_ns - order.draws.age_steps * scene.path_step_ns,
    }
    dated = monthly_expiries(scene.ts_ns, scene.expiries)
    futures = quote_futures(
        profile,
        underlying,
        expiry_ns=dated,
        forward=scene.forwards(dated) * (1.0 + order.moment.index_basis),
        index=index,
        premium=float(scene.state()["premium"][0]),
        ts_ns=scene.ts_ns,
        rng=rng,
    )
    return Blocks(options=options, futures=futures)


def _published_forwards(
    scene: Scene, order: _Order, forward: FloatArray, expiry: IntArray, rng: np.random.Generator
) -> FloatArray:
    # one error per expiry, drawn for all listed expiries so that coverage does not shift the draws
    listed = np.unique(scene.listing.expiry_ns)
    errors = order.moment.profile.forward_noise * rng.standard_normal(listed.size)
    return np.asarray(np.round(forward * (1.0 + errors[np.searchsorted(listed, expiry)]), 4))


def _open_interest(scene: Scene, order: _Order, streams: Streams) -> FloatArray:
    profile, underlying = order.moment.profile, scene.asset.underlying
    cents = np.round(scene.listing.strike[order.rows] * 100.0).astype(np.int64)
    keys = (scene.listing.expiry_ns[order.rows], cents, order.is_call.astype(np.int64))
    uniform = streams.uniforms("open interest", profile.name, underlying, keys=keys)
    lot = float(profile.spec(InstrumentKind.OPTION, underlying).lot)
    return np.asarray(np.round(np.round(-np.log(uniform) * _OPEN_INTEREST_LOTS) * lot, 8), dtype=np.float64)


@lru_cache(maxsize=65_536)
def _name(underlying: str, expiry_ns: int, strike: float, is_call: bool) -> str:
    text = f"{strike:.6f}".rstrip("0").rstrip(".").replace(".", "d")
    return f"{underlying}-{expiry_label(expiry_ns)}-{text}-{'C' if is_call else 'P'}"


def _names(underlying: str, expiry: IntArray, strike: FloatArray, is_call: BoolArray) -> np.ndarray:
    items = zip(expiry.tolist(), strike.tolist(), is_call.tolist(), strict=True)
    return np.array([_name(underlying, *item) for item in items], dtype=object)
