"""Instruments: what is traded, in which unit, on which price grid.

Sizes are signed numbers of contracts, positive = long. The multiplier turns a contract into the thing
it stands for:

==================  ======================  ==========================================
kind                multiplier is in        value of q contracts
==================  ======================  ==========================================
option, coin        coin per contract       q · m · price            (price in coin)
option, USD         coin per contract       q · m · price            (price in USD)
future, USD         coin per contract       q · m · (price − entry)  (in USD)
future, coin        USD per contract        q · m · (1/entry − 1/price)  (in coin)
==================  ======================  ==========================================

A perpetual is a future without expiry.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.money import Currency
from ivhedge.core.units import NS_PER_YEAR

__all__ = ["Instrument", "InstrumentKind", "Rounding", "Settlement", "TickLadder"]


class InstrumentKind(StrEnum):
    """What kind of contract an instrument is."""

    OPTION = "option"
    FUTURE = "future"
    PERPETUAL = "perpetual"


class Settlement(StrEnum):
    """Whether profit is paid in the underlying coin or in a dollar currency."""

    COIN = "coin"
    USD = "usd"


class Rounding(StrEnum):
    """Which way a price goes to the grid."""

    DOWN = ROUND_FLOOR
    UP = ROUND_CEILING
    NEAREST = ROUND_HALF_EVEN


@dataclass(frozen=True, slots=True)
class TickLadder:
    """A price grid whose tick grows with the price.

    Parameters
    ----------
    steps : tuple of (from_price, tick)
        Ascending; the first step starts at 0. Deribit's coin options are
        ``((0, 0.0001), (0.005, 0.0005))``.
    """

    steps: tuple[tuple[Decimal, Decimal], ...]

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.steps]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise ConfigError(f"expected tick steps ascending from price 0, found starts {starts}")
        if any(tick <= 0 for _, tick in self.steps):
            raise ConfigError(f"expected positive ticks, found {[t for _, t in self.steps]}")

    @classmethod
    def flat(cls, tick: str | Decimal) -> "TickLadder":
        """Build a grid with one tick everywhere."""
        return cls(((Decimal(0), Decimal(tick)),))

    @classmethod
    def of(cls, *steps: tuple[str, str]) -> "TickLadder":
        """Build a grid from pairs of text, for instance ``("0", "0.0001"), ("0.005", "0.0005")``."""
        return cls(tuple((Decimal(start), Decimal(tick)) for start, tick in steps))

    def tick_at(self, price: Decimal) -> Decimal:
        """Tick that applies at a price (at a boundary: the upper step's)."""
        tick = self.steps[0][1]
        for start, step in self.steps:
            if abs(price) >= start:
                tick = step
        return tick

    def round(self, price: Decimal, rounding: Rounding = Rounding.NEAREST) -> Decimal:
        """Move a price to the grid."""
        tick = self.tick_at(price)
        return (price / tick).quantize(Decimal(1), rounding=rounding.value) * tick

    def is_on_grid(self, price: Decimal) -> bool:
        """Tell whether a price lies on the grid."""
        return price % self.tick_at(price) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable contract on one venue.

    Parameters
    ----------
    name : str
        The venue's own name.
    venue, underlying : str
        Lower-case venue, upper-case coin, for instance ``"deribit"``, ``"BTC"``.
    kind : InstrumentKind
    settlement : Settlement
    settle_currency : Currency
        The coin itself for `Settlement.COIN`, a dollar currency otherwise.
    multiplier, lot, min_size : Decimal
        See the module's table; `lot` and `min_size` are in contracts.
    ticks : TickLadder
    expiry_ns : int or None
        None for a perpetual only.
    strike : Decimal or None
    is_call : bool or None
        Both given for an option only.
    """

    name: str
    venue: str
    underlying: str
    kind: InstrumentKind
    settlement: Settlement
    settle_currency: Currency
    multiplier: Decimal
    lot: Decimal
    min_size: Decimal
    ticks: TickLadder
    expiry_ns: int | None = None
    strike: Decimal | None = None
    is_call: bool | None = None

    def __post_init__(self) -> None:
        if self.multiplier <= 0 or self.lot <= 0 or self.min_size <= 0:
            raise ConfigError(
                f"{self.name}: expected positive multiplier, lot and min_size, "
                f"found {self.multiplier}, {self.lot}, {self.min_size}"
            )
        if (self.expiry_ns is None) != (self.kind is InstrumentKind.PERPETUAL):
            raise ConfigError(f"{self.name}: expected an expiry unless perpetual, found {self.expiry_ns}")
        is_option = self.kind is InstrumentKind.OPTION
        if (self.strike is None) == is_option or (self.is_call is None) == is_option:
            raise ConfigError(f"{self.name}: expected strike and is_call for an option and for nothing else")
        if self.strike is not None and self.strike <= 0:
            raise ConfigError(f"{self.name}: expected a positive strike, found {self.strike}")
        if (self.settlement is Settlement.COIN) != (self.settle_currency.code == self.underlying):
            raise ConfigError(
                f"{self.name}: {self.settlement} settlement of {self.underlying} "
                f"does not go with currency {self.settle_currency.code}"
            )

    @property
    def key(self) -> str:
        """Name that is unique over venues: ``venue:name``."""
        return f"{self.venue}:{self.name}"

    @property
    def is_option(self) -> bool:
        """Whether this is an option."""
        return self.kind is InstrumentKind.OPTION

    @property
    def is_inverse(self) -> bool:
        """Whether profit is paid in the underlying coin."""
        return self.settlement is Settlement.COIN

    def tau(self, now_ns: int) -> float:
        """Years to expiry at `now_ns`, ACT/365; negative after it.

        Raises
        ------
        DataError
            For a perpetual, which never expires.
        """
        if self.expiry_ns is None:
            raise DataError(f"{self.name} is a perpetual and has no time to expiry")
        return (self.expiry_ns - now_ns) / NS_PER_YEAR

    def round_size(self, contracts: Decimal, rounding: Rounding = Rounding.NEAREST) -> Decimal:
        """Move a size to the lot grid; a size below the minimum becomes 0."""
        size = (contracts / self.lot).quantize(Decimal(1), rounding=rounding.value) * self.lot
        return size if abs(size) >= self.min_size else Decimal(0)
