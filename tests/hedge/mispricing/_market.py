"""A small market of fair quotes, and quotes moved on purpose."""

from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
import polars as pl

from ivhedge.core.units import NS_PER_YEAR, to_ns
from ivhedge.hedge import CostModel
from ivhedge.ledger import load_fees
from ivhedge.market import CHAIN_SCHEMA, FUTURES_SCHEMA, MarketSnapshot
from ivhedge.pricing import black76_price

NOW = to_ns(datetime(2026, 1, 5, 12, tzinfo=UTC))
INDEX = 90_000.0
VENUES = ("aurora", "borealis", "cirrus", "dune", "ember", "deribit")
COSTS = CostModel(fees={venue: load_fees(venue) for venue in VENUES})
NEAR, FAR = "16JAN26", "30JAN26"
_DAYS = {NEAR: datetime(2026, 1, 16, 8, tzinfo=UTC), FAR: datetime(2026, 1, 30, 8, tzinfo=UTC)}
STRIKES = (80_000, 85_000, 90_000, 95_000, 100_000)


def expiry_ns(label: str) -> int:
    """Nanoseconds of an expiry."""
    return to_ns(_DAYS[label])


def smile(strike: np.ndarray, forward: float) -> np.ndarray:
    """A vol without arbitrage."""
    k = np.log(strike / forward)
    return np.asarray(0.5 + 0.1 * np.sqrt(k**2 + 0.01) - 0.05 * k)


def chain(
    venues: Iterable[str], *, half: float = 0.004, strikes: Iterable[int] = STRIKES, carry: float = 0.05
) -> pl.DataFrame:
    """Quotes at the fair vol less and plus `half`, off the tick grid's wrong side; sizes of 5 contracts."""
    rows = []
    for venue in venues:
        coin = venue in ("aurora", "borealis", "deribit")
        for label, expiry in _DAYS.items():
            tau = (to_ns(expiry) - NOW) / NS_PER_YEAR
            forward = INDEX * np.exp(carry * tau)
            for strike in strikes:
                for is_call in (True, False):
                    vol = float(smile(np.array(float(strike)), forward))
                    bid, ask = (
                        float(black76_price(forward, strike, tau, vol + s * half, is_call))
                        / (forward if coin else 1.0)
                        for s in (-1.0, 1.0)
                    )
                    tick = 0.0005 if coin else 5.0
                    name = f"BTC-{label}-{strike}-{'C' if is_call else 'P'}"
                    rows.append(
                        {"ts": NOW, "venue": venue, "underlying": "BTC", "instrument_name": name,
                         "expiry": to_ns(expiry), "strike": float(strike), "is_call": is_call,
                         "settlement": "coin" if coin else "usd", "bid": np.floor(bid / tick) * tick,
                         "ask": np.ceil(ask / tick) * tick, "bid_size": 5.0, "ask_size": 5.0,
                         "forward": forward, "index": INDEX, "ts_event": NOW, "ts_recv": NOW}
                    )  # fmt: skip
    return _typed(pl.DataFrame(rows), CHAIN_SCHEMA)


def futures(venues: Iterable[str], *, carry: float = 0.05, half: float = 1e-4) -> pl.DataFrame:
    """A future to each expiry."""
    rows = []
    for venue in venues:
        coin = venue in ("aurora", "borealis", "deribit")
        for label, expiry in _DAYS.items():
            forward = INDEX * np.exp(carry * (to_ns(expiry) - NOW) / NS_PER_YEAR)
            rows.append(
                {"ts": NOW, "venue": venue, "underlying": "BTC", "instrument_name": f"BTC-{label}",
                 "kind": "future", "expiry": to_ns(expiry), "settlement": "coin" if coin else "usd",
                 "bid": round(forward * (1 - half)), "ask": round(forward * (1 + half)), "bid_size": 1e5,
                 "ask_size": 1e5, "index": INDEX, "ts_event": NOW, "ts_recv": NOW}
            )  # fmt: skip
    return _typed(pl.DataFrame(rows), FUTURES_SCHEMA)


def snapshot(chains: pl.DataFrame, dated: pl.DataFrame | None = None) -> MarketSnapshot:
    """One look."""
    empty = pl.DataFrame(schema=FUTURES_SCHEMA)
    return MarketSnapshot(
        ts_ns=NOW, underlying="BTC", index=INDEX, chain=chains, futures=empty if dated is None else dated
    )


def moved(chains: pl.DataFrame, venue: str, name: str, **columns: float | None) -> pl.DataFrame:
    """One row with other values."""
    here = (pl.col("venue") == venue) & (pl.col("instrument_name") == name)
    assert chains.filter(here).height == 1, name
    return chains.with_columns(
        pl.when(here).then(pl.lit(value, dtype=chains.schema[column])).otherwise(pl.col(column)).alias(column)
        for column, value in columns.items()
    )


def price(chains: pl.DataFrame, venue: str, name: str, side: str) -> float:
    """A quoted price."""
    return float(chains.filter((pl.col("venue") == venue) & (pl.col("instrument_name") == name))[side].item())


def _typed(table: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    columns = []
    for name, kind in schema.items():
        column = pl.col(name) if name in table.columns else pl.lit(None).alias(name)
        if isinstance(kind, pl.Datetime) and name in table.columns:
            column = pl.from_epoch(name, "ns").dt.replace_time_zone("UTC")
        columns.append(column.cast(kind))
    return table.select(columns)
