"""Margin of one book or of many on one universe of instruments, under a dated venue profile."""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import ArrayLike, FloatArray, IntArray
from ivhedge.risk.margin.portfolio import ScenarioTables, ScenarioTotals, scenario_tables, scenario_totals
from ivhedge.risk.margin.positions import Account, MarginPositions
from ivhedge.risk.margin.rules import MarginProfile, ScenarioRules
from ivhedge.risk.margin.standard import StandardTables, StandardTotals, standard_tables, standard_totals

__all__ = [
    "MarginBatch",
    "MarginModel",
    "MarginResult",
    "MarginStatus",
    "evaluate",
    "margin",
    "prepare_margin",
]


class MarginStatus(StrEnum):
    """How far a result can be trusted; `notes` say why."""

    OK = "ok"
    ASSUMED = "assumed"
    CONSERVATIVE = "conservative"

    def describe(self) -> str:
        """What it means."""
        return {
            MarginStatus.OK: "published rules, every mark present",
            MarginStatus.ASSUMED: "parts of the rules are not published or not confirmed: ask the venue",
            MarginStatus.CONSERVATIVE: "a missing or old mark was replaced by a conservative one",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginModel:
    """A profile applied to a universe of instruments; make it with `prepare_margin`.

    Parameters
    ----------
    profile : MarginProfile
    positions : MarginPositions
        Checked, one row per name.
    column : IntArray, shape (rows given,)
        Row of `positions` of each row given.
    tables : ScenarioTables or StandardTables
    status : MarginStatus
    notes : tuple of str
    """

    profile: MarginProfile
    positions: MarginPositions
    column: IntArray
    tables: ScenarioTables | StandardTables
    status: MarginStatus
    notes: tuple[str, ...]

    @property
    def currency(self) -> str:
        """Margin currency."""
        return self.positions.underlying if self.profile.currency == "COIN" else self.profile.currency

    def net(self, sizes: ArrayLike) -> FloatArray:
        """Books of shape (b, rows given) on the model's rows.

        Raises
        ------
        DataError
            If the shape does not fit or a size is not finite.
        """
        books = np.atleast_2d(np.asarray(sizes, dtype=np.float64))
        if books.ndim != 2 or books.shape[1] != self.column.size:
            raise DataError(f"expected sizes of shape (books, {self.column.size}), found {np.shape(sizes)}")
        if not np.isfinite(books).all():
            raise DataError("expected finite sizes, found NaN or infinity; a missing size is not 0")
        n = len(self.positions.names)
        if n == self.column.size:
            return books
        onto = np.zeros((self.column.size, n))
        onto[np.arange(self.column.size), self.column] = 1.0
        return np.asarray(books @ onto)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginBatch:
    """Margin of b books; arrays of shape (b,), in the margin currency.

    Parameters
    ----------
    initial, maintenance : FloatArray
        Requirements, at least 0.
    equity : FloatArray
        What they are compared with: under portfolio margin with option values, under standard margin without,
        as each venue's rule counts them.
    totals : ScenarioTotals or StandardTotals
        By scenario, component and position.
    """

    initial: FloatArray
    maintenance: FloatArray
    equity: FloatArray
    totals: ScenarioTotals | StandardTotals
    status: MarginStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginResult:
    """Margin of one book, in `currency`.

    Parameters
    ----------
    initial, maintenance, equity : float
        As in `MarginBatch`.
    by_scenario : dict of label to P&L as the rules count it: gains are offset, or dropped, by them
        Empty for standard margin.
    by_component : dict of str to float
    by_position : dict of name to (initial, maintenance)
        Empty for portfolio margin. Before the bounded loss of an expiry.
    worst_scenario : str
        Empty for standard margin.
    status : MarginStatus
    notes : tuple of str
    """

    initial: float
    maintenance: float
    equity: float
    currency: str
    profile: str
    by_scenario: dict[str, float]
    by_component: dict[str, float]
    by_position: dict[str, tuple[float, float]]
    worst_scenario: str
    status: MarginStatus
    notes: tuple[str, ...]

    @property
    def initial_excess(self) -> float:
        """Equity beyond the initial margin."""
        return self.equity - self.initial

    @property
    def maintenance_excess(self) -> float:
        """Equity beyond the maintenance margin; liquidation starts below 0."""
        return self.equity - self.maintenance


def prepare_margin(
    positions: MarginPositions,
    profile: MarginProfile,
    *,
    on: date,
    max_age_s: float = np.inf,
    conservative: bool = False,
) -> MarginModel:
    """Apply a profile to positions of one underlying.

    Parameters
    ----------
    positions : MarginPositions
        With size 0 for instruments that plans may trade.
    profile : MarginProfile
    on : date
        Day of the valuation; the profile has to hold on it.
    max_age_s, conservative
        As for `MarginPositions.checked`.

    Raises
    ------
    ConfigError
        If the profile does not hold on that day or for that underlying, or lacks a rule.
    DataError, StaleQuote
        If positions are unusable, or inverse and linear ones are mixed.
    """
    profile.check_date(on)
    if profile.underlyings and positions.underlying not in profile.underlyings:
        raise ConfigError(
            f"margin profile {profile.name}: expected an underlying of {list(profile.underlyings)}, "
            f"found {positions.underlying!r}; take the venue's profile for it"
        )
    inverse = positions.is_inverse
    if inverse.any() and not inverse.all():
        raise DataError("expected inverse or linear positions, found both; margin each currency apart")
    if inverse.any() and profile.currency != "COIN":
        raise ConfigError(
            f"margin profile {profile.name}: expected linear positions, settled in {profile.currency}, found "
            "inverse ones; take a profile whose currency is COIN, or linear contracts"
        )
    checked = positions.checked(max_age_s=max_age_s, conservative=conservative)
    unique, column = _unique(checked)
    rules = profile.rules
    tables = (
        scenario_tables(unique, rules) if isinstance(rules, ScenarioRules) else standard_tables(unique, rules)
    )
    status = MarginStatus.ASSUMED if profile.assumed else MarginStatus.OK
    if checked.notes:
        status = MarginStatus.CONSERVATIVE
    notes = (*(f"assumed: {what}" for what in profile.assumed), *checked.notes)
    return MarginModel(
        profile=profile, positions=unique, column=column, tables=tables, status=status, notes=notes
    )


def _unique(p: MarginPositions) -> tuple[MarginPositions, IntArray]:
    first: dict[str, int] = {}
    column = np.array([first.setdefault(name, len(first)) for name in p.names], dtype=np.int64)
    if len(first) == len(p.names):
        return p, column
    rows = np.array([p.names.index(name) for name in first])
    arrays = {n: getattr(p, n)[rows] for n in _ARRAYS}
    for name in _ARRAYS:
        same = np.isclose(getattr(p, name), arrays[name][column], rtol=0.0, atol=0.0, equal_nan=True)
        if not same.all():
            i = int(np.flatnonzero(~same)[0])
            raise DataError(f"{p.names[i]}: expected one {name} per instrument, found two; refresh the marks")
    size = np.bincount(column, weights=p.size, minlength=rows.size).astype(np.float64)
    short_only = None if p.short_only is None else p.short_only[rows]
    return replace(p, names=tuple(first), size=size, short_only=short_only, **arrays), column


_ARRAYS = (
    "kind",
    "mark",
    "forward",
    "strike",
    "tau",
    "vol",
    "rate",
    "is_call",
    "is_inverse",
    "confidence",
    "age_s",
)


def evaluate(
    model: MarginModel,
    sizes: ArrayLike | None = None,
    account: Account | None = None,
    *,
    cash: ArrayLike | None = None,
    unrealised: ArrayLike | None = None,
) -> MarginBatch:
    """Margin of many books on the model's instruments.

    Parameters
    ----------
    model : MarginModel
    sizes : array_like, shape (books, rows given), optional
        The positions' own sizes by default, as one book.
    account : Account, optional
        Empty by default.
    cash, unrealised : array_like, shape (books,), optional
        Instead of the account's.

    Raises
    ------
    DataError
        If shapes do not fit or a number is not finite.
    """
    account = Account() if account is None else account
    books = model.positions.size[None, :] if sizes is None else model.net(sizes)
    money = []
    for what, given, usual in (("cash", cash, account.cash), ("unrealised", unrealised, account.unrealised)):
        row = np.asarray(usual if given is None else given, dtype=np.float64)
        if row.ndim > 1 or row.size not in (1, books.shape[0]) or not np.isfinite(row).all():
            raise DataError(f"expected finite {what} of shape ({books.shape[0]},), found shape {row.shape}")
        money.append(np.broadcast_to(row, (books.shape[0],)))
    totals = (
        scenario_totals(model.tables, books, account, *money)
        if isinstance(model.tables, ScenarioTables)
        else standard_totals(model.tables, books, account, *money)
    )
    if not (np.isfinite(totals.initial).all() and np.isfinite(totals.maintenance).all()):
        raise DataError("expected finite margins, found NaN or infinity; sizes or prices are out of range")
    return MarginBatch(
        initial=totals.initial,
        maintenance=totals.maintenance,
        equity=np.asarray(totals.equity),
        totals=totals,
        status=model.status,
    )


def margin(
    model: MarginModel, account: Account | None = None, sizes: ArrayLike | None = None
) -> MarginResult:
    """Margin of one book, with its parts.

    Raises
    ------
    DataError
        As `evaluate`, or if `sizes` holds several books.
    """
    batch = evaluate(model, sizes, account)
    if batch.initial.size != 1:
        raise DataError(f"expected one book, found {batch.initial.size}; use evaluate")
    totals, names = batch.totals, model.positions.names
    by_scenario: dict[str, float] = {}
    by_position: dict[str, tuple[float, float]] = {}
    worst = ""
    if isinstance(totals, ScenarioTotals) and isinstance(model.profile.rules, ScenarioRules):
        labels = [*(s.label for s in model.profile.rules.scenarios), "basis"]
        by_scenario = dict(zip(labels, totals.pnl[0].tolist(), strict=True))
        worst = labels[int(totals.worst[0])]
    elif isinstance(totals, StandardTotals):
        pairs = zip(totals.position_initial[0].tolist(), totals.position_maintenance[0].tolist(), strict=True)
        by_position = dict(zip(names, pairs, strict=True))
    return MarginResult(
        initial=float(batch.initial[0]),
        maintenance=float(batch.maintenance[0]),
        equity=float(batch.equity[0]),
        currency=model.currency,
        profile=model.profile.name,
        by_scenario=by_scenario,
        by_component={name: float(value[0]) for name, value in totals.components.items()},
        by_position=by_position,
        worst_scenario=worst,
        status=batch.status,
        notes=model.notes,
    )
