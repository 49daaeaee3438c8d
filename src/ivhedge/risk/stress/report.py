"""What stresses do to a book: per leg, venue, underlying and in total."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ivhedge.core.errors import ConfigError, EmptyData
from ivhedge.risk.legs import LegStatus
from ivhedge.risk.stress.definitions import Stress

__all__ = ["StressReport", "StressResult"]

_GROUPS = ("underlying", "venue", "currency", "instrument", "status")
_VALUED = (LegStatus.OK.value, LegStatus.CONSERVATIVE.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StressResult:
    """One stress on one book.

    Parameters
    ----------
    stress : Stress
    legs : pl.DataFrame
        One row per leg: instrument, venue, underlying, currency (of settlement), status, spot_shock,
        vol_before, vol_after, value_before_usd, pnl_usd, pnl_coin (of ``V / F``), delta_after_usd (in coins),
        exit_cost_usd; null where the leg has no price, `exit_cost_usd` where the stress asks for none.
    collateral : pl.DataFrame
        One row per currency: currency, amount, value_before_usd, pnl_usd.
    lost_usd : float
        What a venue owes and does not pay, at least 0.
    lost_venue : str or None
        The venue out of reach.
    indices_after : mapping of underlying to float
        Shocked index, USD.
    """

    stress: Stress
    legs: pl.DataFrame
    collateral: pl.DataFrame
    lost_usd: float
    lost_venue: str | None
    indices_after: Mapping[str, float]

    @property
    def unpriced(self) -> tuple[tuple[str, str], ...]:
        """Legs that not even a conservative mark can price, with their status."""
        rows = self.legs.filter(~pl.col("status").is_in(_VALUED))
        return tuple((row[0], row[1]) for row in rows.select("instrument", "status").iter_rows())

    @property
    def conservative(self) -> tuple[str, ...]:
        """Legs on a conservative mark."""
        return tuple(self.legs.filter(pl.col("status") == LegStatus.CONSERVATIVE.value)["instrument"])

    @property
    def legs_usd(self) -> float:
        """P&L of the priced legs, USD."""
        return float(self.legs["pnl_usd"].sum())

    @property
    def collateral_usd(self) -> float:
        """P&L of the collateral, USD."""
        return float(self.collateral["pnl_usd"].sum())

    @property
    def exit_cost_usd(self) -> float:
        """Cost of closing every position, USD, at least 0."""
        return float(self.legs["exit_cost_usd"].sum())

    @property
    def pnl_usd(self) -> float:
        """P&L of everything that is priced, USD; see `unpriced`."""
        return self.legs_usd + self.collateral_usd - self.exit_cost_usd - self.lost_usd

    @property
    def equity_before_usd(self) -> float | None:
        """Collateral and option values, USD; None if a leg has no price."""
        if self.unpriced:
            return None
        return float(self.legs["value_before_usd"].sum()) + float(self.collateral["value_before_usd"].sum())

    @property
    def equity_after_usd(self) -> float | None:
        """Equity after the stress, USD; None if a leg has no price."""
        before = self.equity_before_usd
        return None if before is None else before + self.pnl_usd

    @property
    def equity_after_coin(self) -> dict[str, float | None]:
        """The whole equity after the stress counted in each coin, at its shocked index."""
        after = self.equity_after_usd
        return {name: None if after is None else after / price for name, price in self.indices_after.items()}

    def unreachable(self) -> pl.DataFrame:
        """What cannot be traded while the venue is out of reach, after the move, per underlying.

        Columns: underlying, delta_after_usd, gross_delta_after (coins), n_legs; no rows without a venue.
        """
        mine = self.legs.filter(pl.col("venue").eq_missing(pl.lit(self.lost_venue, dtype=pl.String)))
        delta = pl.col("delta_after_usd")
        gross = delta.abs().sum().alias("gross_delta_after")
        return (
            mine.group_by("underlying").agg(delta.sum(), gross, pl.len().alias("n_legs")).sort("underlying")
        )

    def by(self, *columns: str) -> pl.DataFrame:
        """Sum over legs that share `columns`, of underlying, venue, currency, instrument, status.

        Coins of different kinds do not add up: `pnl_coin` makes sense within an underlying only.

        Raises
        ------
        ConfigError
            If a column is none of these.
        """
        wrong = [name for name in columns if name not in _GROUPS]
        if wrong or not columns:
            raise ConfigError(f"expected columns of {_GROUPS}, found {list(columns)}")
        sums = [pl.col(name).sum() for name in ("value_before_usd", "pnl_usd", "exit_cost_usd")]
        if "underlying" in columns or "instrument" in columns:
            sums.insert(2, pl.col("pnl_coin").sum())
        unpriced = (~pl.col("status").is_in(_VALUED)).sum().alias("unpriced")
        return self.legs.group_by(columns).agg(*sums, pl.len().alias("n_legs"), unpriced).sort(columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class StressReport:
    """All stresses of a catalogue on one book.

    Parameters
    ----------
    book : str
    ts_ns : int
    as_of : date
        Of the catalogue.
    results : tuple of StressResult
        In the catalogue's order.
    """

    book: str
    ts_ns: int
    as_of: dt.date
    results: tuple[StressResult, ...]

    def __getitem__(self, name: str) -> StressResult:
        for result in self.results:
            if result.stress.name == name:
                return result
        raise ConfigError(f"expected a stress of {[r.stress.name for r in self.results]}, found {name!r}")

    @property
    def worst(self) -> StressResult:
        """The result with the largest loss.

        Raises
        ------
        EmptyData
            If there is no result.
        """
        if not self.results:
            raise EmptyData("expected at least one stress, found none; load a catalogue")
        return min(self.results, key=lambda result: result.pnl_usd)

    def table(self) -> pl.DataFrame:
        """One row per stress: name, kind, date, the parts of the P&L, equity, counts of marks."""
        rows = [
            {
                "name": r.stress.name,
                "title": r.stress.title,
                "kind": r.stress.kind.value,
                "date": r.stress.date,
                "pnl_usd": r.pnl_usd,
                "legs_usd": r.legs_usd,
                "collateral_usd": r.collateral_usd,
                "exit_cost_usd": r.exit_cost_usd,
                "lost_usd": r.lost_usd,
                "lost_venue": r.lost_venue,
                "equity_before_usd": r.equity_before_usd,
                "equity_after_usd": r.equity_after_usd,
                "unpriced": len(r.unpriced),
                "conservative": len(r.conservative),
            }
            for r in self.results
        ]
        kinds: dict[str, type[pl.DataType]] = {
            "date": pl.Date,
            "lost_venue": pl.String,
            "equity_before_usd": pl.Float64,
            "equity_after_usd": pl.Float64,
        }
        return pl.DataFrame(rows, schema_overrides=kinds)
