"""Keeping a book on: opening holdings and structures, and opening structures again once they expire."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ivhedge.core.errors import EmptyData
from ivhedge.core.instruments import Instrument, Rounding
from ivhedge.core.money import Money
from ivhedge.core.units import format_ns
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.spec import BookSpec, HoldingSpec, StructureSpec
from ivhedge.engine.structures import choose_legs
from ivhedge.hedge.costs import CostModel
from ivhedge.ledger import exact_decimal
from ivhedge.market import instrument_from_name

__all__ = ["BookOrder", "Bookkeeper", "opening_collateral"]


def opening_collateral(spec: BookSpec, underlying: str, index: float) -> Money:
    """Collateral of one underlying in the settlement currency of the book's venue."""
    name = f"{underlying}-PERPETUAL"
    currency = instrument_from_name(spec.venue, name, underlying=underlying).settle_currency
    amount = spec.collateral_usd / (index if currency.code == underlying else 1.0)
    return Money.from_exact(exact_decimal(amount), currency)


@dataclass(frozen=True, slots=True)
class BookOrder:
    """A trade of the book itself; every policy does it alike."""

    instrument: Instrument
    contracts: Decimal
    purpose: str
    reason: str


@dataclass(slots=True)
class Bookkeeper:
    """Decides, once per snapshot and for all policies, what the book itself trades.

    Parameters
    ----------
    spec : BookSpec
    """

    spec: BookSpec
    _live: dict[tuple[int, str], int] = field(default_factory=dict)
    _working: list[BookOrder] = field(default_factory=list)
    _waiting: dict[tuple[int, str], str] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _opened: set[str] = field(default_factory=set)
    _own: dict[str, Instrument] = field(default_factory=dict)

    def orders(self, board: QuoteBoard, costs: CostModel) -> list[BookOrder]:
        """Trades of the book at this snapshot, none beyond the displayed size.

        What the displayed size leaves over is worked off at the following snapshots.
        """
        wanted = [order for order in self._working if _is_live(order.instrument, board.ts_ns)]
        for underlying in board.snapshots:
            due = self._due(underlying, board.ts_ns)
            if not due and not self._missing():
                continue  # reading the whole chain is slow, and mostly there is nothing to open
            options = board.options(underlying, self.spec.venue)
            wanted += self._open_holdings([*options, *board.futures(underlying, self.spec.venue)])
            for number, structure in due:
                wanted += self._keep_on(number, structure, underlying, options, board)
        self._own |= {order.instrument.key: order.instrument for order in wanted}
        self._seen |= set(board.snapshots)
        possible = _fillable(wanted, board, costs)
        self._working = [
            replace(order, contracts=order.contracts - filled)
            for order, filled in possible
            if filled != order.contracts
        ]
        return [replace(order, contracts=filled) for order, filled in possible if filled != 0]

    def own(self, now_ns: int) -> frozenset[str]:
        """Keys of the book's own contracts that have not expired."""
        return frozenset(key for key, item in self._own.items() if _is_live(item, now_ns))

    def left_over(self) -> tuple[str, ...]:
        """What was asked for and is not on, in words."""
        holdings = [
            f"holding {item.instrument} was never quoted on {self.spec.venue}, an option on both sides, and "
            "was not opened"
            for item in self.spec.holdings
            if item.instrument not in self._opened
        ]
        unfilled = [
            f"{order.reason}: {order.contracts} {order.instrument.name} still to be traded, "
            "the displayed size was too small"
            for order in self._working
        ]
        absent = sorted({s.underlying for s in self.spec.structures if s.underlying} - self._seen)
        strangers = [
            f"structures on {coin} were not opened: the run has no quotes of {coin}" for coin in absent
        ]
        return (*holdings, *strangers, *self._waiting.values(), *unfilled)

    def require_opened(self) -> None:
        """Refuse a run in which nothing of the book could be opened.

        Raises
        ------
        EmptyData
            If that is so.
        """
        if not self._own and not self.spec.empty:
            raise EmptyData(
                f"book {self.spec.name!r}: nothing could be opened: {'; '.join(self.left_over())}; "
                "check the venue, the instrument names and the window"
            )

    def _due(self, underlying: str, now_ns: int) -> list[tuple[int, StructureSpec]]:
        """Structures that are to be opened now."""
        return [
            (number, structure)
            for number, structure in enumerate(self.spec.structures)
            if structure.underlying in (None, underlying)
            and (
                (expires_ns := self._live.get((number, underlying))) is None
                or (expires_ns <= now_ns and structure.rolls)
            )
        ]

    def _missing(self) -> bool:
        return any(item.instrument not in self._opened for item in self.spec.holdings)

    def _open_holdings(self, quoted: Sequence[Instrument]) -> list[BookOrder]:
        listed = {item.name: item for item in quoted}
        return [
            self._open_holding(item, listed[item.instrument])
            for item in self.spec.holdings
            if item.instrument in listed and item.instrument not in self._opened
        ]

    def _open_holding(self, item: HoldingSpec, instrument: Instrument) -> BookOrder:
        self._opened.add(item.instrument)
        return BookOrder(instrument, item.contracts, "book", "holding of the book")

    def _keep_on(
        self,
        number: int,
        structure: StructureSpec,
        underlying: str,
        options: Sequence[Instrument],
        board: QuoteBoard,
    ) -> list[BookOrder]:
        slot = (number, underlying)
        legs = choose_legs(
            structure, options, board.surfaces[underlying], board.index(underlying), board.ts_ns
        )
        name = f"{structure.tenor_days:g}-day {structure.kind.value} on {underlying}"
        if not legs:
            self._waiting[slot] = (
                f"{name} waited at {format_ns(board.ts_ns)}: no listed contract fits tenor, delta and size"
            )
            return []
        purpose = "roll" if slot in self._live else "book"
        self._live[slot] = max(instrument.expiry_ns or 0 for instrument, _ in legs)
        self._waiting.pop(slot, None)
        return [BookOrder(item, contracts, purpose, name) for item, contracts in legs]


def _is_live(instrument: Instrument, now_ns: int) -> bool:
    return instrument.expiry_ns is None or instrument.expiry_ns > now_ns


def _fillable(
    orders: Sequence[BookOrder], board: QuoteBoard, costs: CostModel
) -> list[tuple[BookOrder, Decimal]]:
    """Contracts of each order that the displayed sizes allow; orders in one contract share its size."""
    taken: dict[tuple[str, bool], Decimal] = defaultdict(Decimal)
    possible = []
    for order in orders:
        instrument, is_buy = order.instrument, order.contracts > 0
        side = (instrument.key, is_buy)
        displayed = costs.max_fill(instrument, board.quote(instrument), is_buy=is_buy)
        room = Decimal(repr(displayed)) - taken[side]
        size = abs(order.contracts)
        if room < size:
            size = instrument.round_size(room, Rounding.DOWN)
        taken[side] += size
        possible.append((order, size if is_buy else -size))
    return possible
