"""Margin rules as data: scenarios, vol shocks, discounts, contingencies, factors.

Amounts are per unit of underlying and in the margin currency, moves and vols are decimals, times are years.
A rule that a venue does not have keeps its neutral default.
"""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from ivhedge.core.errors import ConfigError

__all__ = [
    "BasisRule",
    "ContingencyRule",
    "DeltaShockRule",
    "DiscountRule",
    "FactorRule",
    "MarginProfile",
    "RollRule",
    "Scenario",
    "ScenarioRules",
    "SkewRule",
    "StandardRules",
    "TailRule",
    "VolMove",
    "VolShockRule",
]


class VolMove(StrEnum):
    """What happens to the vols in a scenario."""

    UP = "up"
    NONE = "none"
    DOWN = "down"
    SKEW_LINEAR = "linear"
    SKEW_ABS = "abs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One cell: relative spot move, vol move, weight of the result, and whether it is of the tail table."""

    spot: float
    vol: VolMove
    dampening: float = 1.0
    tail: bool = False

    @property
    def label(self) -> str:
        """For instance ``+9% up``."""
        return f"{100 * self.spot:+.6g}% {self.vol}{' tail' if self.tail else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolShockRule:
    """Shock ``range · (30 d / max(days, day_floor))^power``, relative or (`points`) added to the vol.

    `min_vol` is a floor of the vol in up moves: of the shocked vol, or with `floor_before` of the vol that
    is shocked. `short_power` holds up to 30 days, `long_power` beyond.
    """

    up: float
    down: float
    short_power: float = 0.0
    long_power: float = 0.0
    day_floor: float = 1.0
    min_vol: float = 0.0
    floor_before: bool = False
    points: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewRule:
    """Vol multiplier ``1 + clip(k·cap/k*, ±cap)`` of the skew scenarios.

    cap = slope·√T + base and k* = max(floor, width·√T·(a + b·√T)), with k = ln(K/F) or its absolute value;
    for k >= 0 the clip is from above at cap, else from below at -cap.
    """

    linear_base: float
    linear_slope: float
    abs_base: float
    abs_slope: float
    min_k_star: float
    width: float
    vol_base: float
    vol_slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscountRule:
    """Static discounts of an expiry's shocked value: positive values shrink, negative ones grow."""

    positive: float = 1.0
    negative: float = 1.0
    long_rate_mult: float = 0.0
    long_rate_add: float = 0.0
    short_rate_mult: float = 0.0
    short_rate_add: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisRule:
    """Worst of two forward moves per expiry, weighted by ``add + mult·T``; competes with the scenarios."""

    up: float = 0.0
    down: float = 0.0
    add: float = 0.0
    mult: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContingencyRule:
    """Charges on notionals: perpetuals, naked short options, depeg, low oracle confidence.

    `perp_initial` and `option_initial` come on top of the maintenance ones.
    """

    perp_maintenance: float = 0.0
    perp_initial: float = 0.0
    option_maintenance: float = 0.0
    option_initial: float = 0.0
    peg_threshold: float = 0.0
    peg_factor: float = 0.0
    confidence_threshold: float = 0.0
    confidence_margin: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRule:
    """Tail table: futures move at most `future_cap`; a loss is scaled and `dampener_usd` of it forgiven."""

    factor: float = 1.0
    dampener_usd: float = 0.0
    future_cap: float = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class RollRule:
    """``Σ_e |Δ_e| · max(minimum, annualised · T_e)``."""

    annualised: float = 0.0
    minimum: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaShockRule:
    """``|Δ| · maximum · ramp``: the ramp rises from 0 at `free_usd` of delta to 1 at `threshold_usd`."""

    maximum: float = 0.0
    free_usd: float = 0.0
    threshold_usd: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRule:
    """Factors on the risk matrix, and an add-on for risk units that the venue does not publish.

    With `offset_gains` a scenario's gain counts `pnl_offset` of itself, at most `max_offsetable` USD.
    """

    initial: float = 1.0
    maintenance: float = 1.0
    unpublished_addon: float = 0.0
    pnl_offset: float = 0.0
    max_offsetable: float = 0.0
    offset_gains: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRules:
    """Portfolio margin of one venue: everything the scenario kernel needs."""

    scenarios: tuple[Scenario, ...]
    vol_shock: VolShockRule
    skew: SkewRule | None = None
    discount: DiscountRule = field(default_factory=DiscountRule)
    basis: BasisRule = field(default_factory=BasisRule)
    contingency: ContingencyRule = field(default_factory=ContingencyRule)
    tail: TailRule = field(default_factory=TailRule)
    roll: RollRule = field(default_factory=RollRule)
    delta_shock: DeltaShockRule = field(default_factory=DeltaShockRule)
    factors: FactorRule = field(default_factory=FactorRule)
    twap_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.scenarios or any(not s.spot > -1.0 or s.dampening < 0.0 for s in self.scenarios):
            raise ConfigError("expected scenarios with spot moves above -1 and dampening of at least 0")
        skewed = any(s.vol in (VolMove.SKEW_LINEAR, VolMove.SKEW_ABS) for s in self.scenarios)
        if skewed and self.skew is None:
            raise ConfigError("expected a [skew] table, as the scenarios hold skew moves, found none")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardRules:
    """Rule-based margin per position.

    Fractions of the reference price (index, or the forward with `by_forward`). Short option::

        initial     = max(initial_max - OTM, initial_min) + mark
        maintenance = max(maintenance_max - OTM, maintenance_min) + mark   (puts: also put_mark · mark + mark)
        puts:         initial ≥ put_initial_over_maintenance · maintenance

    With `bounded` an expiry needs no more than its worst payoff plus `unpaired_* · F` per net naked call.
    Futures: ``(base + slope · size) · |size|``; None where the profile has no rule. `safety` multiplies all.
    """

    initial_max: float
    initial_min: float
    maintenance_max: float
    maintenance_min: float
    put_mark: float
    put_initial_over_maintenance: float = 1.0
    by_forward: bool = False
    bounded: bool = False
    unpaired_initial: float = 0.0
    unpaired_maintenance: float = 0.0
    future_initial: float | None = None
    future_maintenance: float | None = None
    future_initial_slope: float = 0.0
    future_maintenance_slope: float = 0.0
    safety: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginProfile:
    """One margin model of one venue over a span of dates.

    Parameters
    ----------
    name, venue, model : str
    currency : str
        Margin currency; ``COIN`` means the underlying itself.
    underlyings : tuple of str
        Upper-case; empty means any.
    valid_from, valid_to : date
        First and last day on which the figures may be used.
    source, note : str
    public : bool
        False where the venue does not publish the model.
    assumed : tuple of str
        What in the rules is not confirmed by a document or an oracle; such results are never status ok.
    rules : ScenarioRules or StandardRules
    """

    name: str
    venue: str
    model: str
    currency: str
    underlyings: tuple[str, ...]
    valid_from: date
    valid_to: date
    source: str
    note: str = ""
    public: bool = True
    assumed: tuple[str, ...] = ()
    rules: ScenarioRules | StandardRules

    def __post_init__(self) -> None:
        if self.valid_from > self.valid_to:
            raise ConfigError(f"{self.name}: expected valid_from <= valid_to, found {self.valid_from}")
        if not self.public and not self.assumed:
            raise ConfigError(f"{self.name}: expected `assumed` to say what is not public, found nothing")

    def check_date(self, on: date) -> None:
        """Refuse a day outside the profile's dates.

        Raises
        ------
        ConfigError
            If `on` lies before `valid_from` or after `valid_to`.
        """
        if not self.valid_from <= on <= self.valid_to:
            raise ConfigError(
                f"margin profile {self.name}: expected a date from {self.valid_from} to {self.valid_to}, "
                f"found {on}; compare it with the venue's margin page, then write a profile with new dates"
            )
