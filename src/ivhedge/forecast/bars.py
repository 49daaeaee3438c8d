"""Price bars: checked once at the border, so that no estimator has to doubt them.

What cannot be repaired without guessing is refused and names its row. What can be repaired safely is
repaired only on request (`repair=True`) and counted in `BarRepairs`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError, EmptyData, GapError, SchemaError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_DAY, NS_PER_HOUR, format_ns

__all__ = ["BarRepairs", "Bars", "bars_from_frame"]

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRepairs:
    """What was mended on the way in.

    Parameters
    ----------
    sorted_rows : int
        Rows that lay before their predecessor in time.
    duplicates_dropped : int
        Rows equal in every price to an earlier row of the same time.
    missing_bars : int
        Bars absent from whole days; such a day is scaled up from the bars it has.
    edge_bars_dropped : int
        Bars of an incomplete first or last day.
    """

    sorted_rows: int = 0
    duplicates_dropped: int = 0
    missing_bars: int = 0
    edge_bars_dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Whole UTC days of bars in order of time; a missing bar is a row of nan.

    Parameters
    ----------
    day_ns : IntArray, shape (days,)
        Start of each day, ns since the epoch; consecutive days without a hole.
    open, high, low, close : FloatArray, shape (days, bars per day)
        Prices in quote currency, positive; nan where the bar is missing.
    interval_ns : int
        Length of a bar; divides a day.
    repairs : BarRepairs
    """

    day_ns: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    interval_ns: int
    repairs: BarRepairs


def bars_from_frame(
    frame: pl.DataFrame,
    *,
    interval_ns: int = NS_PER_HOUR,
    repair: bool = False,
    max_missing_per_day: int = 2,
) -> Bars:
    """Check a table of bars and lay it out by UTC day.

    Parameters
    ----------
    frame : pl.DataFrame
        Columns `timestamp` (Datetime in UTC, the OPEN of the bar), `open`, `high`, `low`, `close`.
    interval_ns : int
        Length of a bar; must divide a day.
    repair : bool
        Sort, drop exact duplicates, accept up to `max_missing_per_day` missing bars in a day, and drop
        incomplete days at both ends. All of it is counted. Without it each of these is an error, except
        that incomplete days at the ends are always dropped and counted.
    max_missing_per_day : int
        Above it a hole is an error even with `repair`.

    Returns
    -------
    Bars

    Raises
    ------
    ConfigError
        If the interval does not divide a day.
    SchemaError
        If a column is missing or of a wrong type, or the times carry no zone or one other than UTC.
    DataError
        If a price is absent, not finite or not positive, high and low do not enclose open and close, a time
        is not on the grid, rows are out of order or duplicated. Names the first row.
    GapError
        If bars are missing and may not be, naming the first.
    EmptyData
        If no whole day is left.
    """
    if interval_ns <= 0 or NS_PER_DAY % interval_ns:
        raise ConfigError(f"expected a bar length that divides a day, found {interval_ns} ns")
    stamps = _times(frame)
    prices = _prices(frame)
    if not stamps.size:
        raise EmptyData("expected bars, found an empty table")
    _check_prices(prices, stamps)
    off = np.flatnonzero(stamps % interval_ns)
    if off.size:
        raise DataError(
            f"row {off[0]}: expected the open time of a bar of {interval_ns // 1_000_000_000} s, "
            f"found {format_ns(int(stamps[off[0]]))}; times must be opens on the UTC grid"
        )
    stamps, prices, wrong = _sorted(stamps, prices, repair)
    stamps, prices, duplicates = _deduplicated(stamps, prices, repair)
    return _by_day(stamps, prices, interval_ns, repair, max_missing_per_day, wrong, duplicates)


def _times(frame: pl.DataFrame) -> IntArray:
    missing = [name for name in ("timestamp", *_PRICES) if name not in frame.columns]
    if missing:
        raise SchemaError(f"expected the columns timestamp, open, high, low, close; missing: {missing}")
    kind = frame.schema["timestamp"]
    if not isinstance(kind, pl.Datetime):
        raise SchemaError(f"column timestamp: expected a Datetime in UTC, found {kind}")
    if kind.time_zone != "UTC":
        raise SchemaError(
            f"column timestamp: expected the zone UTC, found {kind.time_zone or 'none'}; a day of variance "
            "is a UTC day, so convert with dt.convert_time_zone('UTC') (or dt.replace_time_zone if the "
            "values are UTC already)"
        )
    empty = np.flatnonzero(frame["timestamp"].is_null().to_numpy())
    if empty.size:
        raise DataError(f"row {empty[0]}: expected a time, found null")
    return frame["timestamp"].dt.cast_time_unit("ns").to_physical().to_numpy().astype(np.int64)


