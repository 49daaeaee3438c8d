"""Keeping a book on: opening holdings and structures, and opening structures again once they expire."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ivhedge.core.errors import EmptyData
from ivhedge.core.instruments import Instrument
from ivhedge.core.units import format_ns
from ivhedge.engine.board import QuoteBoard
from ivhedge.engine.spec import BookSpec, HoldingSpec, StructureSpec
from ivhedge.engine.structures import choose_legs

__all__ = ["BookOrder", "Bookkeeper"]


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
    _waiting: dict[int, str] = field(default_factory=dict)
    _opened: set[str] = field(default_factory=set)
    _own: dict[str, Instrument] = field(default_factory=dict)

    def orders(self, board: QuoteBoard) -> list[BookOrder]:
        """Trades of the book at this snapshot."""
        found: list[BookOrder] = []
        for underlying in board.snapshots:
            options = board.options(underlying, self.spec.venue)
            found += self._open_holdings(underlying, options)
            for number, structure in enumerate(self.spec.structures):
                if structure.underlying in (None, underlying):
                    found += self._keep_on(number, structure, underlying, options, board)
        self._own |= {order.instrument.key: order.instrument for order in found}
        return found

    def own(self, underlying: str, now_ns: int) -> frozenset[str]:
        """Keys of the book's own contracts on an underlying that have not expired."""
        return frozenset(
            key
            for key, item in self._own.items()
            if item.underlying == underlying and (item.expiry_ns or 0) > now_ns
        )

    def never_opened(self) -> tuple[str, ...]:
        """What was asked for and never found a quote, in words."""
        holdings = [
            f"holding {item.instrument} was never quoted two-sided on {self.spec.venue} and was not opened"
            for item in self.spec.holdings
            if item.instrument not in self._opened
        ]
        return (*holdings, *self._waiting.values())

    def require_opened(self) -> None:
        """Refuse a run in which nothing of the book could be opened.

        Raises
        ------
        EmptyData
            If that is so.
        """
        if not self._own:
            raise EmptyData(
                f"book {self.spec.name!r}: nothing could be opened: {'; '.join(self.never_opened())}; "
                "check the venue, the instrument names and the window"
            )

    def _open_holdings(self, underlying: str, options: Sequence[Instrument]) -> list[BookOrder]:
        listed = {option.name: option for option in options}
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
        expires_ns = self._live.get(slot)
        if expires_ns is not None and (expires_ns > board.ts_ns or not structure.rolls):
            return []
        legs = choose_legs(
            structure, options, board.surfaces[underlying], board.index(underlying), board.ts_ns
        )
        name = f"{structure.tenor_days:g}-day {structure.kind.value} on {underlying}"
        if not legs:
            self._waiting[number] = (
                f"{name} waited at {format_ns(board.ts_ns)}: no listed contract fits tenor, delta and size"
            )
            return []
        self._live[slot] = max(instrument.expiry_ns or 0 for instrument, _ in legs)
        self._waiting.pop(number, None)
        purpose = "book" if expires_ns is None else "roll"
        return [BookOrder(item, contracts, purpose, name) for item, contracts in legs]
