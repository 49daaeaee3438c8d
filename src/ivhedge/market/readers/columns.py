"""Small pieces that every reader uses to build rows in the project's schemas."""

from collections.abc import Mapping

import polars as pl

from ivhedge.market.schemas import CHAIN_SCHEMA, FUTURES_SCHEMA

__all__ = ["chain_frame", "futures_frame", "utc_ns"]


def utc_ns(name: str) -> pl.Expr:
    """Read a time column as nanoseconds UTC."""
    return pl.col(name).cast(pl.Datetime("ns", "UTC"))


def _select(
    frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], columns: Mapping[str, pl.Expr]
) -> pl.LazyFrame:
    return frame.select(
        columns.get(name, pl.lit(None)).cast(dtype, strict=True).alias(name) for name, dtype in schema.items()
    )


def chain_frame(frame: pl.LazyFrame, **columns: pl.Expr) -> pl.LazyFrame:
    """Build rows in `CHAIN_SCHEMA`; a column that is not given is unknown, hence null."""
    return _select(frame, CHAIN_SCHEMA, columns)


def futures_frame(frame: pl.LazyFrame, **columns: pl.Expr) -> pl.LazyFrame:
    """Build rows in `FUTURES_SCHEMA`; a column that is not given is unknown, hence null."""
    return _select(frame, FUTURES_SCHEMA, columns)
