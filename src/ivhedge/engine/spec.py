"""What a replay is asked to do: the book, the policies, the conventions of the run.

These are plain frozen values; the borders (TOML, command line) validate text into them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from math import inf, isfinite
from pathlib import Path

from ivhedge.core.errors import ConfigError

__all__ = [
    "DEFAULT_VEGA_BUCKETS_DAYS",
    "BookSpec",
    "DeltaRuleKind",
    "HoldingSpec",
    "ObjectiveKind",
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
    empty : bool
        Holds nothing of its own: for policies that hold vega by themselves.
    """

    name: str
    venue: str
    collateral_usd: float
    structures: tuple[StructureSpec, ...] = ()
    holdings: tuple[HoldingSpec, ...] = ()
    empty: bool = False

    def __post_init__(self) -> None:
        if self.empty == bool(self.structures or self.holdings):
            raise ConfigError(
                f"book {self.name!r}: expected at least one [[structure]] or [[holding]], or empty = true "
                "without any"
            )
        if self.collateral_usd < 0:
            raise ConfigError(
                f"book {self.name!r}: expected collateral_usd >= 0, found {self.collateral_usd}"
            )


class PolicyKind(StrEnum):
    """What a policy neutralises, or holds."""

    NONE = "none"
    DELTA = "delta"
    DELTA_VEGA = "delta_vega"
    VIEW = "view"
    """Vega by tenor that a forecast of volatility finds worth holding; delta neutral."""
    FIXED_VEGA = "fixed_vega"
    """The same vega always, the yardstick of a view: short, mostly; delta neutral."""

    @property
    def trades_options(self) -> bool:
        """Whether options are among its instruments."""
        return self in (PolicyKind.DELTA_VEGA, PolicyKind.VIEW, PolicyKind.FIXED_VEGA)

    @property
    def holds_vega(self) -> bool:
        """Whether it wants vega, not none."""
        return self in (PolicyKind.VIEW, PolicyKind.FIXED_VEGA)


class ObjectiveKind(StrEnum):
    """What a policy with options counts as risk, see `ivhedge.hedge.objectives`."""

    BUCKETED_VEGA = "bucketed_vega"
    DELTA_GAMMA = "delta_gamma"
    DELTA_GAMMA_VEGA = "delta_gamma_vega"
    FACTOR_NEUTRAL = "factor_neutral"
    MINIMUM_VARIANCE = "minimum_variance"
    CVAR = "cvar"

    @property
    def learns(self) -> bool:
        """Whether it needs surfaces of the past: a factor model, or scenarios."""
        return self.needs_factors or self is ObjectiveKind.CVAR

    @property
    def needs_factors(self) -> bool:
        """Whether it takes a factor model, fitted to the surfaces seen so far."""
        return self in (ObjectiveKind.FACTOR_NEUTRAL, ObjectiveKind.MINIMUM_VARIANCE)


