"""What a hedge has to achieve and may not exceed."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from math import inf, isfinite, isnan

from ivhedge.core.errors import ConfigError
from ivhedge.core.instruments import Instrument, InstrumentKind

__all__ = ["Band", "HedgeLimits", "Numeraire", "TenorBand"]


class Numeraire(StrEnum):
    """The unit in which risk is counted."""

    COIN = "coin"
    USD = "usd"


@dataclass(frozen=True, slots=True)
class Band:
    """A range an exposure has to stay in, and the value it is drawn to inside it.

    Parameters
    ----------
    lower, upper : float
        May be infinite.
    target : float
        Inside the range.
    """

    lower: float
    upper: float
    target: float = 0.0

    def __post_init__(self) -> None:
        if isnan(self.lower) or isnan(self.upper) or not isfinite(self.target):
            raise ConfigError(f"expected numbers for a band, found {self.lower}, {self.upper}, {self.target}")
        if not self.lower <= self.target <= self.upper:
            raise ConfigError(
                f"expected lower <= target <= upper, found {self.lower}, {self.target}, {self.upper}"
            )

    @classmethod
    def around(cls, half_width: float, target: float = 0.0) -> "Band":
        """Build the band ``target ± half_width``."""
        return cls(target - half_width, target + half_width, target)

    def violation(self, value: float) -> float:
        """Distance from `value` to the band, 0 inside it."""
        return max(self.lower - value, value - self.upper, 0.0)


@dataclass(frozen=True, slots=True)
class TenorBand:
    """A vega band for expiries from `min_days` (included) to `max_days` (excluded)."""

    min_days: float
    max_days: float
    band: Band

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_days < self.max_days:
            raise ConfigError(
                f"expected 0 <= min_days < max_days of a tenor band, found {self.min_days}, {self.max_days}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeLimits:
    """Bands to keep and limits not to exceed, for one underlying.

    Parameters
    ----------
    numeraire : Numeraire
        ``coin``: the premium-adjusted delta is hedged. ``usd``: the USD delta is hedged and the coin held
        as cash counts in it.
    delta, gamma_1pct : Band or None
        In coin units; gamma is the change of delta for a 1 % move.
    vega : tuple of TenorBand
        Per vol point, in the numeraire. Ranges must not overlap.
    max_contracts : mapping of str to Decimal
        Largest trade in one plan, by instrument key or by kind ("option", ...); the key wins.
    max_cost_usd : float or None
        Largest cost of one plan: spread, impact and fees.
    allowed_kinds : frozenset of InstrumentKind
    max_surface_age_hours : float
        No plan is made on a surface further away in time from the quotes than this.
    """

    numeraire: Numeraire = Numeraire.COIN
    delta: Band | None = None
    gamma_1pct: Band | None = None
    vega: tuple[TenorBand, ...] = ()
    max_contracts: Mapping[str, Decimal] = field(default_factory=dict)
    max_cost_usd: float | None = None
    allowed_kinds: frozenset[InstrumentKind] = frozenset(InstrumentKind)
    max_surface_age_hours: float = 1.0

    def __post_init__(self) -> None:
        if self.numeraire not in tuple(Numeraire):
            raise ConfigError(
                f"expected numeraire of {[n.value for n in Numeraire]}, found {self.numeraire!r}"
            )
        object.__setattr__(self, "numeraire", Numeraire(self.numeraire))
        ordered = sorted(self.vega, key=lambda t: t.min_days)
        for early, late in itertools.pairwise(ordered):
            if late.min_days < early.max_days:
                raise ConfigError(
                    f"expected tenor bands that do not overlap, found {early.min_days}-{early.max_days} "
                    f"and {late.min_days}-{late.max_days} days"
                )
        for name, contracts in self.max_contracts.items():
            if not contracts.is_finite() or contracts < 0:
                raise ConfigError(f"expected max_contracts of {name} at or above 0, found {contracts}")
        if self.max_cost_usd is not None and not self.max_cost_usd >= 0.0:
            raise ConfigError(f"expected max_cost_usd at or above 0 or None, found {self.max_cost_usd}")
        if not self.max_surface_age_hours >= 0.0:
            raise ConfigError(
                f"expected max_surface_age_hours at or above 0, found {self.max_surface_age_hours}"
            )

    def cap_of(self, instrument: Instrument) -> float:
        """Largest trade in an instrument, contracts; infinite when nothing is set."""
        cap = self.max_contracts.get(instrument.key, self.max_contracts.get(instrument.kind.value))
        return inf if cap is None else float(cap)
