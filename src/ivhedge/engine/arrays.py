"""A delta policy over arrays of quote events: tens of millions of events a second, exact money.

For questions about when to rebalance, where the surface may be held: options are marked at given vols, the
hedge is a linear perpetual, and a look is taken only when spot has moved, time has run, a vol has changed or
an option has expired. The full replay (`ivhedge.engine.replay`) is the judge of everything else.
"""

from dataclasses import dataclass
from decimal import Decimal
from math import inf

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import NS_PER_YEAR
from ivhedge.engine._arrays_kernel import FEE_SCALE, replay_kernel, replay_twin
from ivhedge.pricing import black76_price
from ivhedge.pricing.jit import jit_available

__all__ = ["ArrayReplay", "DeltaRule", "HeldOptions", "QuoteEvents", "replay_arrays"]

_LARGEST = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteEvents:
    """Quotes of a linear perpetual in whole ticks.

    Parameters
    ----------
    ts_ns : IntArray, shape (n,)
        Never falling.
    bid, ask : IntArray, shape (n,)
        In ticks, int32 or int64; 0 < bid <= ask.
    tick, lot : Decimal
        USD per coin, and coin; a position is a whole number of lots.

    Raises
    ------
    DataError
        If the arrays do not fit each other, or an event is impossible; the first is named.
    """

    ts_ns: IntArray
    bid: IntArray
    ask: IntArray
    tick: Decimal
    lot: Decimal

    def __post_init__(self) -> None:
        if not self.ts_ns.shape == self.bid.shape == self.ask.shape or self.ts_ns.ndim != 1:
            raise DataError("expected times, bids and asks of one length, found others")
        if self.ts_ns.size == 0:
            raise DataError("expected quote events, found none")
        if not all(array.dtype.kind == "i" for array in (self.ts_ns, self.bid, self.ask)):
            raise DataError("expected whole nanoseconds and whole ticks; divide prices by the tick and round")
        if self.tick <= 0 or self.lot <= 0:
            raise DataError(f"expected a positive tick and lot, found {self.tick} and {self.lot}")
        for wrong, what in (
            (np.diff(self.ts_ns) < 0, "times that do not fall"),
            (self.bid <= 0, "bids above 0"),
            (self.ask < self.bid, "asks at or above the bid"),
        ):
            if wrong.any():
                raise DataError(
                    f"expected {what}, found another at event {int(np.argmax(wrong))}; clean first"
                )

    @classmethod
    def from_prices(
        cls, ts_ns: IntArray, bid: FloatArray, ask: FloatArray, *, tick: Decimal, lot: Decimal
    ) -> "QuoteEvents":
        """Turn prices in USD into whole ticks, each to the nearest.

        Raises
        ------
        DataError
            If a price is not finite, or as the constructor.
        """
        if not (np.isfinite(bid).all() and np.isfinite(ask).all()):
            raise DataError("expected finite bids and asks, found others; drop one-sided events first")
        whole = [np.rint(side / float(tick)).astype(np.int64) for side in (bid, ask)]
        return cls(ts_ns=np.asarray(ts_ns, dtype=np.int64), bid=whole[0], ask=whole[1], tick=tick, lot=lot)

    @property
    def unit(self) -> Decimal:
        """USD of one unit of money: half a tick on one lot."""
        return self.tick * self.lot / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOptions:
    """Options held throughout, settled in USD at the mid of the first event at or after their expiry.

    Parameters
    ----------
    strike : IntArray, shape (k,)
        In ticks.
    expiry_ns : IntArray, shape (k,)
    is_call : BoolArray, shape (k,)
    lots : IntArray, shape (k,)
        Signed coin amount in the perpetual's lots.
    vol_ts_ns : IntArray, shape (m,)
        When each row of vols comes into force, rising; the first no later than the first event.
    vols : FloatArray, shape (m, k)
        Decimals, positive.
    """

    strike: IntArray
    expiry_ns: IntArray
    is_call: np.ndarray
    lots: IntArray
    vol_ts_ns: IntArray
    vols: FloatArray

    def __post_init__(self) -> None:
        legs = {array.shape for array in (self.strike, self.expiry_ns, self.is_call, self.lots)}
        expected = (self.vol_ts_ns.size, self.strike.size)
        if len(legs) != 1 or self.vols.shape != expected or not self.vol_ts_ns.size:
            raise DataError(f"expected one entry per option and vols of shape {expected}, found others")
        if (self.strike <= 0).any() or not (np.isfinite(self.vols) & (self.vols > 0.0)).all():
            raise DataError(
                "expected positive strikes in ticks and positive finite vols; mend or drop the option"
            )
        if (np.diff(self.vol_ts_ns) <= 0).any():
            raise DataError("expected rising times of the vols; sort them and keep the last of each")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaRule:
    """When to look at the delta, and what to do then.

    Parameters
    ----------
    move : float
        Look when the mid has moved by this share since the last look.
    interval_ns : int or None
        Look after this long; None = never for time alone.
    band : float
        Coin; trade when the net delta is outside.
    to_edge : bool
        Trade to the edge of the band instead of to zero.
    premium_adjusted : bool
        Hedge the delta net of the premium (profit counted in coin).
    fee_rate : Decimal
        Share of the notional; a multiple of 1e-7.
    """

    move: float
    interval_ns: int | None = None
    band: float = 0.0
    to_edge: bool = False
    premium_adjusted: bool = False
    fee_rate: Decimal = Decimal("0.0005")

    def __post_init__(self) -> None:
        if not 0.0 < self.move < 1.0 or not 0.0 <= self.band < inf:
            raise ConfigError(
                f"expected move in (0, 1) and a finite band of at least 0, found {self.move}, {self.band}; "
                "take a large band to never trade"
            )
        if self.interval_ns is not None and self.interval_ns <= 0:
            raise ConfigError(f"expected interval_ns > 0 or None, found {self.interval_ns}")
        if self.fee_rate < 0 or self.fee_rate * FEE_SCALE % 1 != 0:
            raise ConfigError(f"expected a fee rate of whole 1e-7, 0 or more, found {self.fee_rate}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayReplay:
    """What the hedge did. Money is in whole units of `unit` USD; costs are positive when paid.

    Parameters
    ----------
    trade_at, trade_lots : IntArray
        Event and signed size of each trade.
    n_events, n_looks : int
    cash, fees, slippage, payoffs : int
        Cash of the perpetual's trades net of fees; slippage against the mid; settlements of the options.
    position : int
        Final lots.
    equity : int
        Cash, payoffs and the position at the last mid.
    unit : Decimal
        USD.
    option_value_usd : tuple of float
        Black-76 value of the options alive at the first and at the last event, at their vols.
    """

    trade_at: IntArray
    trade_lots: IntArray
    n_events: int
    n_looks: int
    cash: int
    fees: int
    slippage: int
    payoffs: int
    position: int
    equity: int
    unit: Decimal
    option_value_usd: tuple[float, float]

    @property
    def pnl_usd(self) -> float:
        """Profit of options and hedge together."""
        first, last = self.option_value_usd
        return float(self.equity * self.unit) + last - first


def replay_arrays(
    events: QuoteEvents, options: HeldOptions, rule: DeltaRule, *, compiled: bool | None = None
) -> ArrayReplay:
    """Hedge options with a perpetual over quote events.

    Parameters
    ----------
    events : QuoteEvents
    options : HeldOptions
    rule : DeltaRule
    compiled : bool, optional
        False takes the numpy twin; default: the compiled loop where there is a compiler.

    Returns
    -------
    ArrayReplay

    Raises
    ------
    DataError
        If the vols start after the first event, or an option expired before it.
    ConfigError
        If sizes are so large that money would not fit into 64 bits.

    Notes
    -----
    The forward is the mid of the perpetual. The delta is Black-76 at the strike's vol. Buys at the ask, sells
    at the bid, of any size; fees are rounded up to the unit.
    """
    if options.vol_ts_ns[0] > events.ts_ns[0]:
        raise DataError("expected vols from the first event on, found the first ones after it")
    if (options.expiry_ns <= events.ts_ns[0]).any():
        raise DataError("expected options that live at the first event, found an expired one; drop it")
    fee = int(rule.fee_rate * FEE_SCALE)
    # Twice the options' coin is the most that one trade can turn over.
    held = sum(abs(lots) for lots in options.lots.tolist())
    most = 2 * (held + 1) * 2 * int(events.ask.max())
    _require_room(most * max(fee, 1))
    _require_room(2 * held * (int(events.ask.max()) + max(options.strike.tolist(), default=0)))
    loop = replay_kernel if (jit_available() if compiled is None else compiled) else replay_twin
    at = np.empty(events.ts_ns.size, dtype=np.int64)
    size = np.empty(events.ts_ns.size, dtype=np.int64)
    trades, looks, *money, position = loop(
        events.ts_ns,
        events.bid,
        events.ask,
        options.strike.astype(np.int64),
        options.expiry_ns.astype(np.int64),
        options.is_call.astype(np.int64),
        options.lots.astype(np.int64),
        options.vol_ts_ns.astype(np.int64),
        np.ascontiguousarray(options.vols, dtype=np.float64),
        float(events.tick),
        float(events.lot),
        rule.interval_ns or 0,
        rule.move,
        rule.band,
        rule.to_edge,
        rule.premium_adjusted,
        fee,
        at,
        size,
    )
    cash, fees, slippage, payoffs = (int(value) for value in money)
    at, size = at[:trades].copy(), size[:trades].copy()
    # Every sum is below the turnover, so one that fits leaves all of them exact.
    _require_room(float(np.sum(2.0 * np.abs(size) * events.ask[at].astype(float))))
    last_mid = int(events.bid[-1]) + int(events.ask[-1])
    return ArrayReplay(
        trade_at=at,
        trade_lots=size,
        n_events=events.ts_ns.size,
        n_looks=int(looks),
        cash=cash,
        fees=fees,
        slippage=slippage,
        payoffs=payoffs,
        position=int(position),
        equity=cash + payoffs + int(position) * last_mid,
        unit=events.unit,
        option_value_usd=(_value(events, options, 0), _value(events, options, -1)),
    )


def _require_room(units: float) -> None:
    if units > _LARGEST:
        raise ConfigError(
            f"expected money that fits into 64 bits, found up to {units:.3g} units; take larger lots or ticks"
        )


def _value(events: QuoteEvents, options: HeldOptions, place: int) -> float:
    now = int(events.ts_ns[place])
    alive = options.expiry_ns > now
    row = int(np.searchsorted(options.vol_ts_ns, now, side="right")) - 1
    tick = float(events.tick)
    forward = np.full(int(alive.sum()), 0.5 * tick * (int(events.bid[place]) + int(events.ask[place])))
    price = black76_price(
        forward,
        options.strike[alive] * tick,
        (options.expiry_ns[alive] - now) / NS_PER_YEAR,
        options.vols[row, alive],
        options.is_call[alive].astype(bool),
    )
    return float(np.sum(price * options.lots[alive])) * float(events.lot)
