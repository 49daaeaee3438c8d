"""One policy's account through time: it settles, pays funding, marks, attributes and trades.

All money goes through the ledger. The rows collected here only retell what the ledger did, and every step
is compared with it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from ivhedge.core.errors import LedgerError
from ivhedge.core.instruments import Instrument
from ivhedge.core.money import Money
from ivhedge.core.units import format_ns
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.marking import LegMark, attribute_legs, mark_legs, settled_mark
from ivhedge.hedge.costs import CostModel, TradeCost
from ivhedge.ledger import Book, EntryKind, Equity, Fill, Ledger, Liquidity, exact_decimal
from ivhedge.risk import Exposures

__all__ = ["Account", "Row", "SettlementLookup"]

Row: TypeAlias = dict[str, int | float | str | None]
_STEP_TERMS = ("delta", "gamma", "theta", "vega", "vanna", "volga", "residual")
_RECORDED = (
    "delta_coin",
    "delta_usd",
    "gamma_1pct_usd",
    "vega_usd_per_vol_point",
    "theta_usd_per_day",
)
# Float sums against integer money: far above rounding noise, far below anything worth knowing.
_RELATIVE_GAP = 1e-9
_ABSOLUTE_GAP = 1e-6


@dataclass(frozen=True, slots=True)
class SettlementLookup:
    """Settlement prices of one step: (underlying, expiry) to price in USD and its source."""

    prices: Mapping[tuple[str, int], tuple[float, str]]

    def of(self, instrument: Instrument) -> tuple[Decimal, str]:
        """Price and source for an expired instrument."""
        price, source = self.prices[(instrument.underlying, instrument.expiry_ns or 0)]
        return exact_decimal(float(f"{price:.10g}")), source


@dataclass(slots=True)
class Account:
    """Books and records of one policy.

    Parameters
    ----------
    name : str
    costs : CostModel
        Charges every trade; the same object that the plan minimises.
    """

    name: str
    costs: CostModel
    ledger: Ledger = field(default_factory=Ledger)
    trades: list[Row] = field(default_factory=list)
    attribution: list[Row] = field(default_factory=list)
    equity_rows: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    surface_marks: int = 0
    _marks: dict[str, LegMark] = field(default_factory=dict)
    _equity: dict[str, Money] = field(default_factory=dict)
    _step: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)

    # -- one step, in the order of its methods -----------------------------------------------------------

    def deposit(self, ts_ns: int, amount: Money) -> None:
        """Pay in the opening collateral."""
        self.ledger.deposit(ts_ns, amount, note="opening collateral")
        known = self._equity.get(amount.currency.code, Money.zero(amount.currency))
        self._equity[amount.currency.code] = known + amount

    def open(self, board: QuoteBoard) -> None:
        """Record the opening equity, stamped a nanosecond early so that times stay unique."""
        opening = {code: _cash_only(money) for code, money in self.ledger.cash.items()}
        self._record(board.ts_ns - 1, board, opening, None)

    def advance(
        self, board: QuoteBoard, settlements: SettlementLookup, funding_8h: Mapping[str, float]
    ) -> None:
        """Bring the account to the board's time: settle, pay funding, mark and attribute.

        Parameters
        ----------
        board : QuoteBoard
        settlements : SettlementLookup
            Prices of everything that expired since the last step.
        funding_8h : mapping of perpetual key to rate
            Decimal per 8 hours over the step.
        """
        self._step = defaultdict(lambda: defaultdict(float))
        held = [(p.instrument, p.quantity) for p in self.ledger.positions.values()]
        ends = self._settle(board.ts_ns, settlements)
        self._pay_funding(board, funding_8h)
        alive = [instrument for instrument, _ in held if instrument.key not in ends]
        marks = mark_legs(alive, board)
        self.surface_marks += sum(mark.from_surface for mark in marks.values())
        for instrument, terms in attribute_legs(held, self._marks, {**ends, **marks}):
            self._book(instrument, terms)
        self._marks = marks

    def trade(
        self, instrument: Instrument, contracts: Decimal, board: QuoteBoard, purpose: str, reason: str
    ) -> TradeCost:
        """Take liquidity at the board's quote and post fill and fee.

        Raises
        ------
        DataError
            If the side needed has no price.
        """
        cost = self.costs.charge(instrument, contracts, board.quote(instrument))
        fill = Fill(
            ts_ns=board.ts_ns,
            instrument=instrument,
            quantity=contracts,
            price=cost.fill_price,
            liquidity=Liquidity.TAKER,
            fee=cost.fee_money,
        )
        self.ledger.fill(fill)
        if instrument.key not in self._marks:
            self._marks |= mark_legs([instrument], board)
        mark = self._marks[instrument.key].price
        slippage = _loss_at_mark(instrument, contracts, cost.fill_price, mark)
        self._book(instrument, {"slippage": -slippage, "fees": -cost.fee})
        self.trades.append(
            {
                "ts": board.ts_ns,
                "instrument": instrument.name,
                "venue": instrument.venue,
                "kind": instrument.kind.value,
                "quantity": float(contracts),
                "price": float(cost.fill_price),
                "mark": mark,
                "fee": cost.fee,
                "slippage": slippage,
                "currency": instrument.settle_currency.code,
                "reason": reason,
                "purpose": purpose,
                "value_usd": _traded_usd(instrument, contracts, cost.fill_price, cost.index),
            }
        )
        return cost

    def close_step(self, board: QuoteBoard) -> dict[str, Equity]:
        """Compare the step with the ledger and record attribution.

        Raises
        ------
        LedgerError
            If the attributed profit and the ledger's differ by more than rounding.
        """
        equity = self.ledger.equity(self.decimal_marks(), ts_ns=board.ts_ns)
        for code, now in equity.items():
            self._reconcile(code, now.total, board.ts_ns)
        for (underlying, code), terms in sorted(self._step.items()):
            total = sum(terms.values())
            row: Row = {"ts": board.ts_ns, "underlying": underlying, "currency": code, "total": total}
            names = (*_STEP_TERMS, "funding", "fees", "slippage")
            self.attribution.append(row | {name: terms[name] for name in names})
        self._equity = {code: now.total for code, now in equity.items()}
        return equity

    def record(self, board: QuoteBoard, equity: Mapping[str, Equity], seen: Exposures) -> None:
        """Record equity and exposures after the step's trades."""
        self._record(board.ts_ns, board, equity, seen)

    def _record(
        self, ts_ns: int, board: QuoteBoard, equity: Mapping[str, Equity], seen: Exposures | None
    ) -> None:
        for underlying, worths in _by_underlying(board, equity).items():
            index = board.index(underlying)
            risk = seen.total(underlying) if seen is not None else dict.fromkeys(_RECORDED)
            for code, worth in worths.items():
                total = worth.total.to_float()
                self.equity_rows.append(
                    {
                        "ts": ts_ns,
                        "underlying": underlying,
                        "currency": code,
                        "cash": worth.cash.to_float(),
                        "option_value": worth.option_value.to_float(),
                        "futures_value": worth.futures_value.to_float(),
                        "equity": total,
                        "index": index,
                        "equity_usd": total * (index if code == underlying else 1.0),
                        **{name: risk.get(name, 0.0) for name in _RECORDED},
                    }
                )
                risk = {}  # an underlying's exposures stand on one of its rows, so that rows can be summed

    # -- views -------------------------------------------------------------------------------------------

    def book(self) -> Book:
        """Positions and cash now."""
        return self.ledger.book(self.name)

    def worth(self) -> Book:
        """Positions now, and as cash what is there when every future is closed at its mark.

        An inverse future pays its profit in coin, which is exposed to the coin like any other coin held.
        """
        equity = self.ledger.equity(self.decimal_marks())
        return Book(
            self.name,
            tuple(self.ledger.positions.values()),
            tuple(found.cash + found.futures_value for found in equity.values()),
        )

    def decimal_marks(self) -> dict[str, Decimal]:
        """Marks as the ledger takes them."""
        return {key: exact_decimal(mark.price) for key, mark in self._marks.items()}

    def note(self, ts_ns: int, event: str, detail: str) -> None:
        """Record an event in words."""
        self.events.append({"ts": ts_ns, "event": event, "detail": detail})

    # -- inner steps -------------------------------------------------------------------------------------

    def _settle(self, now_ns: int, settlements: SettlementLookup) -> dict[str, LegMark]:
        ends = {}
        expired = sorted(self.ledger.expired(now_ns), key=lambda p: p.instrument.expiry_ns or 0)
        for position in expired:
            instrument = position.instrument
            price, source = settlements.of(instrument)
            expiry_ns = instrument.expiry_ns or now_ns
            first = self.ledger.next_seq
            amount = self.ledger.settle(expiry_ns, instrument, price, note=source)
            posted = self.ledger.entries_since(first)
            fees = sum(-e.amount.to_float() for e in posted if e.kind is EntryKind.DELIVERY_FEE)
            self._book(instrument, {"fees": -fees})
            self.note(
                expiry_ns,
                "settlement",
                f"{position.quantity} {instrument.name} at {price} ({source}): {amount}, "
                f"delivery fee {fees:.8f}",
            )
            ends[instrument.key] = settled_mark(instrument, price)
        return ends

    def _pay_funding(self, board: QuoteBoard, funding_8h: Mapping[str, float]) -> None:
        while due := self.ledger.funding_due(board.ts_ns):
            for item in due:
                received = self.ledger.funding(
                    board.ts_ns,
                    item.instrument,
                    rate_8h=exact_decimal(float(f"{funding_8h[item.instrument.key]:.10g}")),
                    index_price=exact_decimal(board.index(item.instrument.underlying)),
                    through_ns=item.due_ns,
                )
                self._book(item.instrument, {"funding": received.to_float()})

    def _book(self, instrument: Instrument, terms: Mapping[str, float]) -> None:
        row = self._step[(instrument.underlying, instrument.settle_currency.code)]
        for name, value in terms.items():
            if name != "total":
                row[name] += value

    def _reconcile(self, code: str, total: Money, ts_ns: int) -> None:
        before = self._equity.get(code, Money.zero(total.currency))
        change = (total - before).to_float()
        rows = [terms for (_, row_code), terms in sorted(self._step.items()) if row_code == code]
        gap = change - sum(sum(terms.values()) for terms in rows)
        gross = sum(abs(value) for terms in rows for value in terms.values())
        if abs(gap) > _ABSOLUTE_GAP + _RELATIVE_GAP * gross:
            raise LedgerError(
                f"{self.name} at {format_ns(ts_ns)}: expected attributed profit to meet the ledger, found a "
                f"gap of {gap:.3e} {code} on {gross:.3e} gross; a flow was not attributed"
            )
        if rows:
            rows[0]["residual"] += gap


