"""Which expiries and strikes exist at a time: a calendar like Deribit's and a strike grid around spot.

Expiries are at 08:00 UTC. Nothing that is listed disappears before it expires: the calendar rule keeps a
contract by construction, and strikes are only ever added.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from ivhedge.core.errors import ConfigError
from ivhedge.core.types import FloatArray, IntArray
from ivhedge.core.units import DAYS_PER_YEAR, NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR, to_ns

__all__ = [
    "EXPIRY_HOUR_NS",
    "ExpiryRule",
    "Listing",
    "StrikeRule",
    "expiry_label",
    "listed_expiries",
    "listed_strikes",
    "monthly_expiries",
    "next_listing",
]

EXPIRY_HOUR_NS = 8 * NS_PER_HOUR
"""Time of day of every expiry."""

_FRIDAY = 4
_NICE = np.array([1.0, 2.0, 2.5, 5.0, 10.0])
_TIERS = ((0.4, 1), (0.7, 2), (1.0, 4))  # strikes get sparser away from spot


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRule:
    """How many of the next dailies, weeklies (Fridays), month ends and quarter ends are listed."""

    dailies: int = 2
    weeklies: int = 3
    monthlies: int = 2
    quarterlies: int = 4

    def __post_init__(self) -> None:
        counts = (self.dailies, self.weeklies, self.monthlies, self.quarterlies)
        if min(counts) < 0 or max(counts) == 0 or self.quarterlies > 8:
            raise ConfigError(
                f"expected at least one listed expiry, no negative count, at most 8 quarters, found {counts}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StrikeRule:
    """Strike grid of one asset.

    Parameters
    ----------
    count : int
        Strikes aimed at per expiry when it is listed.
    width_sd : float
        Half width of the grid in standard deviations of `reference_vol`.
    reference_vol : float
    min_days : float
        Life below which the grid gets no narrower.
    """

    count: int = 34
    width_sd: float = 2.8
    reference_vol: float = 0.60
    min_days: float = 1.5

    def __post_init__(self) -> None:
        if self.count < 4 or min(self.width_sd, self.reference_vol, self.min_days) <= 0.0:
            raise ConfigError(
                "expected at least 4 strikes and a positive width, vol and min_days, found "
                f"{self.count}, {self.width_sd}, {self.reference_vol}, {self.min_days}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Strikes listed at a time, sorted by expiry and strike.

    Parameters
    ----------
    expiry_ns : IntArray, shape (n,)
    strike : FloatArray, shape (n,)
        USD.
    listed_ns : IntArray, shape (n,)
        When trading in it began.
    """

    expiry_ns: IntArray
    strike: FloatArray
    listed_ns: IntArray


def _fridays(first_day: date, count: int) -> list[date]:
    start = first_day + timedelta(days=(_FRIDAY - first_day.weekday()) % 7)
    return [start + timedelta(weeks=week) for week in range(count)]


