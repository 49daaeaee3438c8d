"""Where the profit of a desk's book came from, from one recorded snapshot to the next."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData, IvHedgeError, MissingPrice, SchemaError
from ivhedge.core.types import FloatArray
from ivhedge.core.units import format_ns
from ivhedge.engine.desk import Desk
from ivhedge.engine.settlement import SettlementPrices
from ivhedge.market import MarketSnapshot
from ivhedge.risk.attribution import (
    PERPETUAL,
    ExplainSettings,
    Explanation,
    HeldLegs,
    LegMarks,
    Role,
    SpotPath,
    explain,
    join_explanations,
    mark_legs,
)
from ivhedge.surface import fit_surface
from ivhedge.surface.base import VolSurface

__all__ = ["DeskExplanation", "explain_desk", "read_spot_path"]

_FAR_FROM_INDEX = 0.05
"""Log distance of hourly opens from the index: recorded ones differ by 0.02 at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskExplanation:
    """Explained profit of a book that was held and not traded.

    Parameters
    ----------
    explanation : Explanation
    start_ns, end_ns : int
    indices : (float, float)
        Index at both ends, USD.
    notes : tuple of str
        Snapshots that were passed over, and where settlement prices and the path of spot come from.
    """

    explanation: Explanation
    start_ns: int
    end_ns: int
    indices: tuple[float, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    snapshot: MarketSnapshot
    surface: VolSurface


def read_spot_path(path: Path) -> SpotPath:
    """Read hourly bars, stamped at their open, as a path of spot.

    Raises
    ------
    ConfigError
        If the file does not exist.
    SchemaError
        If it lacks the columns timestamp and open.
    DataError
        If times repeat or a price is no price.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise ConfigError(f"expected a parquet file of hourly bars, found {found} at {path}")
    try:
        bars = pl.read_parquet(path, columns=["timestamp", "open"]).sort("timestamp")
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise SchemaError(f"{path}: expected hourly bars with timestamp, open: {exc}") from exc
    times = bars["timestamp"].dt.epoch("ns").to_numpy()
    return SpotPath(ts_ns=times, price=bars["open"].cast(pl.Float64).to_numpy())


def explain_desk(
    desk: Desk,
    later: Sequence[MarketSnapshot],
    *,
    bars: Path | None = None,
    settings: ExplainSettings | None = None,
) -> DeskExplanation:
    """Explain a book that is held from the desk's snapshot over the later ones.

    Parameters
    ----------
    desk : Desk
    later : sequence of MarketSnapshot
        Of the same underlying, ascending; one without a certified surface is passed over and named.
    bars : Path, optional
        Hourly bars: the path of spot between snapshots, and settlement prices. Without them both lie on
        straight lines between the indices.
    settings : ExplainSettings, optional

    Raises
    ------
    EmptyData
        If no later snapshot has a surface, or the book is empty.
    ConfigError, SchemaError, DataError
        As `read_spot_path`; and if the bars are far from the indices: another coin's, most likely.
    """
    if not desk.book.positions:
        raise EmptyData("expected a book with positions, found none; there is nothing to explain")
    positions = [(p.instrument, p.quantity) for p in desk.book.positions]
    roles = [Role.BOOK if instrument.is_option else Role.HEDGE for instrument, _ in positions]
    legs = HeldLegs.of(positions, roles)
    known = SettlementPrices() if bars is None else SettlementPrices.from_bars(bars, desk.underlying)
    path = None if bars is None else read_spot_path(bars)
    moments, notes = [_Moment(desk.snapshot, desk.surface)], []
    for snapshot in later:
        try:
            fitted = fit_surface(snapshot.chain, futures=snapshot.futures).published()
        except IvHedgeError as exc:
            notes.append(f"passed over {format_ns(snapshot.ts_ns)}: {exc}")
            continue
        moments.append(_Moment(snapshot, fitted))
    if len(moments) < 2:
        raise EmptyData(f"expected a later snapshot with a surface, found none of {len(later)}; {notes[:1]}")
    if path is not None and not path.ts_ns[0] <= desk.ts_ns < moments[-1].snapshot.ts_ns <= path.ts_ns[-1]:
        notes.append("the bars do not cover the whole time: spot runs straight between the snapshots")
        path = None
    if path is not None and bars is not None:
        _check_path(path, moments, bars)
    found, sources = [], set()
    for before, after in itertools.pairwise(moments):
        settlement, source = _settlements(legs, before, after, known)
        sources |= source
        start, end = _marks(legs, before), _marks(legs, after, settlement)
        found.append(explain(legs, start, end, path=path, settings=settings))
        legs = _alive(legs, after.snapshot.ts_ns)
        if legs.count == 0:
            break
    notes += [f"settlement price: {source}" for source in sorted(sources)]
    return DeskExplanation(
        explanation=join_explanations(found),
        start_ns=desk.ts_ns,
        end_ns=int(found[-1].end_ns[-1]),
        indices=(desk.index, moments[len(found)].snapshot.index),
        notes=tuple(notes),
    )


def _check_path(path: SpotPath, moments: Sequence[_Moment], bars: Path) -> None:
    """Refuse bars that are not those of the coin."""
    for moment in moments:
        seen, index = float(path.at(np.array([moment.snapshot.ts_ns]))[0]), moment.snapshot.index
        if abs(np.log(seen / index)) > _FAR_FROM_INDEX:
            raise DataError(
                f"{bars}: expected hourly bars of {moment.snapshot.underlying}, found {seen:g} at "
                f"{format_ns(moment.snapshot.ts_ns)} against an index of {index:g}; pass that coin's bars"
            )


def _marks(legs: HeldLegs, moment: _Moment, settlement: FloatArray | float = np.nan) -> LegMarks:
    snapshot = moment.snapshot
    quoted: dict[str, tuple[float | None, float | None]] = {}
    for venue, name, mark, forward in snapshot.chain.select(
        "venue", "instrument_name", "mark", "forward"
    ).iter_rows():
        quoted[f"{venue}:{name}"] = (mark, forward)
    for venue, name, mark in snapshot.futures.select("venue", "instrument_name", "mark").iter_rows():
        quoted[f"{venue}:{name}"] = (mark, None)
    rows = [quoted.get(name, (None, None)) for name in legs.names]
    price, forward = (
        np.array([np.nan if row[i] is None else row[i] for row in rows], dtype=np.float64) for i in (0, 1)
    )
    return mark_legs(
        legs,
        ts_ns=snapshot.ts_ns,
        spot=snapshot.index,
        price=price,
        forward=forward,
        surface=moment.surface,
        settlement=settlement,
    )


def _settlements(
    legs: HeldLegs, before: _Moment, after: _Moment, known: SettlementPrices
) -> tuple[FloatArray, set[str]]:
    """Settlement prices of the legs that expire on the way, and where they come from."""
    ends = [(m.snapshot.ts_ns, m.snapshot.index) for m in (before, after)]
    prices, sources = np.full(legs.count, np.nan), set()
    for i in np.flatnonzero(
        (legs.expiry_ns != PERPETUAL) & (legs.expiry_ns <= after.snapshot.ts_ns)
    ).tolist():
        try:
            prices[i], source = known.price(legs.underlying, int(legs.expiry_ns[i]), ends[0], ends[1])
        except MissingPrice:
            source = f"none for {legs.names[i]}"
        sources.add(source)
    return prices, sources


def _alive(legs: HeldLegs, ts_ns: int) -> HeldLegs:
    """Legs that have not expired."""
    kept = np.flatnonzero((legs.expiry_ns == PERPETUAL) | (legs.expiry_ns > ts_ns))
    return HeldLegs(
        underlying=legs.underlying,
        names=tuple(legs.names[i] for i in kept),
        currencies=tuple(legs.currencies[i] for i in kept),
        roles=tuple(legs.roles[i] for i in kept),
        size=legs.size[kept],
        is_option=legs.is_option[kept],
        is_call=legs.is_call[kept],
        is_coin=legs.is_coin[kept],
        strike=legs.strike[kept],
        expiry_ns=legs.expiry_ns[kept],
    )
