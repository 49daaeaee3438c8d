"""A plan stays inside the margin limits of its venue, or is cut until it does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from ivhedge.core.errors import ConfigError, DataError, StaleQuote
from ivhedge.core.instruments import Instrument
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import NS_PER_SECOND
from ivhedge.ledger.book import Book
from ivhedge.risk.legs import Legs, price_legs
from ivhedge.risk.margin import (
    Account,
    MarginBatch,
    MarginLimits,
    MarginProfile,
    Stress,
    positions_from_legs,
    prepare_margin,
    stressed_margin,
    what_if,
)
from ivhedge.surface.base import VolSurface

__all__ = ["ElsewhereMargin", "MarginGuard", "MarginVerdict", "judge_plans"]

_DOLLARS = ("USD", "USDC", "USDT")
_TOMORROW = 1.0 / 365.0
_FAR_FROM_FORWARD = 0.1


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
class ElsewhereMargin:
    """What the account's other underlyings need, in the margin currency; add what working orders need.

    Parameters
    ----------
    initial : float
    stressed_maintenance : float
        The largest over the guard's stresses.
    stressed_loss : float
        The largest fall of their value over the stresses, at or above 0.
    """

    initial: float = 0.0
    stressed_maintenance: float = 0.0
    stressed_loss: float = 0.0

    def __post_init__(self) -> None:
        for name in ("initial", "stressed_maintenance", "stressed_loss"):
            value = getattr(self, name)
            if not 0.0 <= value < np.inf:
                raise ConfigError(f"expected {name} elsewhere at or above 0, found {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginGuard:
    """Margin limits of one venue's account.

    Parameters
    ----------
    venue : str
        That of the profile. What a plan trades elsewhere is refused by this guard alone; give `judge_plans`
        one guard per venue.
    profile : MarginProfile
    on : date
        Day whose rules hold.
    account : Account
        Balances at the venue, in the profile's currency, that go with the positions of the book.
    account_ns : int
        When the venue stated them.
    limits : MarginLimits
    stresses : tuple of Stress
        After each of them maintenance must stay inside its limit too.
    elsewhere : ElsewhereMargin or None
        Margin of other underlyings in the same account; None is refused where the book holds some.
    max_account_age_s, max_surface_age_s : float
        Older ones are refused.
    conservative : bool
        Carry legs without a vol at a conservative mark instead of refusing to judge.

    Raises
    ------
    ConfigError
        If the profile is another venue's, or an age is not positive.
    """

    venue: str
    profile: MarginProfile
    on: date
    account: Account
    account_ns: int
    limits: MarginLimits = field(default_factory=MarginLimits)
    stresses: tuple[Stress, ...] = ()
    elsewhere: ElsewhereMargin | None = None
    max_account_age_s: float = 60.0
    max_surface_age_s: float = 3600.0
    conservative: bool = False

    def __post_init__(self) -> None:
        if self.venue != self.profile.venue:
            raise ConfigError(
                f"expected the profile of {self.venue!r}, found {self.profile.name} of {self.profile.venue!r}"
            )
        if not (self.max_account_age_s > 0.0 and self.max_surface_age_s > 0.0):
            raise ConfigError("expected ages above 0 for a margin guard")

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
            USD; within a tenth of the surface's forward of tomorrow.
        ts_ns : int
        instruments : sequence of n Instrument
        contracts : FloatArray, shape (p, n)
            One plan a row.
        cost_usd : FloatArray, shape (p,)
            What each plan costs against the marks; taken from equity. A gain is not added to it.

        Raises
        ------
        StaleQuote
            If the account or the surface is too old.
        ConfigError, DataError, UnknownInstrument
            As `ivhedge.risk.margin.prepare_margin` and `positions_from_legs`: what cannot be margined is not
            let through.
        """
        cost = self._checked(book, surface, index, ts_ns, instruments, contracts, cost_usd)
        held = [
            (p.instrument, p.quantity)
            for p in book.positions
            if p.instrument.venue == self.venue and p.instrument.underlying == surface.underlying
        ]
        mine = [i for i, item in enumerate(instruments) if item.venue == self.venue]
        other = [i for i, item in enumerate(instruments) if item.venue != self.venue]
        stray = (contracts[:, other] != 0.0).any(axis=1)
        unguarded = sorted({instruments[i].venue for i in other if (contracts[:, i] != 0.0).any()})
        rows = [*held, *((instruments[i], instruments[i].lot * 0) for i in mine)]
        if not rows:
            return _refusing(stray, unguarded, ((),) * stray.size)
        # The age of the surface is that of the marks, which the margin's own limit on ages judges.
        legs = price_legs(rows, {surface.underlying: surface}, ts_ns, max_age_ns=None)
        positions = positions_from_legs(
            legs,
            surface.underlying,
            index,
            venue=self.venue,
            age_s=max(0.0, (ts_ns - surface.ts_ns) / NS_PER_SECOND),
            conservative=self.conservative,
        )
        model = prepare_margin(
            positions,
            self.profile,
            on=self.on,
            max_age_s=self.max_surface_age_s,
            conservative=self.conservative,
        )
        elsewhere = self._elsewhere(book, surface.underlying, model.currency)
        plans = np.zeros((contracts.shape[0], len(rows)))
        plans[:, len(held) :] = contracts[:, mine] * _units(legs)[len(held) :]
        fees = cost / (index if model.currency == surface.underlying else 1.0)
        result = what_if(model, plans, self.account, fees=fees)
        after = stressed_margin(model, self.stresses, self.account, plans=plans, fees=fees)
        use, bad = self.limits, {}
        initial = result.after.initial + elsewhere.initial
        bad["initial_use"] = ~(initial <= use.initial_use * result.after.equity)
        for name, batch in after.items():
            maintenance = batch.maintenance + elsewhere.stressed_maintenance
            room = use.stressed_maintenance_use * (batch.equity - elsewhere.stressed_loss)
            bad[f"maintenance after {name}"] = ~(maintenance <= room)
        if any(broken.any() for broken in bad.values()):
            before = stressed_margin(model, self.stresses, self.account)
            bad["initial_use"] &= ~_eases(result.before, result.after, "initial")
            for name, batch in after.items():
                bad[f"maintenance after {name}"] &= ~_eases(before[name], batch, "maintenance")
        names = list(bad)
        broken = np.stack(list(bad.values()))
        breached = tuple(tuple(names[i] for i in np.flatnonzero(column)) for column in broken.T)
        return _refusing(stray, unguarded, breached)

    def _checked(
        self,
        book: Book,
        surface: VolSurface,
        index: float,
        ts_ns: int,
        instruments: Sequence[Instrument],
        contracts: FloatArray,
        cost_usd: FloatArray,
    ) -> FloatArray:
        """Refuse what cannot be judged; the cost, gains taken as nothing."""
        if contracts.ndim != 2 or contracts.shape[1] != len(instruments):
            raise ConfigError(f"expected plans of {len(instruments)} instruments, found {contracts.shape}")
        if not np.isfinite(contracts).all() or not np.isfinite(cost_usd).all():
            raise DataError("expected finite contracts and costs of plans, found NaN or infinity")
        for name, then, limit in (
            ("account", self.account_ns, self.max_account_age_s),
            ("surface", surface.ts_ns, self.max_surface_age_s),
        ):
            age = (ts_ns - then) / NS_PER_SECOND
            if not -1.0 <= age <= limit:
                raise StaleQuote(
                    f"{self.venue}: expected an {name} at most {limit:g} s old, found {age:g} s; fetch it"
                    if name == "account"
                    else f"{self.venue}: expected a surface at most {limit:g} s old, found {age:g} s; refit"
                )
        forward = float(surface.forward(_TOMORROW))
        if not (index > 0.0 and abs(np.log(index / forward)) < _FAR_FROM_FORWARD):
            raise DataError(
                f"{surface.underlying}: expected an index near the forward {forward:.6g}, found {index:.6g}; "
                "fetch both again"
            )
        return np.maximum(np.asarray(cost_usd, dtype=np.float64), 0.0)

    def _elsewhere(self, book: Book, underlying: str, currency: str) -> ElsewhereMargin:
        """Margin of other underlyings that share the account."""
        if self.elsewhere is not None:
            return self.elsewhere
        shared = sorted(
            {
                p.instrument.underlying
                for p in book.positions
                if p.instrument.venue == self.venue
                and p.instrument.underlying != underlying
                and (p.instrument.settle_currency.code == currency or currency in _DOLLARS)
            }
        )
        if shared:
            raise ConfigError(
                f"{self.venue}: expected the margin of {shared}, which share the {currency} account, found "
                "none; pass elsewhere=ElsewhereMargin(...)"
            )
        return ElsewhereMargin()


