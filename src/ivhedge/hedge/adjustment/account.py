"""The account's margin after any number of trades at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ivhedge.core.instruments import Instrument
from ivhedge.core.types import FloatArray
from ivhedge.hedge.instruments import HedgeMarket
from ivhedge.hedge.margin_guard import ElsewhereMargin, MarginGuard
from ivhedge.ledger.book import Book
from ivhedge.risk.controls import ControlSettings
from ivhedge.risk.legs import Legs, price_legs
from ivhedge.risk.margin import (
    MarginBatch,
    MarginModel,
    positions_from_legs,
    prepare_margin,
    stressed_margin,
    what_if,
)
from ivhedge.surface.base import VolSurface

__all__ = ["MarginRows", "contract_units", "margin_rows", "requirements"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRows:
    """The account's model, and which instruments are its own.

    Parameters
    ----------
    model : MarginModel
    guard : MarginGuard
    rows : tuple of int
        Places of the venue's instruments.
    units : FloatArray
        Units of the underlying per contract of each of them.
    uses : tuple of float
        Limits: of initial margin, then of maintenance after each stress.
    added, lost : FloatArray
        Requirement of other underlyings, and what they lose, to each requirement.
    start : FloatArray
        Requirements of the book without a trade.
    """

    model: MarginModel
    guard: MarginGuard
    rows: tuple[int, ...]
    units: FloatArray
    uses: tuple[float, ...]
    added: FloatArray
    lost: FloatArray
    start: FloatArray


def requirements(
    rows: MarginRows, trades: FloatArray, cost_usd: FloatArray, index: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Requirement and equity after p trades, shape (p, r), and the requirement before, shape (r,)."""
    guard, model = rows.guard, rows.model
    plans = trades[:, rows.rows] * rows.units
    fees = cost_usd / (index if model.currency == model.positions.underlying else 1.0)
    seen = what_if(model, plans, guard.account, fees=fees)
    after: list[MarginBatch] = list(
        stressed_margin(model, guard.stresses, guard.account, plans=plans, fees=fees).values()
    )
    return (
        np.stack([seen.after.initial, *(batch.maintenance for batch in after)], axis=1) + rows.added,
        np.stack([seen.after.equity, *(batch.equity for batch in after)], axis=1) - rows.lost,
        rows.start,
    )


def contract_units(legs: Legs) -> FloatArray:
    """Units of the underlying in one contract, shape (n,)."""
    multiplier = np.array([float(item.multiplier) for item in legs.instruments])
    return np.where(legs.is_inverse & ~legs.is_option, multiplier / legs.forward, multiplier)


def margin_rows(
    book: Book,
    instruments: Sequence[Instrument],
    held: FloatArray,
    surface: VolSurface,
    market: HedgeMarket,
    guard: MarginGuard,
    controls: ControlSettings | None,
) -> MarginRows | None:
    """Set up the guard's account; None where nothing is held or traded at its venue."""
    rows = tuple(i for i, item in enumerate(instruments) if item.venue == guard.venue)
    if not rows:
        return None
    # The guard refuses an old account or surface, and a book whose margin elsewhere it does not know.
    guard.judge(book, surface, market.index, market.ts_ns, (), np.zeros((1, 0)), np.zeros(1))
    elsewhere = guard.elsewhere or ElsewhereMargin()
    given = [(instruments[i], Decimal(repr(float(held[i])))) for i in rows]
    legs = price_legs(given, {surface.underlying: surface}, market.ts_ns, max_age_ns=None)
    positions = positions_from_legs(legs, surface.underlying, market.index, conservative=guard.conservative)
    model = prepare_margin(positions, guard.profile, on=guard.on, conservative=guard.conservative)
    initial, stressed = guard.limits.initial_use, guard.limits.stressed_maintenance_use
    if controls is not None:
        initial = min(initial, controls.initial_margin_use)
        stressed = min(stressed, controls.stressed_margin_use)
    added = np.array([elsewhere.initial, *(elsewhere.stressed_maintenance for _ in guard.stresses)])
    before = what_if(model, np.zeros((1, len(rows))), guard.account).before.initial
    stressed_before = stressed_margin(model, guard.stresses, guard.account).values()
    start = np.array([before[0], *(batch.maintenance[0] for batch in stressed_before)]) + added
    return MarginRows(
        model=model,
        guard=guard,
        rows=rows,
        units=contract_units(legs),
        uses=(initial, *(stressed for _ in guard.stresses)),
        added=added,
        start=start,
        lost=np.array([0.0, *(elsewhere.stressed_loss for _ in guard.stresses)]),
    )
