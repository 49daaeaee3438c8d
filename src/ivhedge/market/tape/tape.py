"""What a tape holds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ivhedge.core.errors import DataError, EmptyData
from ivhedge.market.schemas import conform
from ivhedge.market.tape.sequence import SequenceCounts, SequenceWatch

__all__ = ["INSTRUMENT_SCHEMA", "MESSAGE_SCHEMA", "Tape", "check_listed"]

_TIME = pl.Datetime("ns", "UTC")

MESSAGE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "seq": pl.Int64(),  # the venue's (or recorder's) running number, per venue; null = not numbered
    "ts_recv": _TIME,  # receipt on the recorder's clock; never null
    "ts_event": _TIME,  # the venue's time; null = unknown
    "venue": pl.String(),
    "instrument_name": pl.String(),
    "bid": pl.Float64(),  # coin or USD as the instrument is quoted; null = no bid
    "ask": pl.Float64(),
    "bid_size": pl.Float64(),  # contracts; null = unknown
    "ask_size": pl.Float64(),
    "forward": pl.Float64(),  # USD, the venue's own at that instant; null = unknown
    "index": pl.Float64(),  # USD; null = unknown
}

INSTRUMENT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "venue": pl.String(),
    "instrument_name": pl.String(),
    "expiry": _TIME,
    "strike": pl.Float64(),  # USD
    "is_call": pl.Boolean(),
    "settlement": pl.String(),  # coin | usd
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """Messages of one underlying in the order of their receipt.

    Parameters
    ----------
    underlying : str
    instruments : pl.DataFrame
        In `INSTRUMENT_SCHEMA`, one row per venue and name.
    messages : pl.DataFrame
        In `MESSAGE_SCHEMA`. Rows stand in the order of receipt; what they say is not judged here: NaN,
        crossed and repeated messages, and those of instruments not listed, are kept for the stream to judge.

    Raises
    ------
    SchemaError
        If a column is missing or has another type.
    DataError
        If a message has no time of receipt or no venue, or an instrument is listed twice or incompletely.
    EmptyData
        If there are no messages.
    """

    underlying: str
    instruments: pl.DataFrame
    messages: pl.DataFrame

    def __post_init__(self) -> None:
        if not self.underlying:
            raise DataError("expected the name of an underlying, found ''; name it")
        listed = conform(self.instruments, INSTRUMENT_SCHEMA, source="tape instruments")
        rows = conform(self.messages, MESSAGE_SCHEMA, source="tape messages")
        check_listed(listed)
        if rows.is_empty():
            raise EmptyData("expected messages on the tape, found none; record again or widen the window")
        for name in ("ts_recv", "venue"):
            if rows[name].null_count():
                raise DataError(
                    f"expected {name} in every message, found {rows[name].null_count()} of {rows.height} "
                    "without; the recorder stamps both"
                )
        object.__setattr__(self, "instruments", listed)
        object.__setattr__(self, "messages", rows)

    def __len__(self) -> int:
        return self.messages.height

    @property
    def venues(self) -> tuple[str, ...]:
        """Venues that are listed or sent something, in the order of their names."""
        both = pl.concat([self.instruments["venue"], self.messages["venue"]])
        return tuple(both.unique().sort().to_list())

    @property
    def span_ns(self) -> tuple[int, int]:
        """Earliest and latest time of receipt, nanoseconds since the epoch."""
        times = self.messages["ts_recv"].dt.epoch("ns").to_numpy()
        return int(times.min()), int(times.max())

    def gaps(self) -> dict[str, SequenceCounts]:
        """What each venue's message numbers say."""
        numbers = self.messages.select("venue", pl.col("seq").fill_null(-1))
        found = {}
        for venue in self.venues:
            watch = SequenceWatch()
            seq = numbers.filter(pl.col("venue") == venue)["seq"].to_numpy()
            watch.take(np.asarray(seq, dtype=np.int64))
            found[venue] = watch.counts
        return found


def check_listed(listed: pl.DataFrame) -> None:
    """Refuse a listing with holes, bad strikes or settlements, or one name of a venue for two contracts."""
    good_strike = pl.col("strike").is_finite() & (pl.col("strike") > 0.0)
    holes = listed.filter(pl.any_horizontal(pl.all().is_null()) | ~good_strike)
    if not holes.is_empty():
        raise DataError(
            f"expected complete instruments with positive strikes, found {holes.height} others, the first "
            f"{holes['instrument_name'][0]!r}; leave it out: its messages count as unknown"
        )
    kinds = listed["settlement"].unique().to_list()
    if not set(kinds) <= {"coin", "usd"}:
        raise DataError(f"expected settlement coin or usd, found {sorted(kinds)}")
    twice = listed.filter(pl.struct("venue", "instrument_name").is_duplicated())
    if not twice.is_empty():
        raise DataError(
            f"expected each instrument of a venue once, found {twice['instrument_name'][0]!r} of "
            f"{twice['venue'][0]!r} twice; list it once"
        )