def judge_plans(
    guards: Sequence[MarginGuard],
    book: Book,
    surface: VolSurface,
    index: float,
    ts_ns: int,
    instruments: Sequence[Instrument],
    contracts: FloatArray,
    cost_usd: FloatArray,
) -> MarginVerdict:
    """Judge plans that trade at several venues: each venue's guard has to let them through.

    Trades at a venue without a guard are refused. Arguments and errors as for `MarginGuard.judge`; each guard
    is charged the whole cost.

    Raises
    ------
    ConfigError
        If there is no guard, or two are for one venue.
    """
    venues = [guard.venue for guard in guards]
    if not guards or len(set(venues)) != len(venues):
        raise ConfigError(f"expected one margin guard per venue, found {venues}")
    breached: list[tuple[str, ...]] = [()] * contracts.shape[0]
    for venue in sorted({item.venue for item in instruments} - set(venues)):
        at = [i for i, item in enumerate(instruments) if item.venue == venue]
        for row in np.flatnonzero((contracts[:, at] != 0.0).any(axis=1)):
            breached[row] += (f"no margin guard for {venue}",)
    for guard in guards:
        own = np.array([item.venue == guard.venue for item in instruments], dtype=np.bool_)
        mine = np.where(own, contracts, 0.0)
        verdict = guard.judge(book, surface, index, ts_ns, instruments, mine, cost_usd)
        names = verdict.breached
        if len(guards) > 1:
            names = tuple(tuple(f"{guard.venue} {name}" for name in row) for row in names)
        breached = [first + more for first, more in zip(breached, names, strict=True)]
    return MarginVerdict(ok=np.array([not names for names in breached]), breached=tuple(breached))


def _refusing(
    stray: BoolArray, venues: Sequence[str], breached: tuple[tuple[str, ...], ...]
) -> MarginVerdict:
    """Add to what is breached the trades at venues that nobody guards."""
    name = f"no margin guard for {', '.join(venues)}"
    rows = tuple((*names, name) if out else names for names, out in zip(breached, stray, strict=True))
    return MarginVerdict(ok=np.array([not names for names in rows], dtype=np.bool_), breached=rows)


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
