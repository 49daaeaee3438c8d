"""A plan stays inside the margin limits of its venue, or is cut until it does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.ledger.book import Book
from ivhedge.risk.legs import Legs, price_legs
from ivhedge.risk.margin import (
    Account,
    MarginBatch,
    MarginLimits,
    MarginProfile,
    Stress,
    check_margin,
    positions_from_legs,
    prepare_margin,
    stressed_margin,
    what_if,
)
from ivhedge.surface.base import VolSurface

__all__ = ["MarginGuard", "MarginVerdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginVerdict:
    """Which of several plans the margin limits let through.

    Parameters
    ----------
    ok : BoolArray, shape (p,)
        Inside every limit; or the book was beyond it before, and the plan leaves no requirement larger and no
        equity smaller against it.
    breached : tuple of tuple of str
        Per plan the limits that refuse it.
    """

    ok: BoolArray
    breached: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginGuard:
    """Margin limits of one venue's account.

    Parameters
    ----------
    venue : str
        Legs elsewhere are not its business.
    profile : MarginProfile
    on : date
        Day whose rules hold.
    account : Account
        Balances at the venue, in the profile's currency.
    limits : MarginLimits
    stresses : tuple of Stress
        After each of them maintenance must stay inside its limit too.
    conservative : bool
        Carry legs without a vol at a conservative mark instead of refusing to judge.
    """

    venue: str
    profile: MarginProfile
    on: date
    account: Account
    limits: MarginLimits = field(default_factory=MarginLimits)
    stresses: tuple[Stress, ...] = ()
    conservative: bool = False

    def judge(
        self,
        book: Book,
        surface: VolSurface,
        index: float,
        ts_ns: int,
        instruments: Sequence[Instrument],
        contracts: FloatArray,
        cost_usd: FloatArray,
    ) -> MarginVerdict:
        """Judge plans.

        Parameters
        ----------
        book : Book
        surface : VolSurface
        index : float
            USD.
        ts_ns : int
        instruments : sequence of n Instrument
        contracts : FloatArray, shape (p, n)
            One plan a row.
        cost_usd : FloatArray, shape (p,)
            What each plan costs against the marks; taken from equity.

        Raises
        ------
        ConfigError, DataError, UnknownInstrument
            As `ivhedge.risk.margin.prepare_margin` and `positions_from_legs`: what cannot be margined is not
            let through.
        """
        if contracts.ndim != 2 or contracts.shape[1] != len(instruments):
            raise ConfigError(f"expected plans of {len(instruments)} instruments, found {contracts.shape}")
        held = [
            (p.instrument, p.quantity)
            for p in book.positions
            if p.instrument.venue == self.venue and p.instrument.underlying == surface.underlying
        ]
        mine = [i for i, item in enumerate(instruments) if item.venue == self.venue]
        rows = [*held, *((instruments[i], instruments[i].lot * 0) for i in mine)]
        if not rows:
            n = contracts.shape[0]
            return MarginVerdict(ok=np.ones(n, dtype=np.bool_), breached=((),) * n)
        legs = price_legs(rows, {surface.underlying: surface}, ts_ns)
        positions = positions_from_legs(legs, surface.underlying, index, conservative=self.conservative)
        model = prepare_margin(positions, self.profile, on=self.on, conservative=self.conservative)
        plans = np.zeros((contracts.shape[0], len(rows)))
        plans[:, len(held) :] = contracts[:, mine] * _units(legs)[len(held) :]
        fees = cost_usd / (index if model.currency == surface.underlying else 1.0)
        check = check_margin(model, plans, self.limits, self.account, stresses=self.stresses, fees=fees)
        if check.ok.all():
            return MarginVerdict(ok=check.ok, breached=check.breached)
        now = what_if(model, np.zeros((1, len(rows))), self.account).before
        before = stressed_margin(model, self.stresses, self.account)
        after = stressed_margin(model, self.stresses, self.account, plans=plans, fees=fees)
        eased = {"initial_use": _eases(now, check.what_if.after, "initial")}
        eased |= {f"maintenance after {n}": _eases(before[n], after[n], "maintenance") for n in before}
        breached = tuple(
            tuple(name for name in names if not eased[name][row]) for row, names in enumerate(check.breached)
        )
        return MarginVerdict(ok=np.array([not names for names in breached]), breached=breached)


def _units(legs: Legs) -> FloatArray:
    """Units of the underlying in one contract."""
    multiplier = np.array([float(item.multiplier) for item in legs.instruments])
    return np.where(legs.is_inverse & ~legs.is_option, multiplier / legs.forward, multiplier)


def _eases(before: MarginBatch, after: MarginBatch, requirement: str) -> BoolArray:
    """Where a plan lowers what equity leaves uncovered: a book beyond a limit may come back."""
    short_before = getattr(before, requirement) - before.equity
    short_after = getattr(after, requirement) - after.equity
    lower = getattr(after, requirement) < getattr(before, requirement)
    return np.asarray(lower & (short_after <= short_before))
