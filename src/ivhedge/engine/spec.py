"""What a replay is asked to do: the book, the policies, the conventions of the run.

These are plain frozen values; the borders (TOML, command line) validate text into them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from ivhedge.core.errors import ConfigError

__all__ = [
    "DEFAULT_VEGA_BUCKETS_DAYS",
    "BookSpec",
    "HoldingSpec",
    "PolicyKind",
    "PolicySpec",
    "ReplayConfig",
    "StructureKind",
    "StructureSpec",
    "VegaBucket",
]


class StructureKind(StrEnum):
    """Option structures that a book can keep on."""

    STRANGLE = "strangle"
    STRADDLE = "straddle"
    RISK_REVERSAL = "risk_reversal"
    CALL = "call"
    PUT = "put"


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureSpec:
    """An option structure chosen by tenor and delta, reopened after its legs have settled.

    Parameters
    ----------
    kind : StructureKind
        A risk reversal is long the call and short the put for a positive size.
    tenor_days : float
        The listed expiry nearest to this many days is taken.
    delta : float
        Absolute forward delta of each leg on the fitted surface; ignored by a straddle (0.5).
    notional_usd : float
        Size of each leg in USD of underlying, positive = long; turned into lots at the index.
    underlying : str or None
        None = every underlying of the run.
    rolls : bool
        Whether the structure is opened again once it has expired.
    """

    kind: StructureKind
    tenor_days: float
    notional_usd: float
    delta: float = 0.25
    underlying: str | None = None
    rolls: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.tenor_days < 1000.0:
            raise ConfigError(f"expected tenor_days in (0, 1000), found {self.tenor_days}")
        if not 0.0 < self.delta < 1.0:
            raise ConfigError(f"expected delta in (0, 1), found {self.delta}")
        if self.notional_usd == 0.0:
            raise ConfigError("expected a notional_usd other than 0; negative = short")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingSpec:
    """A fixed holding by the venue's instrument name, opened when it is first quoted."""

    instrument: str
    contracts: Decimal

    def __post_init__(self) -> None:
        if self.contracts == 0:
            raise ConfigError(f"{self.instrument}: expected contracts other than 0; negative = short")


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSpec:
    """The option book that every policy of a run hedges.

    Parameters
    ----------
    venue : str
        Where the book's own options are traded.
    collateral_usd : float
        Opening collateral per underlying, converted at the first index into the settlement currency.
    """

    name: str
    venue: str
    collateral_usd: float
    structures: tuple[StructureSpec, ...] = ()
    holdings: tuple[HoldingSpec, ...] = ()

    def __post_init__(self) -> None:
        if not self.structures and not self.holdings:
            raise ConfigError(f"book {self.name!r}: expected at least one [[structure]] or [[holding]]")
        if self.collateral_usd < 0:
            raise ConfigError(
                f"book {self.name!r}: expected collateral_usd >= 0, found {self.collateral_usd}"
            )


class PolicyKind(StrEnum):
    """What a policy neutralises."""

    NONE = "none"
    DELTA = "delta"
    DELTA_VEGA = "delta_vega"


@dataclass(frozen=True, slots=True)
class VegaBucket:
    """A range of tenors whose vega is held inside one band."""

    min_days: float
    max_days: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_days < self.max_days:
            raise ConfigError(f"expected 0 <= min_days < max_days, found {self.min_days}, {self.max_days}")


DEFAULT_VEGA_BUCKETS_DAYS = ((0.0, 14.0), (14.0, 60.0), (60.0, 1000.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """How the book is hedged.

    Parameters
    ----------
    kind : PolicyKind
    interval_hours : float or None
        Rebalance when this long has passed since the last rebalance; None = look at every snapshot.
    delta_band : float
        Half-width of the delta band as a share of the book's gross option notional. With a positive band
        the policy acts when delta is outside it.
    vega_band : float
        Half-width of each vega bucket's band as a share of the book's gross vega.
    vega_buckets : tuple of VegaBucket
    """

    name: str
    kind: PolicyKind
    interval_hours: float | None = None
    delta_band: float = 0.0
    vega_band: float = 0.25
    vega_buckets: tuple[VegaBucket, ...] = tuple(VegaBucket(*days) for days in DEFAULT_VEGA_BUCKETS_DAYS)

    def __post_init__(self) -> None:
        if self.interval_hours is not None and self.interval_hours <= 0:
            raise ConfigError(
                f"policy {self.name!r}: expected interval_hours > 0, found {self.interval_hours}"
            )
        if self.delta_band < 0 or self.vega_band < 0:
            raise ConfigError(f"policy {self.name!r}: expected bands >= 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayConfig:
    """Conventions of a run.

    Parameters
    ----------
    name : str
    numeraire : str
        ``"coin"``: profit is counted in the coin and the premium-adjusted delta is hedged;
        ``"usd"``: profit is counted in USD and the coin collateral is part of the delta.
    hedge_venues : tuple of str
        Venues on which hedges may be traded; empty = the book's venue.
    perpetual_half_spread_bps, future_half_spread_bps : float
        Assumed half-spread where a future's record holds a mark and no quotes.
    funding_rate_8h : float or None
        A constant 8-hour rate where the record holds none; None = from the perpetual's premium.
    settlement_bars : Path or None
        Hourly bars (timestamp = open of the bar, open, close) that give the 08:00 settlement price;
        None = the index, interpolated between snapshots.
    risk_price : float
        USD that a plan may pay to remove one USD of standard deviation of a day's profit.
    config : mapping
        What to print into the report, JSON-ready.
    """

    name: str
    numeraire: str = "coin"
    hedge_venues: tuple[str, ...] = ()
    perpetual_half_spread_bps: float = 0.5
    future_half_spread_bps: float = 1.0
    funding_rate_8h: float | None = None
    settlement_bars: Path | None = None
    risk_price: float = 0.1
    config: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.numeraire not in ("coin", "usd"):
            raise ConfigError(f"expected numeraire 'coin' or 'usd', found {self.numeraire!r}")
        if not self.risk_price >= 0.0:
            raise ConfigError(f"expected risk_price >= 0, found {self.risk_price}")
