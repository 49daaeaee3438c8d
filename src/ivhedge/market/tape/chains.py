"""A tape made of recorded option chains."""

import polars as pl

from ivhedge.core.errors import DataError, EmptyData
from ivhedge.market.schemas import CHAIN_SCHEMA, conform
from ivhedge.market.tape.tape import INSTRUMENT_SCHEMA, MESSAGE_SCHEMA, Tape

__all__ = ["tape_from_chains"]


def tape_from_chains(chains: pl.DataFrame) -> Tape:
    """Turn each row of recorded chains into one message at its own time.

    Parameters
    ----------
    chains : pl.DataFrame
        In `CHAIN_SCHEMA`, one underlying, any number of venues and snapshots.

    Returns
    -------
    Tape
        Received at `ts_recv`, else `ts_event`, else `ts`; numbered from 1 per venue in that order. Rows of
        one instant keep their order. A row without expiry, strike, side or settlement leaves its instrument
        unlisted.

    Raises
    ------
    SchemaError
        If a column is missing.
    EmptyData
        If there are no rows.
    DataError
        If there are several underlyings, rows without a time or venue, or one name of a venue stands for two
        contracts.

    Notes
    -----
    Where a recording has no `ts_event`, all rows of a snapshot arrive at one instant. `forward` and `index`
    are those recorded with the row: in polled chains they may be younger than the quote's last change.
    """
    table = conform(chains, CHAIN_SCHEMA, source="chains")
    if table.is_empty():
        raise EmptyData("expected chain rows to make a tape of, found none; widen the window or filter")
    coins = table["underlying"].unique().sort().to_list()
    if len(coins) != 1 or coins[0] is None:
        raise DataError(f"expected one underlying, found {coins}; choose one")
    rows = table.with_columns(ts_recv=pl.coalesce("ts_recv", "ts_event", "ts")).sort(
        "ts_recv", maintain_order=True
    )
    whole = rows.drop_nulls(list(INSTRUMENT_SCHEMA)).filter(
        pl.col("settlement").is_in(["coin", "usd"]) & pl.col("strike").is_finite() & (pl.col("strike") > 0.0)
    )
    listed = whole.select(list(INSTRUMENT_SCHEMA)).unique(maintain_order=True)
    listed = listed.sort("venue", "expiry", "strike", "is_call", "instrument_name")
    messages = rows.with_columns(seq=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("venue"))
    return Tape(underlying=coins[0], instruments=listed, messages=messages.select(list(MESSAGE_SCHEMA)))