def _cash_only(money: Money) -> Equity:
    nothing = Money.zero(money.currency)
    return Equity(cash=money, option_value=nothing, futures_value=nothing, total=money)


def _by_underlying(board: QuoteBoard, equity: Mapping[str, Equity]) -> dict[str, dict[str, Equity]]:
    """Give each currency to one underlying: a coin to itself, the dollars to the first of the board."""
    shared = {code: worth for code, worth in equity.items() if code not in board.snapshots}
    rows: dict[str, dict[str, Equity]] = {}
    for place, underlying in enumerate(board.snapshots):
        own = {underlying: equity[underlying]} if underlying in equity else {}
        rows[underlying] = own | (shared if place == 0 else {})
        if not rows[underlying] and shared:
            code, worth = next(iter(shared.items()))
            rows[underlying] = {code: _cash_only(Money.zero(worth.total.currency))}
    return rows


def _traded_usd(instrument: Instrument, contracts: Decimal, price: Decimal, index: float) -> float:
    size = abs(float(contracts * instrument.multiplier))
    if instrument.is_inverse and not instrument.is_option:
        return size
    return size * float(price) * (index if instrument.is_inverse else 1.0)


def _loss_at_mark(instrument: Instrument, contracts: Decimal, fill: Decimal, mark: float) -> float:
    size = float(contracts * instrument.multiplier)
    if instrument.is_inverse and not instrument.is_option:
        return size * (1.0 / mark - 1.0 / float(fill))
    return size * (float(fill) - mark)
