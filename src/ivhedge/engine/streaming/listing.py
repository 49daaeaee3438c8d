"""Names of a feed turned into positions in a universe."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from ivhedge.core.errors import DataError, EmptyData
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.market.schemas import conform
from ivhedge.market.tape import INSTRUMENT_SCHEMA, MESSAGE_SCHEMA, Tape
from ivhedge.surface.stream import QuoteColumns, Universe

__all__ = ["FeedBatch", "Listing"]

_CONTRACT = ("expiry", "strike", "is_call", "settlement")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedBatch:
    """Messages in the order of their receipt.

    Parameters
    ----------
    quotes : QuoteColumns
        Positions as in `Listing.universe`; -1 for what is not listed.
    seq : IntArray, shape (n,), optional
        Message numbers per venue; negative where a message has none.
    now_ns : int, optional
        Own clock: all that was received up to then is in. Lets a quiet feed publish.
    due_ns : int, optional
        When the batch was due on the clock passed to `play`.

    Raises
    ------
    DataError
        If the numbers are not as many as the quotes.
    """

    quotes: QuoteColumns
    seq: IntArray | None = None
    now_ns: int | None = None
    due_ns: int | None = None

    def __post_init__(self) -> None:
        if self.seq is not None and self.seq.shape != (len(self.quotes),):
            raise DataError(f"expected {len(self.quotes)} message numbers, found shape {self.seq.shape}")

    def part(self, first: int, last: int) -> "FeedBatch":
        """Rows from `first` to before `last`."""
        columns = {f.name: getattr(self.quotes, f.name)[first:last] for f in fields(QuoteColumns)}
        seq = None if self.seq is None else self.seq[first:last]
        return FeedBatch(quotes=QuoteColumns(**columns), seq=seq, due_ns=self.due_ns)


class Listing:
    """Contracts and venues of one underlying, by name and by position.

    Parameters
    ----------
    underlying : str
    instruments : pl.DataFrame
        In `INSTRUMENT_SCHEMA`. The same contract at several venues is one position.
    venues : tuple of str, optional
        Default: those of the instruments.

    Raises
    ------
    EmptyData
        If nothing is listed.
    """

    def __init__(
        self, underlying: str, instruments: pl.DataFrame, venues: tuple[str, ...] | None = None
    ) -> None:
        listed = conform(instruments, INSTRUMENT_SCHEMA, source="listing")
        if listed.is_empty():
            raise EmptyData("expected instruments, found none listed; record the listing with the messages")
        self.underlying = underlying
        contracts = listed.select(_CONTRACT).unique().sort(_CONTRACT)
        names = venues if venues is not None else tuple(listed["venue"].unique().sort().to_list())
        self.universe = Universe(
            venues=names,
            strike=contracts["strike"].to_numpy(),
            expiry_ns=contracts["expiry"].dt.epoch("ns").to_numpy(),
            is_call=contracts["is_call"].cast(pl.Int64).to_numpy(),
            in_coin=(contracts["settlement"] == "coin").cast(pl.Int64).to_numpy(),
        )
        places = contracts.with_row_index("instrument")
        self._instruments = listed.join(places, on=_CONTRACT, how="left").select(
            "venue", "instrument_name", pl.col("instrument").cast(pl.Int64)
        )
        self._venues = _positions(names)

    @classmethod
    def of_tape(cls, tape: Tape) -> "Listing":
        """All that a tape lists."""
        return cls(tape.underlying, tape.instruments, tape.venues)

    @classmethod
    def of_universe(cls, underlying: str, universe: Universe) -> "Listing":
        """A universe whose quotes come as positions; `batch` knows no names of it."""
        found = cls.__new__(cls)
        found.underlying, found.universe = underlying, universe
        found._instruments = pl.DataFrame(
            schema={"venue": pl.String(), "instrument_name": pl.String(), "instrument": pl.Int64()}
        )
        found._venues = _positions(universe.venues)
        return found

    def batch(self, messages: pl.DataFrame, *, now_ns: int | None = None) -> FeedBatch:
        """Messages in `MESSAGE_SCHEMA` as positions and numbers.

        Null prices become 0 (no side), null sizes and forwards NaN (unknown), a null time of the venue
        becomes the time of receipt.
        """
        rows = conform(messages, MESSAGE_SCHEMA, source="messages")
        placed = rows.join(
            self._instruments, on=("venue", "instrument_name"), how="left", maintain_order="left"
        ).join(self._venues, on="venue", how="left", maintain_order="left")

        def whole(name: str, fill: int) -> IntArray:
            return np.asarray(placed[name].fill_null(fill).to_numpy(), dtype=np.int64)

        def times(name: str) -> IntArray:
            filled = pl.coalesce(name, "ts_recv").dt.epoch("ns")
            return np.asarray(placed.select(filled).to_series().to_numpy(), dtype=np.int64)

        def number(name: str, fill: float) -> FloatArray:
            return np.asarray(placed[name].fill_null(fill).to_numpy())

        return FeedBatch(
            quotes=QuoteColumns(
                venue=whole("position", -1),
                instrument=whole("instrument", -1),
                bid=number("bid", 0.0),
                ask=number("ask", 0.0),
                bid_size=number("bid_size", np.nan),
                ask_size=number("ask_size", np.nan),
                ts_event=times("ts_event"),
                ts_recv=times("ts_recv"),
                forward=number("forward", np.nan),
            ),
            seq=whole("seq", -1),
            now_ns=now_ns,
        )

    def batches(self, tape: Tape, rows: int = 100_000) -> Iterator[FeedBatch]:
        """A tape's messages, some at a time."""
        for part in tape.messages.iter_slices(rows):
            yield self.batch(part)


def _positions(venues: tuple[str, ...]) -> pl.DataFrame:
    frame = pl.DataFrame({"venue": list(venues)}, schema={"venue": pl.String()})
    return frame.with_columns(position=pl.int_range(pl.len(), dtype=pl.Int64))
