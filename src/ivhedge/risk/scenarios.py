"""Scenario grids: the book revalued in full for every shock of spot, vol, skew and time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.pricing import black76_price, scenario_grid
from ivhedge.risk.legs import MAX_AGE_NS, Legs, check_legs, price_legs
from ivhedge.risk.marks import ConservativeMarks, conservative_legs
from ivhedge.risk.stress.shocks import (
    SmileDynamics,
    TimeRoll,
    VolShock,
    futures_pnl,
    mend_legs,
    moved_vols,
    named_rule,
    readable,
    skew_shape,
)
from ivhedge.surface.base import VolSurface
from ivhedge.surface.dynamics import SmileRule

if TYPE_CHECKING:
    from ivhedge.ledger.book import Book

__all__ = [
    "ScenarioGrid",
    "SmileDynamics",
    "SpotVolMatrix",
    "TimeRoll",
    "VolShock",
    "scenario_pnl",
    "skew_shape",
    "spot_vol_matrix",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioGrid:
    """P&L of one underlying's positions for each combination of shocks.

    Parameters
    ----------
    underlying : str
    spot_shocks : FloatArray, shape (n,)
        Relative moves of every forward.
    vol_shocks : FloatArray, shape (m,)
        Relative, or in vol points, by `vol_shock`.
    skew_shocks : FloatArray, shape (p,)
        Vol points of the 25-delta risk reversal, call less put.
    days : FloatArray, shape (q,)
        Days forward.
    vol_shock : VolShock
    smile_dynamics : SmileDynamics or SmileRule
    time_roll : TimeRoll
    pnl_usd, pnl_coin : FloatArray, shape (n, m, p, q)
        Change of the value counted in USD and counted in coin. A coin-settled option is worth ``V / F``
        coins, at the index in USD; one settled in dollars V USD.
    skipped : tuple of (str, str)
        Legs that could not be priced, shocked or not, and are left out of all cells, with their status.
    conservative : tuple of str
        Legs on a conservative mark, before or after a shock.
    """

    underlying: str
    spot_shocks: FloatArray
    vol_shocks: FloatArray
    skew_shocks: FloatArray
    days: FloatArray
    vol_shock: VolShock
    smile_dynamics: SmileDynamics | SmileRule
    time_roll: TimeRoll
    pnl_usd: FloatArray
    pnl_coin: FloatArray
    skipped: tuple[tuple[str, str], ...]
    conservative: tuple[str, ...] = ()

    def table(self) -> pl.DataFrame:
        """One row per cell: spot_shock, vol_shock, skew_shock, days, pnl_usd, pnl_coin."""
        axes = np.meshgrid(self.spot_shocks, self.vol_shocks, self.skew_shocks, self.days, indexing="ij")
        names = ("spot_shock", "vol_shock", "skew_shock", "days")
        columns = {name: axis.ravel() for name, axis in zip(names, axes, strict=True)}
        return pl.DataFrame(columns | {"pnl_usd": self.pnl_usd.ravel(), "pnl_coin": self.pnl_coin.ravel()})

    def worst(self) -> dict[str, float]:
        """The row of `table` with the largest loss in USD."""
        found = self.table()
        row = int(np.argmin(self.pnl_usd))
        return {name: float(value) for name, value in found.row(row, named=True).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotVolMatrix:
    """P&L of one underlying's positions for each pair of shocks.

    Parameters
    ----------
    underlying, spot_shocks, vol_shocks, vol_shock, smile_dynamics, skipped, conservative
        As in `ScenarioGrid`.
    pnl_usd, pnl_coin : FloatArray, shape (n, m)
    """

    underlying: str
    spot_shocks: FloatArray
    vol_shocks: FloatArray
    vol_shock: VolShock
    smile_dynamics: SmileDynamics | SmileRule
    pnl_usd: FloatArray
    pnl_coin: FloatArray
    skipped: tuple[tuple[str, str], ...]
    conservative: tuple[str, ...] = ()

    def table(self) -> pl.DataFrame:
        """One row per pair of shocks: spot_shock, vol_shock, pnl_usd, pnl_coin."""
        spot, vol = np.meshgrid(self.spot_shocks, self.vol_shocks, indexing="ij")
        return pl.DataFrame(
            {
                "spot_shock": spot.ravel(),
                "vol_shock": vol.ravel(),
                "pnl_usd": self.pnl_usd.ravel(),
                "pnl_coin": self.pnl_coin.ravel(),
            }
        )


def spot_vol_matrix(
    book: "Book",
    surfaces: Mapping[str, VolSurface],
    *,
    spot_shocks: ArrayLike,
    vol_shocks: ArrayLike,
    vol_shock: VolShock = VolShock.RELATIVE,
    smile_dynamics: SmileDynamics | SmileRule | str = SmileDynamics.STICKY_STRIKE,
    underlying: str | None = None,
    ts_ns: int | None = None,
    max_age_ns: int | None = MAX_AGE_NS,
    strict: bool = True,
    conservative: ConservativeMarks | None = None,
) -> SpotVolMatrix:
    """Revalue one underlying's positions for every pair of a spot and a vol shock.

    Parameters
    ----------
    book, surfaces, spot_shocks, vol_shocks, vol_shock, smile_dynamics, underlying, ts_ns
        As for `scenario_pnl`, of which this is the plane without shocks of skew and time.
    max_age_ns, strict, conservative
        As for `scenario_pnl`.

    Raises
    ------
    ConfigError, UnknownInstrument, DataError
        As for `scenario_pnl`.
    """
    grid = scenario_pnl(
        book,
        surfaces,
        spot_shocks=spot_shocks,
        vol_shocks=vol_shocks,
        vol_shock=vol_shock,
        smile_dynamics=smile_dynamics,
        underlying=underlying,
        ts_ns=ts_ns,
        max_age_ns=max_age_ns,
        strict=strict,
        conservative=conservative,
    )
    return SpotVolMatrix(
        underlying=grid.underlying,
        spot_shocks=grid.spot_shocks,
        vol_shocks=grid.vol_shocks,
        vol_shock=grid.vol_shock,
        smile_dynamics=grid.smile_dynamics,
        pnl_usd=grid.pnl_usd[:, :, 0, 0],
        pnl_coin=grid.pnl_coin[:, :, 0, 0],
        skipped=grid.skipped,
        conservative=grid.conservative,
    )


def scenario_pnl(
    book: "Book",
    surfaces: Mapping[str, VolSurface],
    *,
    spot_shocks: ArrayLike = (0.0,),
    vol_shocks: ArrayLike = (0.0,),
    skew_shocks: ArrayLike = (0.0,),
    days: ArrayLike = (0.0,),
    vol_shock: VolShock = VolShock.RELATIVE,
    smile_dynamics: SmileDynamics | SmileRule | str = SmileDynamics.STICKY_STRIKE,
    time_roll: TimeRoll = TimeRoll.TENOR,
    underlying: str | None = None,
    ts_ns: int | None = None,
    max_age_ns: int | None = MAX_AGE_NS,
    strict: bool = True,
    conservative: ConservativeMarks | None = None,
) -> ScenarioGrid:
    """Revalue one underlying's positions for every combination of shocks.

    Parameters
    ----------
    book : Book
    surfaces : mapping of underlying to surface
    spot_shocks : array_like, shape (n,)
        Relative moves, > -1, applied to every forward.
    vol_shocks : array_like, shape (m,)
        Relative (> -1), or vol points, by `vol_shock`. A vol never goes below 0.
    skew_shocks : array_like, shape (p,)
        Vol points that the 25-delta risk reversal gains, see `skew_shape`; added before the vol shock.
    days : array_like, shape (q,)
        Days forward, at least 0.
    smile_dynamics : SmileDynamics, SmileRule or str
        Sticky strike: each strike keeps its vol. Sticky moneyness: the smile moves with the forward. Or a
        rule such as `ivhedge.surface.dynamics.SkewStickiness`.
    time_roll : TimeRoll
        ``tenor``: after d days an option of tau years takes the vol of tau − d/365 at its moneyness.
        ``expiry``: its vol stays.
    underlying : str, optional
        Needed when the book holds several.
    ts_ns : int, optional
        Time of the valuation; the surface's own by default.
    max_age_ns, strict
        As for `ivhedge.risk.exposures`; off, legs without a price are in `skipped` and in no cell.
    conservative : ConservativeMarks, optional
        Mark legs without a price, before or after a shock, against their holder instead of skipping them.

    Raises
    ------
    ConfigError
        If shocks are empty, not finite or out of range, the dynamics are unknown, or the underlying is
        ambiguous.
    UnknownInstrument, DataError
        With `strict`, for a leg without a price.

    Notes
    -----
    The index takes the shock of the forwards; neither moves with time alone. A leg whose expiry lies at or
    before the horizon settles at its own shocked forward; perpetuals pay no funding meanwhile.
    """
    # Text from a command line or a file is as good as the enumeration.
    vol_shock, time_roll = VolShock(vol_shock), TimeRoll(time_roll)
    smile_dynamics, rule = named_rule(smile_dynamics)
    spots = _shocks(spot_shocks, "spot_shocks", above=-1.0)
    vols = _shocks(vol_shocks, "vol_shocks", above=-1.0 if vol_shock is VolShock.RELATIVE else -np.inf)
    skews = _shocks(skew_shocks, "skew_shocks")
    horizons = _shocks(days, "days", above=-1e-300)
    coin = underlying or _only_underlying(book, surfaces)
    held = [(p.instrument, p.quantity) for p in book.positions if p.instrument.underlying == coin]
    surface = surfaces.get(coin)
    if surface is None and ts_ns is None:
        raise DataError(f"expected a surface for {coin}, found {sorted(surfaces)}; fit one first")
    now_ns = surface.ts_ns if ts_ns is None and surface is not None else int(ts_ns or 0)
    legs = price_legs(held, surfaces, now_ns, max_age_ns=max_age_ns)
    if conservative is not None:
        legs = conservative_legs(legs, surfaces, conservative)
    usd, in_coin = np.zeros((2, spots.size, vols.size, skews.size, horizons.size))
    valued = legs.priced
    futures = futures_pnl(legs, np.flatnonzero(valued & ~legs.is_option), spots)
    usd += futures[0].sum(axis=1)[:, None, None, None]
    in_coin += futures[1].sum(axis=1)[:, None, None, None]
    rows = np.flatnonzero(valued & legs.is_option)
    taus = np.maximum(legs.tau[rows] - horizons[:, None] / DAYS_PER_YEAR, 0.0)
    moved = [moved_vols(legs, rows, surface, spots, rule, tau, time_roll) for tau in taus]
    good = np.asarray(np.array([readable(vol) for vol in moved]).all(axis=0))
    legs, kept, moved = mend_legs(legs, rows, good, moved, conservative)
    if strict:
        check_legs(legs, now_ns)
    for at, vol in enumerate(moved):
        for column, skew in enumerate(skews.tolist()):
            alive = rows[kept]
            cell = _options_pnl(legs, alive, spots, vol[..., kept], taus[at][kept], skew, vols, vol_shock)
            usd[:, :, column, at] += cell[0]
            in_coin[:, :, column, at] += cell[1]
    return ScenarioGrid(
        underlying=coin,
        spot_shocks=spots,
        vol_shocks=vols,
        skew_shocks=skews,
        days=horizons,
        vol_shock=vol_shock,
        smile_dynamics=smile_dynamics,
        time_roll=time_roll,
        pnl_usd=usd,
        pnl_coin=in_coin,
        skipped=tuple(
            (legs.instruments[row].key, legs.status[row].value)
            for row in np.flatnonzero(~legs.priced).tolist()
        ),
        conservative=tuple(legs.instruments[row].key for row in np.flatnonzero(legs.marked).tolist()),
    )


def _shocks(values: ArrayLike, name: str, *, above: float = -np.inf) -> FloatArray:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ConfigError(f"expected {name} as a non-empty list of finite numbers, found {array.tolist()}")
    if (array <= above).any():
        limit = "at or above 0" if name == "days" else "above -1 (-100 %)"
        raise ConfigError(f"expected {name} {limit}, found {array.min()}")
    return array


def _only_underlying(book: "Book", surfaces: Mapping[str, VolSurface]) -> str:
    names = sorted({p.instrument.underlying for p in book.positions}) or sorted(surfaces)
    if len(names) != 1:
        raise ConfigError(f"expected one underlying, found {names}; pass underlying=")
    return names[0]


def _options_pnl(
    legs: Legs,
    rows: IntArray,
    spots: FloatArray,
    moved: FloatArray,
    tau: FloatArray,
    skew: float,
    shocks: FloatArray,
    vol_shock: VolShock,
) -> tuple[FloatArray, FloatArray]:
    # In USD at the index, which moves as the forwards do: coins are the same over the index.
    forward, strike, size = legs.forward[rows], legs.strike[rows], legs.size[rows] * legs.usd_scale[rows]
    vol = legs.opening_vol[rows]
    call = legs.is_call[rows]
    marked = legs.marked[rows]
    if marked.any():
        # A conservative mark takes the shocks that go against its holder, and no others.
        against = np.where(size >= 0.0, np.minimum(shocks[:, None], 0.0), np.maximum(shocks[:, None], 0.0))
        shocks = np.where(marked, against, shocks[:, None])
    if skew:
        shocked = forward * (1.0 + spots)[:, None]
        moved = np.maximum(moved + VOL_POINT * skew * skew_shape(shocked, strike, tau, moved) * ~marked, 0.0)
    if rows.size == 0:
        return np.zeros((spots.size, shocks.shape[0])), np.zeros((spots.size, shocks.shape[0]))
    rolled = not np.array_equal(tau, legs.tau[rows])
    grid = scenario_grid(
        forward,
        strike,
        tau,
        call,
        size,
        spot_shocks=spots,
        vols=moved,
        vol_shocks=shocks,
        vol_shock="relative" if vol_shock is VolShock.RELATIVE else "points",
        base_vol=None if rolled else vol,
    )
    base = float(size @ black76_price(forward, strike, legs.tau[rows], vol, call))
    usd = grid.usd - base if rolled else grid.usd
    index = float(legs.index[rows[0]])
    moved_index = index * (1.0 + spots)[:, None]
    return usd, usd / moved_index + base * (1.0 / moved_index - 1.0 / index)