class DeltaRuleKind(StrEnum):
    """Bands of the delta that follow from cost and aversion, see `ivhedge.hedge.policies`."""

    WHALLEY_WILMOTT = "whalley_wilmott"
    ZAKAMOULINE = "zakamouline"


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
    objective : ObjectiveKind
        What counts as risk besides the bands; of kinds that trade options.
    max_hedge_options : int or None
        Most options held as hedges.
    holding_days : float or None
        How long an option serves as a hedge; None = its whole cost counts against one day's risk.
    delta_rule : DeltaRuleKind or None
        The band of the delta follows from this rule instead of `delta_band`.
    rule_cost_bps, rule_aversion : float
        What it assumes: one-way cost of the hedge, and risk aversion of one notional.
    skew_stickiness : float or None
        The delta that is hedged: 1 sticky strike, 0 sticky moneyness, in between or beyond as measured; None
        = Black-Scholes, the same as 1.
    vega_usd : float
        Largest vega per range of tenors, USD per vol point, of kind view; the vega of each range, negative =
        short, of kind fixed_vega.
    capital_usd : float
        What a view may risk.
    """

    name: str
    kind: PolicyKind
    interval_hours: float | None = None
    delta_band: float = 0.0
    vega_band: float = 0.25
    vega_buckets: tuple[VegaBucket, ...] = tuple(VegaBucket(*days) for days in DEFAULT_VEGA_BUCKETS_DAYS)
    objective: ObjectiveKind = ObjectiveKind.BUCKETED_VEGA
    max_hedge_options: int | None = None
    holding_days: float | None = None
    delta_rule: DeltaRuleKind | None = None
    rule_cost_bps: float = 5.5
    rule_aversion: float = 10.0
    skew_stickiness: float | None = None
    vega_usd: float = 0.0
    capital_usd: float = 1e6

    def __post_init__(self) -> None:
        if self.interval_hours is not None and self.interval_hours <= 0:
            raise ConfigError(
                f"policy {self.name!r}: expected interval_hours > 0, found {self.interval_hours}"
            )
        if not (0.0 <= self.delta_band < inf and 0.0 <= self.vega_band < inf):
            raise ConfigError(
                f"policy {self.name!r}: expected finite bands >= 0, found {self.delta_band}, {self.vega_band}"
            )
        self._check_options()
        self._check_delta()

    def _check_options(self) -> None:
        plain = (
            self.objective is ObjectiveKind.BUCKETED_VEGA
            and self.max_hedge_options is None
            and self.holding_days is None
        )
        if not plain and self.kind is not PolicyKind.DELTA_VEGA:
            raise ConfigError(
                f"policy {self.name!r}: objective, max_hedge_options and holding_days are for kind "
                f"delta_vega, found {self.kind.value}; leave them out"
            )
        if self.max_hedge_options is not None and self.max_hedge_options < 0:
            raise ConfigError(
                f"policy {self.name!r}: expected max_hedge_options >= 0, found {self.max_hedge_options}"
            )
        if self.holding_days is not None and not 0.0 < self.holding_days < inf:
            raise ConfigError(f"policy {self.name!r}: expected holding_days > 0, found {self.holding_days}")
        if self.kind.holds_vega != (self.vega_usd != 0.0) or not isfinite(self.vega_usd):
            raise ConfigError(
                f"policy {self.name!r}: expected a finite vega_usd other than 0 of kind view or fixed_vega "
                f"and of no other, found {self.vega_usd} of kind {self.kind.value}"
            )
        if self.kind is PolicyKind.VIEW and not (self.vega_usd > 0.0 and 0.0 < self.capital_usd < inf):
            raise ConfigError(
                f"policy {self.name!r}: expected vega_usd and capital_usd above 0, found {self.vega_usd}, "
                f"{self.capital_usd}"
            )

    def _check_delta(self) -> None:
        if self.delta_rule is not None and self.delta_band > 0.0:
            raise ConfigError(
                f"policy {self.name!r}: expected delta_band or delta_rule, found both; drop one"
            )
        if not (0.0 <= self.rule_cost_bps < inf and 0.0 < self.rule_aversion < inf):
            raise ConfigError(
                f"policy {self.name!r}: expected rule_cost_bps >= 0 and rule_aversion > 0, found "
                f"{self.rule_cost_bps}, {self.rule_aversion}"
            )
        if self.skew_stickiness is not None and not isfinite(self.skew_stickiness):
            raise ConfigError(
                f"policy {self.name!r}: expected a finite skew_stickiness, found {self.skew_stickiness}"
            )


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
    view_bars : mapping of underlying to Path
        Hourly bars that a view's forecasts are made of; needed by policies of kind view.
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
    view_bars: Mapping[str, Path] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.numeraire not in ("coin", "usd"):
            raise ConfigError(f"expected numeraire 'coin' or 'usd', found {self.numeraire!r}")
        if not self.risk_price >= 0.0:
            raise ConfigError(f"expected risk_price >= 0, found {self.risk_price}")
