"""Collecting the columns of many small blocks into a few typed tables."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from ivhedge.market.simulator.futures import PERPETUAL_EXPIRY

__all__ = [
    "CHAIN_ORDER",
    "LABEL_SCHEMA",
    "SETTLEMENT_SCHEMA",
    "STATE_SCHEMA",
    "TRUTH_SCHEMA",
    "VENUE_SCHEMA",
    "TableBuilder",
]

_TIME = pl.Datetime("ns", "UTC")
_KEYS: dict[str, pl.DataType] = {"ts": _TIME, "underlying": pl.String()}

TRUTH_SCHEMA: dict[str, pl.DataType] = {
    **_KEYS,
    "expiry": _TIME,
    "strike": pl.Float64(),
    "tau": pl.Float64(),  # years
    "true_forward": pl.Float64(),  # USD
    "true_iv": pl.Float64(),  # null where the out-of-the-money price is below 1e-11 of the forward
    "true_atm_iv": pl.Float64(),
    "true_price": pl.Float64(),  # USD, out-of-the-money option: put below the forward, else call
    "true_call": pl.Float64(),  # USD
    "true_put": pl.Float64(),  # USD
}
STATE_SCHEMA: dict[str, pl.DataType] = {
    **_KEYS,
    "spot": pl.Float64(),
    "variance": pl.Float64(),  # diffusive, per year
    "short_carry": pl.Float64(),  # per year
    "premium": pl.Float64(),  # perpetual over index, fraction
}
SETTLEMENT_SCHEMA: dict[str, pl.DataType] = {**_KEYS, "settlement_price": pl.Float64()}
VENUE_SCHEMA: dict[str, pl.DataType] = {
    "ts": _TIME,
    "venue": pl.String(),
    "status": pl.String(),  # live | frozen | absent
    "level_bias": pl.Float64(),  # vol
    "slope_bias": pl.Float64(),  # vol per standard deviation of log-moneyness
    "index_basis": pl.Float64(),  # fraction
}
LABEL_SCHEMA: dict[str, pl.DataType] = {
    "ts": _TIME,
    "venue": pl.String(),
    "underlying": pl.String(),
    "instrument_name": pl.String(),
    "state_ts": _TIME,  # time of the state that the quote was made in
    "is_stale": pl.Boolean(),
    "is_outlier": pl.Boolean(),
}
CHAIN_ORDER = ("ts", "underlying", "venue", "expiry", "strike", "is_call")


class TableBuilder:
    """Blocks of columns that become one table."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        self._schema = dict(schema)
        self._blocks: dict[str, list[np.ndarray]] = {name: [] for name in schema}

    def add(self, columns: Mapping[str, np.ndarray], **constants: str | float | bool) -> None:
        """Add a block; constants are repeated on each of its rows, other columns are ignored."""
        height = next(iter(columns.values())).shape[0]
        for name, blocks in self._blocks.items():
            if name in constants:
                value = constants[name]
                kind = object if isinstance(value, str) else None
                blocks.append(np.full(height, value, dtype=kind))
            else:
                blocks.append(columns[name])

    def build(self) -> pl.DataFrame:
        """Make the table; NaN becomes null."""
        return pl.DataFrame([self._series(name, dtype) for name, dtype in self._schema.items()])

    def _series(self, name: str, dtype: pl.DataType) -> pl.Series:
        blocks = self._blocks[name]
        if not blocks:
            return pl.Series(name, [], dtype=dtype)
        values = np.concatenate(blocks)
        if isinstance(dtype, pl.String):
            return pl.Series(name, values.tolist(), dtype=dtype)
        if isinstance(dtype, pl.Datetime):
            times = pl.Series(name, values.astype(np.int64))
            return times.replace(PERPETUAL_EXPIRY, None).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
        series = pl.Series(name, values).cast(dtype)
        return series.fill_nan(None) if isinstance(dtype, pl.Float64) else series
