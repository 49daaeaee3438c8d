"""Settlement prices for a replay, each with its source.

A venue settles at the time-weighted average of its index over the last 30 minutes before expiry. Records
rarely hold it, so a replay takes the best of what it has, in this order, and says which it took:

1. a table of settlement prices;
2. hourly bars: the last half hour of the bar that ends at the expiry lies between the bar's middle and
   its close, hence ``0.25 · open + 0.75 · close`` on a straight path;
3. the index of the snapshots around the expiry, interpolated in its logarithm.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ivhedge.core.errors import ConfigError, DataError, MissingPrice, SchemaError
from ivhedge.core.units import NS_PER_HOUR, format_ns

__all__ = ["SettlementPrices"]

_FAR = 1.25
"""Beyond the snapshots around an expiry by this factor a price is not the coin's; they may be hours apart."""


@dataclass(frozen=True, slots=True)
class SettlementPrices:
    """Known settlement prices, and the rule for the others.

    Parameters
    ----------
    known : mapping of (underlying, expiry_ns) to USD
    source : str
        Where the known prices come from, for the report.
    """

    known: Mapping[tuple[str, int], float] = field(default_factory=dict)
    source: str = "none"

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> "SettlementPrices":
        """Take the columns ts, underlying and settlement_price of a table."""
        rows = table.select(pl.col("ts").dt.epoch("ns"), "underlying", "settlement_price").iter_rows()
        return cls({(coin, ts): price for ts, coin, price in rows}, "settlement prices of the record")

    @classmethod
    def from_bars(cls, path: Path, underlying: str) -> "SettlementPrices":
        """Derive settlement prices from hourly bars stamped at their open.

        Raises
        ------
        ConfigError
            If the file does not exist.
        SchemaError
            If it lacks the columns timestamp, open and close.
        """
        if not path.is_file():
            raise ConfigError(f"expected a parquet file of hourly bars, found nothing at {path}")
        try:
            bars = pl.read_parquet(path, columns=["timestamp", "open", "close"])
        except (pl.exceptions.PolarsError, OSError) as exc:
            raise SchemaError(f"{path}: expected hourly bars with timestamp, open, close: {exc}") from exc
        rows = bars.select(
            pl.col("timestamp").dt.epoch("ns") + NS_PER_HOUR, 0.25 * pl.col("open") + 0.75 * pl.col("close")
        ).iter_rows()
        return cls({(underlying, end): price for end, price in rows}, f"hourly bars ({path.name})")

    def price(
        self, underlying: str, expiry_ns: int, before: tuple[int, float], after: tuple[int, float]
    ) -> tuple[float, str]:
        """Settlement price of an expiry and its source.

        Parameters
        ----------
        underlying : str
        expiry_ns : int
        before, after : (ns, index in USD)
            The snapshots around the expiry.

        Raises
        ------
        MissingPrice
            If the snapshots do not enclose the expiry and no price is known, or the known one is no price.
        DataError
            If a known price is far from the indices around the expiry: another coin's, most likely.
        """
        known = self.known.get((underlying, expiry_ns))
        if known is not None:
            if not (math.isfinite(known) and known > 0.0):
                raise MissingPrice(
                    f"settlement price of {underlying} at {format_ns(expiry_ns)}: expected a positive price, "
                    f"found {known} in {self.source}; mend that row or leave it out"
                )
            self._check(underlying, expiry_ns, known, before, after)
            return known, self.source
        (start, low), (end, high) = before, after
        if not start <= expiry_ns <= end or low <= 0 or high <= 0:
            raise MissingPrice(
                f"no settlement price for {underlying} at {format_ns(expiry_ns)}: expected a price in the "
                "table or bars, or snapshots around the expiry; give settlement_bars"
            )
        share = (expiry_ns - start) / (end - start) if end > start else 0.0
        return math.exp((1 - share) * math.log(low) + share * math.log(high)), "index between snapshots"

    def _check(
        self,
        underlying: str,
        expiry_ns: int,
        known: float,
        before: tuple[int, float],
        after: tuple[int, float],
    ) -> None:
        """Refuse a price that the coin did not have: a wrong file must not settle options."""
        around = [price for _, price in (before, after) if price > 0.0]
        if around and not min(around) / _FAR <= known <= max(around) * _FAR:
            raise DataError(
                f"settlement price of {underlying} at {format_ns(expiry_ns)}: expected a price near the "
                f"index of {around[0]:g} to {around[-1]:g} around it, found {known:g} in {self.source}; pass "
                "the prices of that coin"
            )
