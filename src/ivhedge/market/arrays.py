"""Columns as arrays: what the numeric stages take out of a table, by the cheapest way polars has."""

from typing import Final

import numpy as np
import polars as pl

from ivhedge.core.types import FloatArray, IntArray

__all__ = ["floats", "median", "nanoseconds"]

_TIME: Final = pl.Datetime("ns", "UTC")


def floats(column: pl.Series) -> FloatArray:
    """Float64 values of a column; null becomes NaN."""
    return column.cast(pl.Float64).to_numpy()


def median(values: FloatArray) -> float:
    """Median of a few finite values; `numpy.median` takes ten times as long for them."""
    ordered = np.sort(values)
    return float(0.5 * (ordered[(ordered.size - 1) // 2] + ordered[ordered.size // 2]))


def nanoseconds(column: pl.Series) -> IntArray:
    """Times of a column without nulls, int64 nanoseconds since the epoch, UTC."""
    return column.cast(_TIME).cast(pl.Int64).to_numpy()
