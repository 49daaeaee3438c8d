"""Spot x vol matrix: the book revalued in full for every pair of shocks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.pricing import scenario_grid
from ivhedge.risk.legs import Legs, LegStatus, check_legs, price_legs
from ivhedge.surface.base import VolSurface
from ivhedge.surface.dynamics import SmileRule, StickyMoneyness, StickyStrike, moved_vol

if TYPE_CHECKING:
    from ivhedge.ledger.book import Book

__all__ = ["SmileDynamics", "SpotVolMatrix", "VolShock", "spot_vol_matrix"]


class SmileDynamics(StrEnum):
    """How the smile moves when the forward moves, by name; `ivhedge.surface.dynamics` has the rules."""

    STICKY_MONEYNESS = "sticky_moneyness"
    STICKY_STRIKE = "sticky_strike"

    @property
    def rule(self) -> SmileRule:
        """The rule of that name."""
        return StickyStrike() if self is SmileDynamics.STICKY_STRIKE else StickyMoneyness()


class VolShock(StrEnum):
    """How a vol shock is applied: ``vol · (1 + shock)`` or ``vol + shock / 100``."""

    RELATIVE = "relative"
    POINTS = "points"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotVolMatrix:
    """P&L of one underlying's positions for each pair of shocks.

    Parameters
    ----------
    underlying : str
    spot_shocks : FloatArray, shape (n,)
        Relative moves of every forward.
    vol_shocks : FloatArray, shape (m,)
        Relative, or in vol points, by `vol_shock`.
    vol_shock : VolShock
    smile_dynamics : SmileDynamics or SmileRule
    pnl_usd, pnl_coin : FloatArray, shape (n, m)
        Change of the value counted in USD, and counted in coin (``V / F`` for an option).
    skipped : tuple of (str, str)
        Legs that could not be priced, shocked or not, and are left out of all cells, with their status.
    """

    underlying: str
    spot_shocks: FloatArray
    vol_shocks: FloatArray
    vol_shock: VolShock
    smile_dynamics: SmileDynamics | SmileRule
    pnl_usd: FloatArray
    pnl_coin: FloatArray
    skipped: tuple[tuple[str, str], ...]

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
    smile_dynamics: SmileDynamics | SmileRule | str = SmileDynamics.STICKY_MONEYNESS,
    underlying: str | None = None,
    ts_ns: int | None = None,
    strict: bool = False,
) -> SpotVolMatrix:
    """Revalue one underlying's positions for every pair of a spot and a vol shock.

    Parameters
    ----------
    book : Book
    surfaces : mapping of underlying to surface
    spot_shocks : array_like, shape (n,)
        Relative moves, > -1, applied to every forward.
    vol_shocks : array_like, shape (m,)
        Relative (> -1), or vol points, by `vol_shock`. A vol never goes below 0.
    smile_dynamics : SmileDynamics, SmileRule or str
        Sticky moneyness: the smile moves with the forward. Sticky strike: each strike keeps its vol. Or a
        rule such as `ivhedge.surface.dynamics.SkewStickiness`.
    underlying : str, optional
        Needed when the book holds several.
    ts_ns : int, optional
        Time of the valuation; the surface's own by default.
    strict : bool
        As for `ivhedge.risk.exposures`.

    Raises
    ------
    ConfigError
        If shocks are empty, not finite or <= -1 where relative, the dynamics are unknown, or the underlying
        is ambiguous.
    UnknownInstrument, DataError
        With `strict`, for a leg without a price.
    """
    # Text from a command line or a file is as good as the enumeration.
    vol_shock = VolShock(vol_shock)
    smile_dynamics, rule = _rule(smile_dynamics)
    spots = _shocks(spot_shocks, "spot_shocks", relative=True)
    vols = _shocks(vol_shocks, "vol_shocks", relative=vol_shock is VolShock.RELATIVE)
    coin = underlying or _only_underlying(book, surfaces)
    held = [(p.instrument, p.quantity) for p in book.positions if p.instrument.underlying == coin]
    surface = surfaces.get(coin)
    if surface is None and ts_ns is None:
        raise DataError(f"expected a surface for {coin}, found {sorted(surfaces)}; fit one first")
    now_ns = surface.ts_ns if ts_ns is None and surface is not None else int(ts_ns or 0)
    legs = price_legs(held, surfaces, now_ns)
    if strict:
        check_legs(legs, now_ns)
    usd, in_coin = np.zeros((2, spots.size, vols.size))
    futures_usd, futures_coin = _futures_pnl(legs, spots)
    usd += futures_usd[:, None]
    in_coin += futures_coin[:, None]
    status = list(legs.status)
    if surface is not None:
        rows = np.flatnonzero(legs.priced & legs.is_option)
        moved = _moved_vols(legs, rows, surface, spots, rule)
        known = np.atleast_2d((moved >= 0.0) & (moved < np.inf)).all(axis=0)
        for row in rows[~known].tolist():
            status[row] = LegStatus.NO_VOL
        if strict:
            check_legs(replace(legs, status=tuple(status)), now_ns)
        options_usd, options_coin = _options_pnl(legs, rows[known], spots, moved[..., known], vols, vol_shock)
        usd += options_usd
        in_coin += options_coin
    return SpotVolMatrix(
        underlying=coin,
        spot_shocks=spots,
        vol_shocks=vols,
        vol_shock=vol_shock,
        smile_dynamics=smile_dynamics,
        pnl_usd=usd,
        pnl_coin=in_coin,
        skipped=tuple(
            (item.key, found.value)
            for item, found in zip(legs.instruments, status, strict=True)
            if found is not LegStatus.OK
        ),
    )


def _shocks(values: ArrayLike, name: str, *, relative: bool) -> FloatArray:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ConfigError(f"expected {name} as a non-empty list of finite numbers, found {array.tolist()}")
    if relative and (array <= -1.0).any():
        raise ConfigError(f"expected relative {name} above -1 (-100 %), found {array.min()}")
    return array


def _only_underlying(book: "Book", surfaces: Mapping[str, VolSurface]) -> str:
    names = sorted({p.instrument.underlying for p in book.positions}) or sorted(surfaces)
    if len(names) != 1:
        raise ConfigError(f"expected one underlying, found {names}; pass underlying=")
    return names[0]


def _futures_pnl(legs: Legs, spots: FloatArray) -> tuple[FloatArray, FloatArray]:
    rows = legs.priced & ~legs.is_option
    size, forward, inverse = legs.size[rows], legs.forward[rows], legs.is_inverse[rows]
    shocked = (1.0 + spots)[:, None] * forward
    inverse_coin = size * (1.0 / forward - 1.0 / shocked)
    linear_usd = size * (shocked - forward)
    usd = np.where(inverse, inverse_coin * shocked, linear_usd)
    coin = np.where(inverse, inverse_coin, linear_usd / shocked)
    return usd.sum(axis=1), coin.sum(axis=1)


def _options_pnl(
    legs: Legs,
    rows: IntArray,
    spots: FloatArray,
    moved: FloatArray,
    shocks: FloatArray,
    vol_shock: VolShock,
) -> tuple[FloatArray, FloatArray]:
    grid = scenario_grid(
        legs.forward[rows],
        legs.strike[rows],
        legs.tau[rows],
        legs.is_call[rows],
        legs.size[rows],
        spot_shocks=spots,
        vols=moved,
        vol_shocks=shocks,
        vol_shock="relative" if vol_shock is VolShock.RELATIVE else "points",
        base_vol=legs.vol[rows],
    )
    return grid.usd, grid.coin


def _rule(dynamics: SmileDynamics | SmileRule | str) -> tuple[SmileDynamics | SmileRule, SmileRule]:
    if isinstance(dynamics, str):
        try:
            named = SmileDynamics(dynamics)
        except ValueError as exc:
            names = ", ".join(SmileDynamics)
            raise ConfigError(f"expected smile dynamics {names} or a rule, found {dynamics!r}") from exc
        return named, named.rule
    if not callable(getattr(dynamics, "ssr_at", None)):
        raise ConfigError(
            f"expected smile dynamics by name or a rule with ssr_at, found {type(dynamics).__name__}"
        )
    return dynamics, dynamics


def _moved_vols(
    legs: Legs, rows: IntArray, surface: VolSurface, spots: FloatArray, rule: SmileRule
) -> FloatArray:
    # Shape (n,) where a strike keeps its vol, (spots, n) where the smile moves.
    if isinstance(rule, StickyStrike) or rows.size == 0:
        return legs.vol[rows]
    moneyness = np.log(legs.strike[rows] / legs.forward[rows])
    return moved_vol(surface, rule, moneyness, legs.tau[rows], np.log1p(spots)[:, None])