def _first_expiry_day(ts_ns: int) -> date:
    return date(1970, 1, 1) + timedelta(days=(ts_ns - EXPIRY_HOUR_NS) // NS_PER_DAY + 1)


def _expiry_of(day: date) -> int:
    return to_ns(datetime(day.year, day.month, day.day, tzinfo=UTC)) + EXPIRY_HOUR_NS


def _month_ends(ts_ns: int, count: int, *, quarters: bool) -> list[date]:
    weeks = 14 * count + 10 if quarters else 5 * count + 6
    last = [
        day for day in _fridays(_first_expiry_day(ts_ns), weeks) if (day + timedelta(7)).month != day.month
    ]
    return [day for day in last if not quarters or day.month % 3 == 0][:count]


def monthly_expiries(ts_ns: int, rule: ExpiryRule) -> IntArray:
    """Month-end and quarter-end expiries listed at `ts_ns`: the ones that dated futures have too."""
    days = set(_month_ends(ts_ns, rule.monthlies, quarters=False))
    days |= set(_month_ends(ts_ns, rule.quarterlies, quarters=True))
    return np.array(sorted(_expiry_of(day) for day in days), dtype=np.int64)


def listed_expiries(ts_ns: int, rule: ExpiryRule) -> IntArray:
    """Expiries listed at `ts_ns`, ascending; one that expires exactly then is gone.

    Parameters
    ----------
    ts_ns : int
    rule : ExpiryRule

    Returns
    -------
    IntArray, shape (n,)
        Nanoseconds since the epoch.
    """
    first = _first_expiry_day(ts_ns)
    days = {first + timedelta(days=n) for n in range(rule.dailies)} | set(_fridays(first, rule.weeklies))
    near = np.array([_expiry_of(day) for day in days], dtype=np.int64)
    return np.unique(np.concatenate([near, monthly_expiries(ts_ns, rule)]))


def _strike_step(spot: float, half_width: float, count: int) -> float:
    density, inner = 0.0, 0.0
    for reach, multiple in _TIERS:
        outer = 2.0 * np.sinh(reach * half_width)
        density += (outer - inner) / multiple
        inner = outer
    raw = spot * density / count
    power = 10.0 ** np.floor(np.log10(raw))
    return float(power * _NICE[np.argmin(np.abs(np.log(_NICE * power / raw)))])


def listed_strikes(spot: float, tau: float, rule: StrikeRule) -> FloatArray:
    """Strikes that exist at once when an expiry is listed at this spot.

    Parameters
    ----------
    spot : float
        USD.
    tau : float
        Years to expiry.
    rule : StrikeRule

    Returns
    -------
    FloatArray, shape (n,)
        Ascending, USD, on round numbers; the step doubles twice away from spot.
    """
    half_width = rule.width_sd * rule.reference_vol * np.sqrt(max(tau, rule.min_days / DAYS_PER_YEAR))
    step = _strike_step(spot, float(half_width), rule.count)
    grids = []
    for reach, multiple in _TIERS:
        low, high = spot * np.exp(-reach * half_width), spot * np.exp(reach * half_width)
        spacing = step * multiple
        grids.append(spacing * np.arange(np.ceil(low / spacing), np.floor(high / spacing) + 1.0))
    strikes = np.unique(np.round(np.concatenate(grids), 6))
    return np.asarray(strikes[strikes > 0.0], dtype=np.float64)


def next_listing(
    previous: Listing | None, ts_ns: int, spot: float, expiries: ExpiryRule, strikes: StrikeRule
) -> Listing:
    """Listing at `ts_ns`: what has not expired, plus what the time and the spot call for.

    Parameters
    ----------
    previous : Listing or None
        None for the first one, whose contracts count as listed long ago.
    ts_ns : int
    spot : float
        USD.
    expiries : ExpiryRule
    strikes : StrikeRule

    Returns
    -------
    Listing
    """
    known: dict[tuple[int, float], int] = {}
    if previous is not None:
        rows = zip(
            previous.expiry_ns.tolist(), previous.strike.tolist(), previous.listed_ns.tolist(), strict=True
        )
        known = {(expiry, strike): since for expiry, strike, since in rows if expiry > ts_ns}
    since = 0 if previous is None else ts_ns
    for expiry in listed_expiries(ts_ns, expiries).tolist():
        for strike in listed_strikes(spot, (expiry - ts_ns) / NS_PER_YEAR, strikes).tolist():
            known.setdefault((expiry, strike), since)
    keys = sorted(known)
    return Listing(
        expiry_ns=np.array([expiry for expiry, _ in keys], dtype=np.int64),
        strike=np.array([strike for _, strike in keys], dtype=np.float64),
        listed_ns=np.array([known[key] for key in keys], dtype=np.int64),
    )


def expiry_label(expiry_ns: int) -> str:
    """Day of an expiry as it stands in an instrument name, for instance ``27MAR26``."""
    day = datetime.fromtimestamp(expiry_ns // 1_000_000_000, tz=UTC)
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    return f"{day.day}{months[day.month - 1]}{day.year % 100:02d}"
