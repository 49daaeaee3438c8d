"""Small chains and files that the market tests build on."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ivhedge.market import CHAIN_SCHEMA, FUTURES_SCHEMA
from ivhedge.pricing import black76_price

TS = datetime(2026, 1, 5, 12, tzinfo=UTC)
EXPIRY = datetime(2026, 3, 27, 8, tzinfo=UTC)

ChainMaker = Callable[..., pl.DataFrame]


def _chain(
    *,
    venue: str = "deribit",
    underlying: str = "BTC",
    settlement: str = "coin",
    ts: datetime = TS,
    expiry: datetime = EXPIRY,
    forward: float = 90_000.0,
    vol: float = 0.5,
    half_spread: float = 0.01,
    strikes: Sequence[float] = (70e3, 80e3, 85e3, 90e3, 95e3, 100e3, 110e3),
) -> pl.DataFrame:
    """Calls and puts at one flat vol, quoted `half_spread` of their price around it."""
    strike = np.repeat(np.asarray(strikes, dtype=float), 2)
    is_call = np.tile([False, True], len(strikes))
    tau = (expiry - ts).total_seconds() / (365 * 86_400)
    price = black76_price(forward, strike, tau, vol, is_call)
    price = price / forward if settlement == "coin" else price
    day = f"{expiry.day}{expiry:%b%y}".upper()
    names = [f"{underlying}-{day}-{k:.0f}-{'C' if c else 'P'}" for k, c in zip(strike, is_call, strict=True)]
    columns: dict[str, object] = {
        "ts": [ts] * strike.size,
        "venue": [venue] * strike.size,
        "underlying": [underlying] * strike.size,
        "instrument_name": names,
        "expiry": [expiry] * strike.size,
        "strike": strike,
        "is_call": is_call,
        "settlement": [settlement] * strike.size,
        "bid": price * (1 - half_spread),
        "ask": price * (1 + half_spread),
        "bid_size": [1.0] * strike.size,
        "ask_size": [2.0] * strike.size,
        "mark": price,
        "mark_iv": [vol] * strike.size,
        "forward": [forward] * strike.size,
        "index": [forward - 100.0] * strike.size,
        "open_interest": [5.0] * strike.size,
    }
    table = pl.DataFrame(columns).with_columns(ts_event=pl.col("ts"), ts_recv=pl.col("ts"))
    return table.select(pl.col(name).cast(dtype) for name, dtype in CHAIN_SCHEMA.items())


@pytest.fixture(scope="session")
def make_chain() -> ChainMaker:
    """A maker of flat-vol chains in `CHAIN_SCHEMA`."""
    return _chain


@pytest.fixture
def make_future() -> ChainMaker:
    """A maker of one row in `FUTURES_SCHEMA`."""

    def make(**columns: object) -> pl.DataFrame:
        row: dict[str, object] = dict.fromkeys(FUTURES_SCHEMA)
        row |= {"ts": TS, "venue": "deribit", "underlying": "BTC", "instrument_name": "BTC-27MAR26"}
        row |= {"kind": "future", "expiry": EXPIRY, "settlement": "coin", "ts_event": TS}
        return pl.DataFrame([row | columns], schema=FUTURES_SCHEMA)

    return make


@pytest.fixture
def deribit_file(tmp_path: Path, make_chain: ChainMaker) -> Path:
    """Two snapshots in the layout of the recorded Deribit chains."""
    rows = [make_chain(ts=datetime(2026, 1, day, 12, tzinfo=UTC)) for day in (5, 6)]
    table = pl.concat(rows).select(
        pl.col("ts").cast(pl.Datetime("us", "UTC")).alias("timestamp"),
        "instrument_name",
        pl.col("forward").alias("underlying_price"),
        "is_call",
        "strike",
        pl.col("expiry").cast(pl.Datetime("us", "UTC")),
        pl.col("bid").alias("bid_price"),
        pl.col("ask").alias("ask_price"),
        pl.col("mark").alias("mark_price"),
        "mark_iv",
        "open_interest",
        pl.col("index").alias("index_price"),
    )
    path = tmp_path / "BTC" / "2026-01.parquet"
    path.parent.mkdir()
    table.write_parquet(path)
    return path