def _prices(frame: pl.DataFrame) -> FloatArray:
    for name in _PRICES:
        if not frame.schema[name].is_numeric():
            raise SchemaError(f"column {name}: expected numbers, found {frame.schema[name]}")
    return np.ascontiguousarray(frame.select(pl.col(_PRICES).cast(pl.Float64)).to_numpy(), dtype=np.float64)


def _check_prices(prices: FloatArray, stamps: IntArray) -> None:
    bad = np.argwhere(~(np.isfinite(prices) & (prices > 0.0)))
    if bad.size:
        row, column = bad[0]
        raise DataError(
            f"row {row} ({format_ns(int(stamps[row]))}): expected a positive {_PRICES[column]}, "
            f"found {prices[row, column]}; drop or replace the bar"
        )
    o, h, low, c = prices.T
    broken = np.flatnonzero((h < np.maximum(o, c)) | (low > np.minimum(o, c)))
    if broken.size:
        row = int(broken[0])
        raise DataError(
            f"row {row} ({format_ns(int(stamps[row]))}): expected low <= open, close <= high, "
            f"found open {o[row]}, high {h[row]}, low {low[row]}, close {c[row]}"
        )


def _sorted(stamps: IntArray, prices: FloatArray, repair: bool) -> tuple[IntArray, FloatArray, int]:
    back = np.flatnonzero(np.diff(stamps) < 0)
    if not back.size:
        return stamps, prices, 0
    if not repair:
        raise DataError(
            f"row {back[0] + 1} ({format_ns(int(stamps[back[0] + 1]))}) lies before row {back[0]} "
            f"({format_ns(int(stamps[back[0]]))}); sort the bars or pass repair=True"
        )
    order = np.argsort(stamps, kind="stable")
    return stamps[order], prices[order], int(back.size)


def _deduplicated(stamps: IntArray, prices: FloatArray, repair: bool) -> tuple[IntArray, FloatArray, int]:
    same = np.flatnonzero(np.diff(stamps) == 0) + 1
    if not same.size:
        return stamps, prices, 0
    differing = same[np.any(prices[same] != prices[same - 1], axis=1)]
    if differing.size:
        raise DataError(
            f"two bars with different prices at {format_ns(int(stamps[differing[0]]))} "
            f"(row {differing[0]} in order of time); decide which one holds"
        )
    if not repair:
        raise DataError(
            f"row {same[0]} repeats the bar of {format_ns(int(stamps[same[0]]))}; drop it or pass repair=True"
        )
    keep = np.ones(stamps.size, dtype=np.bool_)
    keep[same] = False
    return stamps[keep], prices[keep], int(same.size)


def _by_day(
    stamps: IntArray,
    prices: FloatArray,
    interval_ns: int,
    repair: bool,
    max_missing: int,
    wrong: int,
    duplicates: int,
) -> Bars:
    per_day = NS_PER_DAY // interval_ns
    first, last = stamps[0] // NS_PER_DAY, stamps[-1] // NS_PER_DAY
    grid = np.full((int(last - first) + 1, per_day, 4), np.nan)
    row = stamps // NS_PER_DAY - first
    grid[row, (stamps % NS_PER_DAY) // interval_ns] = prices
    missing = np.isnan(grid[:, :, 3]).sum(axis=1)
    # The recording starts and ends where it likes; only holes inside it are faults.
    start = int(missing[0] > 0)
    stop = missing.size - int(missing[-1] > 0)
    dropped = int(sum(per_day - missing[k] for k in {0, missing.size - 1} if missing[k] > 0))
    if stop <= start:
        raise EmptyData(f"expected at least one whole UTC day of {per_day} bars, found {stamps.size} bars")
    grid, missing = grid[start:stop], missing[start:stop]
    limit = max_missing if repair else 0
    worst = np.flatnonzero(missing > limit)
    if worst.size:
        day = int(worst[0])
        hole = int(np.flatnonzero(np.isnan(grid[day, :, 3]))[0])
        when = format_ns(int((first + start + day) * NS_PER_DAY + hole * interval_ns))
        raise GapError(
            f"expected {per_day} bars on the day of {when}, found {per_day - missing[day]}; the first "
            f"hole is there. With repair=True up to {max_missing} a day may be missing; fill the others or "
            "begin after them"
        )
    return Bars(
        day_ns=(np.arange(start, stop) + first) * NS_PER_DAY,
        open=grid[:, :, 0],
        high=grid[:, :, 1],
        low=grid[:, :, 2],
        close=grid[:, :, 3],
        interval_ns=interval_ns,
        repairs=BarRepairs(
            sorted_rows=wrong,
            duplicates_dropped=duplicates,
            missing_bars=int(missing.sum()),
            edge_bars_dropped=dropped,
        ),
    )
