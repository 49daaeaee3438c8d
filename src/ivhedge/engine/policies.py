"""From a policy to the limits and the trigger that the planning function takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from ivhedge.core.instruments import InstrumentKind
from ivhedge.engine.spec import PolicyKind, PolicySpec
from ivhedge.hedge import (
    AlwaysTrigger,
    AnyTrigger,
    Band,
    BandTrigger,
    HedgeLimits,
    IntervalTrigger,
    Numeraire,
    TenorBand,
    Trigger,
)
from ivhedge.ledger import Position
from ivhedge.risk import Exposures

__all__ = ["PolicyTerms", "allowed_kinds", "terms_of"]

# A band of zero width would make every lot a breach; this is about a lot of a million-dollar book.
_SMALLEST_BAND = 0.002


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """Limits and trigger of one policy for one underlying at one time."""

    limits: HedgeLimits
    trigger: Trigger


def allowed_kinds(policy: PolicySpec) -> frozenset[InstrumentKind]:
    """Instruments that a policy trades."""
    kinds = {InstrumentKind.PERPETUAL}
    if policy.kind is PolicyKind.DELTA_VEGA:
        kinds.add(InstrumentKind.OPTION)
    return frozenset(kinds)


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
    delta_band = Band.around(max(policy.delta_band, _SMALLEST_BAND) * gross_coin)
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
    if policy.delta_band > 0.0:
        triggers.append(BandTrigger(watched))
    if not triggers:
        return AlwaysTrigger()
    return triggers[0] if len(triggers) == 1 else AnyTrigger(tuple(triggers))
