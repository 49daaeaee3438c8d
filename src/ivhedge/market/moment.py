"""The check that a table holds one underlying at one time."""

import polars as pl

from ivhedge.core.errors import DataError, EmptyData
from ivhedge.core.units import format_ns
from ivhedge.market.arrays import nanoseconds

__all__ = ["single_moment"]


def single_moment(chain: pl.DataFrame) -> tuple[int, str]:
    """Time (nanoseconds, UTC) and underlying that all rows of a chain share.

    Raises
    ------
    EmptyData
        If there are no rows.
    DataError
        If there are several times or underlyings.
    """
    if chain.is_empty():
        raise EmptyData("expected option quotes of one underlying at one time, found no rows")
    times, coins = chain["ts"], chain["underlying"]
    if times.n_unique() > 1 or coins.n_unique() > 1:
        first = format_ns(int(times.dt.epoch("ns").sort()[0]))
        raise DataError(
            f"expected one time and one underlying, found {times.n_unique()} times from {first} and "
            f"{coins.unique().sort().to_list()}; iterate over ivhedge.market.snapshots"
        )
    return int(nanoseconds(times[:1])[0]), str(coins[0])
