"""Slippage added up by venue, kind and size, with intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import polars as pl

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.types import FloatArray
from ivhedge.hedge.slippage.causes import PlannedTrade, RealisedTrade, Slippage, slippage

__all__ = ["SlippageRecord", "slippage_table"]

_GROUPS = ("venue", "kind", "size")
_CAUSES = ("spread", "impact", "delay", "unfilled", "fee")
_SIZES = ("small", "usual", "large")
_EDGES = (1.0 / 3.0, 3.0)
"""A trade against the median of its venue and kind."""
_FEWEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageRecord:
    """One planned trade, what became of it, and the quote that it was planned at.

    Parameters
    ----------
    ts_ns : int
        Of the decision.
    venue : str
    kind : InstrumentKind
    plan : PlannedTrade
    trade : RealisedTrade
    half_spread : float
        Of the quote at the decision, in the instrument's price unit; above 0.

    Raises
    ------
    DataError
        If the half-spread is not positive, or as `ivhedge.hedge.slippage.slippage`.
    """

    ts_ns: int
    venue: str
    kind: InstrumentKind
    plan: PlannedTrade
    trade: RealisedTrade
    half_spread: float

    def __post_init__(self) -> None:
        if not (isfinite(self.half_spread) and self.half_spread > 0.0):
            raise DataError(f"expected half_spread above 0, found {self.half_spread}")
        slippage(self.plan, self.trade)

    @property
    def causes(self) -> Slippage:
        """Cost by cause, settlement currency."""
        return slippage(self.plan, self.trade)

    @property
    def unit(self) -> float:
        """Cost of one half-spread on the whole plan, settlement currency: what causes are measured in."""
        per_price = self.plan.multiplier / (self.plan.mid**2 if self.plan.inverse else 1.0)
        return abs(self.plan.contracts) * per_price * self.half_spread


def slippage_table(
    records: Iterable[SlippageRecord],
    by: Sequence[str] = ("venue", "kind"),
    *,
    rng: np.random.Generator,
    block: int = 10,
    resamples: int = 1000,
    level: float = 0.9,
) -> pl.DataFrame:
    """Add slippages up by cell, in half-spreads of the quotes that trades were planned at.

    Parameters
    ----------
    records : iterable of SlippageRecord
        In any order; nothing is left out.
    by : sequence of str
        Of venue, kind and size (small, usual, large: below a third of, around, and above three times the
        median trade of the venue and kind).
    rng : numpy.random.Generator
    block, resamples, level
        Of the moving block bootstrap over trades in the order of time.

    Returns
    -------
    pl.DataFrame
        The groups; trades, unfilled_trades (nothing filled), partial_trades; filled_share (of contracts); the
        mean of each cause, `realised`, `planned`, `excess` with excess_low and excess_high, excess_median and
        excess_worst; `known`: whether there are 20 trades or more, below which the interval is null.

    Raises
    ------
    ConfigError
        If a group is unknown, or the bootstrap's settings are out of range.
    """
    if not by or any(name not in _GROUPS for name in by):
        raise ConfigError(f"expected groups of {_GROUPS}, found {list(by)}")
    if block < 1 or resamples < 100 or not 0.0 < level < 1.0:
        raise ConfigError(
            f"expected block >= 1, resamples >= 100 and level in (0, 1), found {block}, {resamples}, {level}"
        )
    ordered = sorted(records, key=lambda record: record.ts_ns)
    sizes = _sizes(ordered)
    cells: dict[tuple[str, ...], list[int]] = {}
    for place, record in enumerate(ordered):
        labels = {"venue": record.venue, "kind": record.kind.value, "size": sizes[place]}
        cells.setdefault(tuple(labels[name] for name in by), []).append(place)
    rows = [
        dict(zip(by, key, strict=True))
        | _cell([ordered[place] for place in cells[key]], rng, block, resamples, level)
        for key in sorted(cells)
    ]
    return pl.DataFrame(rows, schema_overrides={"excess_low": pl.Float64, "excess_high": pl.Float64})


def _sizes(records: Sequence[SlippageRecord]) -> list[str]:
    amounts: dict[tuple[str, str], list[float]] = {}
    for record in records:
        amounts.setdefault((record.venue, record.kind.value), []).append(abs(record.plan.contracts))
    medians = {key: float(np.median(values)) for key, values in amounts.items()}
    shares = [abs(r.plan.contracts) / medians[r.venue, r.kind.value] for r in records]
    return [_SIZES[int(np.searchsorted(_EDGES, share))] for share in shares]


def _cell(
    records: Sequence[SlippageRecord], rng: np.random.Generator, block: int, resamples: int, level: float
) -> dict[str, float | int | bool | None]:
    table = np.array([[getattr(r.causes, name) / r.unit for name in (*_CAUSES, "planned")] for r in records])
    excess = table[:, : len(_CAUSES)].sum(axis=1) - table[:, -1]
    filled = np.array([abs(r.trade.contracts) for r in records])
    whole = np.array([abs(r.plan.contracts) for r in records])
    known = len(records) >= _FEWEST
    low, high = _interval(excess, rng, min(block, len(records)), resamples, level) if known else (None, None)
    means = dict(zip((*_CAUSES, "planned"), table.mean(axis=0).tolist(), strict=True))
    return {
        "trades": len(records),
        "unfilled_trades": int((filled == 0.0).sum()),
        "partial_trades": int(((filled > 0.0) & (filled < whole)).sum()),
        "filled_share": float(filled.sum() / whole.sum()),
        **{name: means[name] for name in _CAUSES},
        "realised": float(table[:, : len(_CAUSES)].sum(axis=1).mean()),
        "planned": means["planned"],
        "excess": float(excess.mean()),
        "excess_low": low,
        "excess_high": high,
        "excess_median": float(np.median(excess)),
        "excess_worst": float(excess.max()),
        "known": known,
    }


def _interval(
    values: FloatArray, rng: np.random.Generator, block: int, resamples: int, level: float
) -> tuple[float, float]:
    count = values.size
    starts = rng.integers(0, count - block + 1, size=(resamples, -(-count // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :count]
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(values[rows].mean(axis=1), (tail, 1.0 - tail))
    return float(low), float(high)
