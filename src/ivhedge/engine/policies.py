"""From a policy to the limits and the trigger that the planning function takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from ivhedge.core.instruments import InstrumentKind
from ivhedge.core.units import DAYS_PER_YEAR, VOL_POINT
from ivhedge.engine.guidance import Guidance
from ivhedge.engine.spec import DeltaRuleKind, ObjectiveKind, PolicyKind, PolicySpec
from ivhedge.hedge import (
    AlwaysTrigger,
    AnyTrigger,
    Band,
    BandTrigger,
    ConditionalValueAtRisk,
    DeltaGamma,
    DeltaGammaVega,
    FactorNeutral,
    HedgeLimits,
    HedgeObjective,
    IntervalTrigger,
    MinimumVariance,
    Numeraire,
    TenorBand,
    Trigger,
)
from ivhedge.hedge.policies import DeltaPolicy, WhalleyWilmott, Zakamouline, band_for
from ivhedge.hedge.ratios import HedgeRatio, SmileRatio
from ivhedge.ledger import Position
from ivhedge.risk import Exposures
from ivhedge.surface.base import VolSurface
from ivhedge.surface.dynamics import SkewStickiness

__all__ = [
    "PolicyTerms",
    "allowed_kinds",
    "delta_rule_of",
    "objective_of",
    "ratio_of",
    "terms_of",
    "with_vega",
]

# A band of zero width would make every lot a breach; this is about a lot of a million-dollar book.
_SMALLEST_BAND = 0.002
_SMALLEST_VEGA_DELTA = 0.01
_VEGA_WIDTH = 0.15
"""Half-width of a band around a wanted vega, as a share of the largest."""
_LONGEST_DAYS = 1000.0


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """Limits and trigger of one policy for one underlying at one time."""

    limits: HedgeLimits
    trigger: Trigger


def allowed_kinds(policy: PolicySpec) -> frozenset[InstrumentKind]:
    """Instruments that a policy trades."""
    kinds = {InstrumentKind.PERPETUAL}
    if policy.kind.trades_options:
        kinds.add(InstrumentKind.OPTION)
    return frozenset(kinds)


def objective_of(policy: PolicySpec, guidance: Guidance, underlying: str) -> HedgeObjective | None:
    """What counts as risk; None, the bucketed vega, where too few surfaces were seen for what is asked."""
    kind = policy.objective
    if kind is ObjectiveKind.DELTA_GAMMA:
        return DeltaGamma()
    if kind is ObjectiveKind.DELTA_GAMMA_VEGA:
        return DeltaGammaVega()
    if kind is ObjectiveKind.CVAR:
        scenarios = guidance.scenarios(underlying)
        return None if scenarios is None else ConditionalValueAtRisk(scenarios=scenarios)
    if not kind.needs_factors:
        return None
    model = guidance.factors(underlying)
    if model is None:
        return None
    return (
        FactorNeutral(model=model) if kind is ObjectiveKind.FACTOR_NEUTRAL else MinimumVariance(model=model)
    )


def ratio_of(policy: PolicySpec) -> HedgeRatio | None:
    """Whose delta is hedged; None for Black-Scholes."""
    if policy.skew_stickiness is None:
        return None
    rule = SkewStickiness(ssr=policy.skew_stickiness)
    return SmileRatio(rule=rule, name=f"skew stickiness {policy.skew_stickiness:g}")


def delta_rule_of(policy: PolicySpec) -> DeltaPolicy | None:
    """The policy that the band of the delta follows from."""
    if policy.delta_rule is None:
        return None
    cost, aversion = 1e-4 * policy.rule_cost_bps, policy.rule_aversion
    if policy.delta_rule is DeltaRuleKind.WHALLEY_WILMOTT:
        return WhalleyWilmott(cost=cost, aversion=aversion)
    return Zakamouline(cost=cost, aversion=aversion)


def with_vega(
    terms: PolicyTerms,
    policy: PolicySpec,
    exposures: Exposures,
    guidance: Guidance,
    surface: VolSurface,
    numeraire: str,
) -> PolicyTerms:
    """The same terms for a policy that holds vega: bands around its targets instead of none.

    Between the ranges, and below the first, vega is kept small: what has run out of its range is sold.
    """
    index = float(surface.forward(0.0))
    unit = 1.0 if numeraire == "usd" else 1.0 / index
    targets = guidance.vega_targets(policy, surface)
    width = _VEGA_WIDTH * abs(policy.vega_usd) * unit
    bands = [TenorBand(low, high, Band.around(width, vega * unit)) for low, high, vega in targets]
    first, last = bands[0].min_days, bands[-1].max_days
    bands = [
        TenorBand(0.0, first, Band.around(2.0 * width)),
        *bands,
        TenorBand(last, _LONGEST_DAYS, Band.around(2.0 * width)),
    ]
    # The band of the delta is a share of the coins that the options are of, or are about to be of: one at the
    # money has a vega of S·sqrt(tau / 2 pi).
    middles = np.array([np.sqrt(low * high) / DAYS_PER_YEAR for low, high, _ in targets])
    per_coin = VOL_POINT * index * np.sqrt(middles / (2.0 * np.pi))
    options = exposures.priced.is_option
    held = float(np.nansum(np.abs(exposures.priced.size[options])))
    gross = max(held, float(np.sum(np.abs(policy.vega_usd) / per_coin)))
    band = Band.around(max(policy.delta_band, _SMALLEST_VEGA_DELTA) * gross)
    limits = replace(terms.limits, vega=tuple(bands), delta=band, max_contracts={})
    return replace(terms, limits=limits)


def terms_of(
    policy: PolicySpec, own: Sequence[Position], exposures: Exposures, underlying: str, numeraire: str
) -> PolicyTerms:
    """Scale a policy's bands to the book at hand.

    Parameters
    ----------
    policy : PolicySpec
    own : sequence of Position
        The book's own options on the underlying: hedges neither widen the bands nor trade these contracts.
    exposures : Exposures
        Of the account, the own options among them.
    underlying, numeraire : str
    """
    keys = [position.instrument.key for position in own]
    gross_coin = sum(float(abs(p.quantity) * p.instrument.multiplier) for p in own)
    mine = np.isin([item.key for item in exposures.priced.instruments], keys)
    vegas = exposures.values[f"vega_{numeraire}_per_vol_point"][mine]
    smallest = _SMALLEST_BAND * gross_coin
    rule = delta_rule_of(policy)
    delta_band = Band.around(max(policy.delta_band * gross_coin, smallest))
    if rule is not None:
        delta_band = band_for(rule, exposures, underlying, min_half_width=smallest)
    vega_bands: tuple[TenorBand, ...] = ()
    if policy.kind is PolicyKind.DELTA_VEGA:
        half_width = policy.vega_band * float(np.nansum(np.abs(vegas)))
        vega_bands = tuple(
            TenorBand(b.min_days, b.max_days, Band.around(half_width)) for b in policy.vega_buckets
        )
    # No plan trades more of one option than the book holds of all: hedges must not outgrow the book. A hedge
    # that is on can always be taken off whole, also when the book has expired.
    most = sum((abs(p.quantity) for p in own), Decimal(0))
    legs = exposures.priced
    held = {
        item.key: max(most, abs(Decimal(repr(float(contracts)))))
        for item, contracts in zip(legs.instruments, legs.quantity, strict=True)
        if item.is_option and item.underlying == underlying
    }
    limits = HedgeLimits(
        numeraire=Numeraire(numeraire),
        delta=delta_band,
        vega=vega_bands,
        allowed_kinds=allowed_kinds(policy),
        max_contracts=held | dict.fromkeys(keys, Decimal(0)) | {InstrumentKind.OPTION.value: most},
    )
    watched: Mapping[str, Band] = {"delta": delta_band}
    if vega_bands:
        watched = {**watched, "vega": vega_bands[0].band}
    return PolicyTerms(limits, _trigger(policy, watched))


def _trigger(policy: PolicySpec, watched: Mapping[str, Band]) -> Trigger:
    triggers: list[Trigger] = []
    if policy.interval_hours is not None:
        triggers.append(IntervalTrigger(policy.interval_hours))
    if policy.delta_band > 0.0 or policy.delta_rule is not None:
        triggers.append(BandTrigger(watched))
    if not triggers:
        return AlwaysTrigger()
    return triggers[0] if len(triggers) == 1 else AnyTrigger(tuple(triggers))
