"""Options of one expiry seen through the average that they settle on."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ivhedge.core.errors import DataError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.hedge.policies.state import normal_density
from ivhedge.surface.averaging import AveragedTerms, averaged_price, averaged_terms
from ivhedge.surface.clock import VarianceClock

__all__ = ["ExpiryLegs", "SettlingOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryLegs:
    """The options of one expiry.

    Parameters
    ----------
    strike : FloatArray, shape (n,)
        USD.
    quantity : FloatArray, shape (n,)
        Coins, negative for short.
    is_call : BoolArray, shape (n,)
    vol : FloatArray, shape (n,)
        Decimal, per year of the clock's time.

    Raises
    ------
    DataError
        If shapes differ, or a value is not finite or in range.
    """

    strike: FloatArray
    quantity: FloatArray
    is_call: BoolArray
    vol: FloatArray

    def __post_init__(self) -> None:
        for name in ("strike", "quantity", "vol"):
            object.__setattr__(self, name, np.atleast_1d(np.asarray(getattr(self, name), dtype=np.float64)))
        object.__setattr__(self, "is_call", np.atleast_1d(np.asarray(self.is_call, dtype=np.bool_)))
        shapes = {a.shape for a in (self.strike, self.quantity, self.is_call, self.vol)}
        if len(shapes) != 1 or self.strike.ndim != 1 or self.strike.size == 0:
            raise DataError(f"expected legs of one shape (n,) and n >= 1, found {sorted(shapes)}")
        for name in ("strike", "vol"):
            value = getattr(self, name)
            if not np.all(np.isfinite(value) & (value > 0.0)):
                raise DataError(f"expected {name} of legs finite and above 0, found {value.tolist()}")
        if not np.all(np.isfinite(self.quantity)):
            raise DataError(f"expected finite quantities, found {self.quantity.tolist()}")


@dataclass(frozen=True, slots=True)
class SettlingOptions:
    """Options that settle on an average of the index, at one time."""

    legs: ExpiryLegs
    ts_ns: int
    expiry_ns: int
    known: float | None
    clock: VarianceClock | None
    window_ns: int

    def distance(self, index: float) -> FloatArray:
        """Deviations of the settlement price, as far as it is open, from its expectation to each strike."""
        terms = self._terms(index)
        deviation = terms.scale * index * np.sqrt(terms.total_variance)
        return np.asarray(np.abs(terms.expected_settlement - self.legs.strike) / deviation)

    def greeks(self, index: float) -> tuple[FloatArray, FloatArray]:
        """Delta, and gamma times the index, of one coin of each option."""
        terms = self._terms(index)
        s = np.sqrt(terms.total_variance)
        open_strike = terms.strike > 0.0
        d1 = np.log(index / np.where(open_strike, terms.strike, index)) / s + 0.5 * s
        call = np.where(open_strike, ndtr(d1), 1.0)
        gamma = np.where(open_strike, normal_density(d1) / s, 0.0)
        delta = terms.scale * np.where(self.legs.is_call, call, call - 1.0)
        return np.asarray(delta), np.asarray(terms.scale * gamma)

    def hedged_pnl(self, index: float, delta: float, move: float) -> float:
        """P&L in coins of a jump by `move`, the delta of before hedged."""
        return (self._value(index * (1.0 + move)) - self._value(index)) / index - delta * move

    def _value(self, index: float) -> float:
        terms = self._terms(index)
        return float(self.legs.quantity @ averaged_price(terms, self.legs.strike, self.legs.is_call))

    def _terms(self, index: float) -> AveragedTerms:
        legs = self.legs
        return averaged_terms(
            self.ts_ns,
            self.expiry_ns,
            index,
            legs.strike,
            legs.vol,
            self.known,
            self.window_ns,
            self.clock,
        )
