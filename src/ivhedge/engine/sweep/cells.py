"""The steps of all variants of one book in one market, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivhedge.core.errors import DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.engine.sweep.plan import PlannedRun
from ivhedge.engine.sweep.spec import SweepSpec
from ivhedge.engine.sweep.work import Record

__all__ = ["Cell", "cells_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Variants of one book in one market, over periods that all of them were run in.

    Parameters
    ----------
    market, book : str
    variants : tuple of str
        Those with a finished run in every period; the first is the baseline if it is among them.
    periods : tuple of str
        In the order of time.
    lengths : tuple of int
        Steps of each period.
    ts_ns : IntArray, shape (steps,)
    pnl, cost : FloatArray, shape (variants, steps)
        USD.
    left_out : tuple of str
        Variants that lack a finished run in a period.
    """

    market: str
    book: str
    variants: tuple[str, ...]
    periods: tuple[str, ...]
    lengths: tuple[int, ...]
    ts_ns: IntArray
    pnl: FloatArray
    cost: FloatArray
    left_out: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Book and market in words."""
        return f"{self.book} · {self.market}"

    def span(self, first: int, last: int) -> slice:
        """Steps of the periods from number `first` up to, without, number `last`."""
        edges = np.concatenate([[0], np.cumsum(self.lengths)])
        return slice(int(edges[first]), int(edges[last]))


def cells_of(spec: SweepSpec, runs: Sequence[PlannedRun], records: Mapping[str, Record]) -> tuple[Cell, ...]:
    """Arrange finished runs by market and book.

    A variant that failed, or was excluded, in one period of a cell is left out of the cell and named: over
    other periods its figures would not compare.

    Raises
    ------
    DataError
        If variants of one period were stepped at different times.
    """
    found = []
    for market in spec.markets:
        for book in spec.books:
            mine = [run for run in runs if run.market == market and run.book == book.name]
            cell = _cell(spec, mine, records)
            if cell is not None:
                found.append(cell)
    return tuple(found)


def _cell(spec: SweepSpec, runs: Sequence[PlannedRun], records: Mapping[str, Record]) -> Cell | None:
    by_place = {
        (run.variant, run.period): _steps(record)
        for run in runs
        if (record := records.get(run.id)) is not None and record["status"] == "done"
    }
    periods = tuple(dict.fromkeys(run.period for run in runs))
    asked = tuple(dict.fromkeys(run.variant for run in runs))
    whole = [name for name in asked if all((name, period) in by_place for period in periods)]
    if not whole:
        return None
    whole.sort(key=lambda name: name != spec.baseline)
    rows = [[by_place[(name, period)] for period in periods] for name in whole]
    times = [steps["ts_ns"] for steps in rows[0]]
    for name, row in zip(whole, rows, strict=True):
        for place, steps in enumerate(row):
            if not np.array_equal(times[place], steps["ts_ns"]):
                raise DataError(
                    f"{runs[0].market}, {periods[place]}: expected all variants at the same times, found "
                    f"others for {name}; empty the folder and run the sweep again"
                )
    return Cell(
        market=runs[0].market,
        book=runs[0].book,
        variants=tuple(whole),
        periods=periods,
        lengths=tuple(time.size for time in times),
        ts_ns=np.concatenate(times),
        pnl=_stacked(rows, "pnl_usd"),
        cost=_stacked(rows, "cost_usd"),
        left_out=tuple(name for name in asked if name not in whole),
    )


def _steps(record: Record) -> dict[str, Any]:
    steps = record["steps"]
    if not isinstance(steps, dict):
        raise DataError(f"run {record['id']}: expected steps in its record, found none; remove the file")
    kinds = {"ts_ns": np.int64, "pnl_usd": np.float64, "cost_usd": np.float64}
    return {name: np.array(steps[name], dtype=kind) for name, kind in kinds.items()}


def _stacked(rows: Sequence[Sequence[dict[str, Any]]], name: str) -> FloatArray:
    return np.array([np.concatenate([steps[name] for steps in row]) for row in rows])
