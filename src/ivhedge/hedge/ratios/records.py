"""History of an adaptive ratio: each change of its parameters with its time and its reason."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import polars as pl

from ivhedge.core.units import format_ns

__all__ = ["Recalibration", "RecalibrationReason", "records_frame", "records_json"]


class RecalibrationReason(StrEnum):
    """Why parameters changed."""

    OPENED = "opened"
    """A bucket left Black-Scholes: its evidence suffices."""
    CLOSED = "closed"
    """A bucket went back to Black-Scholes: its evidence is gone."""
    MOVED = "moved"
    """An estimate left the published one by more than the tolerance."""
    AGED = "aged"
    """The published parameters reached their greatest age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibration:
    """One change.

    Parameters
    ----------
    ts_ns : int
        When the new parameters came into force.
    reason : RecalibrationReason
    level, standard_error : float
        Slope pooled over buckets and underlyings, before shrinkage, and its error; in β of a 30-day option at
        the forward.
    shrinkage : float
        Share of the level that is kept, 0 = Black-Scholes everywhere.
    effective_steps : float
    open_buckets : int
        Buckets that leave Black-Scholes.
    factors : tuple of float
        Published slope of each bucket.
    """

    ts_ns: int
    reason: RecalibrationReason
    level: float
    standard_error: float
    shrinkage: float
    effective_steps: float
    open_buckets: int
    factors: tuple[float, ...]


def records_frame(records: Sequence[Recalibration]) -> pl.DataFrame:
    """One row per change, `factors` as a list; empty with the same columns without records."""
    schema: dict[str, type[pl.DataType] | pl.DataType] = {
        "ts": pl.Int64,
        "reason": pl.String,
        "level": pl.Float64,
        "standard_error": pl.Float64,
        "shrinkage": pl.Float64,
        "effective_steps": pl.Float64,
        "open_buckets": pl.Int64,
        "factors": pl.List(pl.Float64),
    }
    rows = [
        (
            r.ts_ns,
            r.reason.value,
            r.level,
            r.standard_error,
            r.shrinkage,
            r.effective_steps,
            r.open_buckets,
            list(r.factors),
        )
        for r in records
    ]
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.from_epoch("ts", time_unit="ns").dt.replace_time_zone("UTC")
    )


def records_json(records: Sequence[Recalibration]) -> str:
    """The same as JSON, times in UTC beside their nanoseconds."""
    return json.dumps([{"time": format_ns(r.ts_ns), **asdict(r)} for r in records])
