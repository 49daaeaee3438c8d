"""All quotes of one moment by instrument key: what an account marks and trades at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from ivhedge.core.instruments import Instrument, InstrumentKind
from ivhedge.hedge.costs import Quote
from ivhedge.market.instruments import instrument_from_name, instruments_of
from ivhedge.market.schemas import FUTURES_SCHEMA
from ivhedge.market.snapshot import MarketSnapshot
from ivhedge.surface.base import VolSurface

__all__ = ["BoardRow", "QuoteBoard", "with_perpetual"]


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One instrument's quote; None = missing. `forward` is the venue's own, USD; None for futures."""

    bid: float | None
    ask: float | None
    mark: float | None
    bid_size: float | None
    ask_size: float | None
    forward: float | None
    funding_8h: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteBoard:
    """Quotes, indices and surfaces of every underlying at one time.

    Parameters
    ----------
    ts_ns : int
    snapshots : mapping of underlying to MarketSnapshot
    surfaces : mapping of underlying to VolSurface
    rows : mapping of instrument key to BoardRow
    """

    ts_ns: int
    snapshots: Mapping[str, MarketSnapshot]
    surfaces: Mapping[str, VolSurface]
    rows: Mapping[str, BoardRow] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshots: Iterable[MarketSnapshot], surfaces: Mapping[str, VolSurface]) -> "QuoteBoard":
        """Index the quotes of snapshots taken at one time."""
        by_underlying = {snapshot.underlying: snapshot for snapshot in snapshots}
        rows: dict[str, BoardRow] = {}
        for snapshot in by_underlying.values():
            rows.update(_rows(snapshot.chain, "forward", None))
            rows.update(_rows(snapshot.futures, None, "funding_8h"))
        ts_ns = next(iter(by_underlying.values())).ts_ns
        return cls(ts_ns=ts_ns, snapshots=by_underlying, surfaces=surfaces, rows=rows)

    def index(self, underlying: str) -> float:
        """Index price of an underlying, USD."""
        return self.snapshots[underlying].index

    def quote(self, instrument: Instrument) -> Quote:
        """Quote of an instrument for the cost model; empty when it is not on the board."""
        row = self.rows.get(instrument.key)
        index = self.index(instrument.underlying)
        if row is None:
            return Quote(index=index)
        return Quote(
            bid=row.bid,
            ask=row.ask,
            mark=row.mark,
            bid_size=row.bid_size,
            ask_size=row.ask_size,
            index=index,
        )

    def options(self, underlying: str, venue: str) -> tuple[Instrument, ...]:
        """Options of a venue that have both sides and have not expired."""
        chain = self.snapshots[underlying].chain.filter(
            (pl.col("venue") == venue)
            & (pl.col("bid") > 0)
            & (pl.col("ask") >= pl.col("bid"))
            & (pl.col("expiry") > pl.col("ts"))
        )
        return tuple(instruments_of(chain).values())

    def futures(self, underlying: str, venue: str) -> tuple[Instrument, ...]:
        """Futures and perpetuals of a venue that have a mark or both sides and have not expired."""
        table = self.snapshots[underlying].futures.filter(pl.col("venue") == venue)
        found = []
        for name in table["instrument_name"].unique(maintain_order=True).to_list():
            row = self.rows[f"{venue}:{name}"]
            if row.mark is None and (row.bid is None or row.ask is None):
                continue
            item = instrument_from_name(venue, name, underlying=underlying)
            if item.expiry_ns is None or item.expiry_ns > self.ts_ns:
                found.append(item)
        return tuple(found)


def _rows(table: pl.DataFrame, forward: str | None, funding: str | None) -> dict[str, BoardRow]:
    columns = [
        pl.concat_str("venue", pl.lit(":"), "instrument_name"),
        *(pl.col(name).fill_nan(None) for name in ("bid", "ask", "mark", "bid_size", "ask_size")),
        pl.col(forward).fill_nan(None) if forward else pl.lit(None).alias("forward"),
        pl.col(funding).fill_nan(None) if funding else pl.lit(None).alias("funding"),
    ]
    return {key: BoardRow(*values) for key, *values in table.select(columns).iter_rows()}


def with_perpetual(snapshot: MarketSnapshot, venue: str) -> tuple[MarketSnapshot, bool]:
    """Make sure that a venue's perpetual is in the snapshot, at the index where the record has none.

    Returns
    -------
    MarketSnapshot
    bool
        Whether a perpetual was made up from the index.
    """
    name = f"{snapshot.underlying}-PERPETUAL"
    futures = snapshot.futures
    if not futures.filter((pl.col("venue") == venue) & (pl.col("kind") == "perpetual")).is_empty():
        return snapshot, False
    perpetual = instrument_from_name(venue, name, underlying=snapshot.underlying)
    row = dict.fromkeys(FUTURES_SCHEMA) | {
        "ts": snapshot.chain["ts"][0],
        "venue": venue,
        "underlying": snapshot.underlying,
        "instrument_name": name,
        "kind": InstrumentKind.PERPETUAL.value,
        "settlement": perpetual.settlement.value,
        "mark": snapshot.index,
        "index": snapshot.index,
    }
    added = pl.concat([futures, pl.DataFrame([row], schema=FUTURES_SCHEMA)])
    return (
        MarketSnapshot(
            ts_ns=snapshot.ts_ns,
            underlying=snapshot.underlying,
            index=snapshot.index,
            chain=snapshot.chain,
            futures=added,
        ),
        True,
    )
