"""What held instruments are worth at one moment, and why that changed since the last one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ivhedge.core.instruments import Instrument
from ivhedge.core.types import FloatArray, StatusArray
from ivhedge.engine.board import QuoteBoard
from ivhedge.ledger import option_payoff
from ivhedge.pricing import black76_price
from ivhedge.risk import (
    Attribution,
    MarkStatus,
    OptionMarks,
    attribute_futures,
    attribute_options,
    mark_options,
)
from ivhedge.surface.base import VolSurface

__all__ = ["LegMark", "attribute_legs", "mark_legs", "settled_mark"]

# The ledger takes no price of 0, which mostly means a missing one; an option far from the money before its
# expiry can be worth less than a float can tell.
_LEAST_PRICE = 1e-15


@dataclass(frozen=True, slots=True)
class LegMark:
    """Mark of one instrument.

    Parameters
    ----------
    price : float
        In the instrument's price unit, as the ledger gets it.
    forward, vol, tau : float
        USD, decimal, years; NaN for futures, and where there is none.
    status : int
        `ivhedge.risk.attribution.MarkStatus`.
    from_surface : bool
        Whether the price comes from the surface because the record has no mark.
    """

    price: float
    forward: float
    vol: float
    tau: float
    status: int
    from_surface: bool = False


def mark_legs(instruments: Sequence[Instrument], board: QuoteBoard) -> dict[str, LegMark]:
    """Mark instruments at the venue's mark, at the surface where there is none.

    Parameters
    ----------
    instruments : sequence of Instrument
        None of them expired.
    board : QuoteBoard

    Returns
    -------
    dict of instrument key to LegMark
    """
    futures = {i.key: _mark_future(i, board) for i in instruments if not i.is_option}
    options = [i for i in instruments if i.is_option]
    return futures | _mark_options(options, board)


def _mark_future(instrument: Instrument, board: QuoteBoard) -> LegMark:
    row = board.rows.get(instrument.key)
    if row is not None and row.mark is not None:
        return LegMark(row.mark, np.nan, np.nan, np.nan, MarkStatus.OK)
    tau = 0.0 if instrument.expiry_ns is None else instrument.tau(board.ts_ns)
    price = float(board.surfaces[instrument.underlying].forward(tau))
    return LegMark(price, np.nan, np.nan, np.nan, MarkStatus.OK, from_surface=True)


def _mark_options(options: Sequence[Instrument], board: QuoteBoard) -> dict[str, LegMark]:
    if not options:
        return {}
    strike = np.array([float(o.strike or 0) for o in options])
    is_call = np.array([bool(o.is_call) for o in options])
    is_coin = np.array([o.is_inverse for o in options])
    tau = np.array([o.tau(board.ts_ns) for o in options])
    forward, surface_vol = _from_surface(options, strike, tau, board)
    rows = [board.rows.get(o.key) for o in options]
    own = np.array([np.nan if r is None or r.forward is None else r.forward for r in rows])
    forward = np.where(np.isfinite(own), own, forward)
    fair_usd = black76_price(forward, strike, tau, surface_vol, is_call)
    fair = np.where(is_coin, fair_usd / forward, fair_usd)
    recorded = np.array([np.nan if r is None or r.mark is None else r.mark for r in rows])
    missing = ~np.isfinite(recorded)
    # Ten significant digits: what the ledger gets as a Decimal is the very number that is attributed.
    price = np.array([float(f"{max(p, _LEAST_PRICE):.10g}") for p in np.where(missing, fair, recorded)])
    marks = mark_options(price, forward, strike, tau, is_call, is_coin, surface_vol)
    return {
        o.key: LegMark(
            price=float(marks.price[i]),
            forward=float(marks.forward[i]),
            vol=float(marks.vol[i]),
            tau=float(marks.tau[i]),
            status=int(marks.status[i]),
            from_surface=bool(missing[i]),
        )
        for i, o in enumerate(options)
    }


def _from_surface(
    options: Sequence[Instrument], strike: FloatArray, tau: FloatArray, board: QuoteBoard
) -> tuple[FloatArray, FloatArray]:
    forward, vol = np.empty(len(options)), np.empty(len(options))
    names = np.array([o.underlying for o in options])
    for name in sorted(set(names.tolist())):
        rows = np.flatnonzero(names == name)
        surface: VolSurface = board.surfaces[name]
        forward[rows] = surface.forward(tau[rows])
        vol[rows] = surface.implied_vol(np.log(strike[rows] / forward[rows]), tau[rows])
    return forward, vol


def settled_mark(instrument: Instrument, settlement_price: Decimal) -> LegMark:
    """Mark of a contract at its expiry: the payoff of an option, the settlement price of a future."""
    if not instrument.is_option:
        return LegMark(float(settlement_price), np.nan, np.nan, np.nan, MarkStatus.OK)
    payoff = float(option_payoff(instrument, settlement_price))
    return LegMark(payoff, float(settlement_price), np.nan, 0.0, MarkStatus.EXPIRED)


def attribute_legs(
    positions: Sequence[tuple[Instrument, Decimal]],
    start: Mapping[str, LegMark],
    end: Mapping[str, LegMark],
) -> list[tuple[Instrument, dict[str, float]]]:
    """Attribute the value change of positions held from one mark to the next.

    Parameters
    ----------
    positions : sequence of (instrument, contracts)
    start, end : mapping of instrument key to LegMark

    Returns
    -------
    list of (instrument, terms)
        Terms in the instrument's settlement currency, with their `total`.
    """
    options = [(i, q) for i, q in positions if i.is_option]
    futures = [(i, q) for i, q in positions if not i.is_option]
    found: list[tuple[Instrument, dict[str, float]]] = []
    if options:
        found += _terms(options, _attribute_options(options, start, end))
    if futures:
        done = attribute_futures(
            [start[i.key].price for i, _ in futures],
            [end[i.key].price for i, _ in futures],
            size=[float(q * i.multiplier) for i, q in futures],
            is_inverse=[i.is_inverse for i, _ in futures],
        )
        found += _terms(futures, done)
    return found


def _attribute_options(
    options: Sequence[tuple[Instrument, Decimal]],
    start: Mapping[str, LegMark],
    end: Mapping[str, LegMark],
) -> Attribution:
    instruments = [i for i, _ in options]
    return attribute_options(
        _stack(instruments, start),
        _stack(instruments, end),
        strike=[float(i.strike or 0) for i in instruments],
        is_call=[bool(i.is_call) for i in instruments],
        is_coin=[i.is_inverse for i in instruments],
        size=[float(q * i.multiplier) for i, q in options],
    )


def _stack(instruments: Sequence[Instrument], marks: Mapping[str, LegMark]) -> OptionMarks:
    chosen = [marks[i.key] for i in instruments]
    status: StatusArray = np.array([m.status for m in chosen], dtype=np.uint8)
    return OptionMarks(
        price=np.array([m.price for m in chosen]),
        forward=np.array([m.forward for m in chosen]),
        vol=np.array([m.vol for m in chosen]),
        tau=np.array([m.tau for m in chosen]),
        status=status,
    )


def _terms(
    positions: Sequence[tuple[Instrument, Decimal]], done: Attribution
) -> list[tuple[Instrument, dict[str, float]]]:
    names = ("delta", "gamma", "theta", "vega", "vanna", "volga", "residual", "total")
    columns = {name: getattr(done, name) for name in names}
    return [
        (instrument, {name: float(column[row]) for name, column in columns.items()})
        for row, (instrument, _) in enumerate(positions)
    ]
