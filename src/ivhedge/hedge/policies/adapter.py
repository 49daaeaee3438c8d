"""From a policy and a book's exposures to the band, the trigger and the expiries that planning takes."""

import numpy as np

from ivhedge.core.errors import ConfigError, DataError
from ivhedge.core.types import BoolArray, FloatArray
from ivhedge.core.units import NS_PER_HOUR
from ivhedge.hedge.limits import Band
from ivhedge.hedge.policies.protocol import DeltaPolicy
from ivhedge.hedge.policies.settling import ExpiryLegs
from ivhedge.hedge.policies.state import HedgeMoment
from ivhedge.hedge.triggers import AlwaysTrigger, BandTrigger, IntervalTrigger, Trigger
from ivhedge.risk import Exposures

__all__ = ["band_for", "expiry_legs", "trigger_for"]

_HOURS_PER_YEAR = 8_760.0


def band_for(
    policy: DeltaPolicy, exposures: Exposures, underlying: str, *, min_half_width: float = 0.0
) -> Band:
    """Band for the delta of a book: what `HedgeLimits.delta` takes, around the policy's centre.

    Parameters
    ----------
    policy : DeltaPolicy
        A `MoveTrigger` has no band of its own beyond the target.
    exposures : Exposures
        Of the account, made with ``strict=True`` or free of unpriced legs of the underlying.
    underlying : str
    min_half_width : float
        Coins, >= 0: half a lot or more, as no hedge is finer.

    Returns
    -------
    Band
        Of the account's delta in coins, its target the middle of the policy's zone.

    Raises
    ------
    DataError
        If a leg of the underlying has no price or the index is unknown.

    Notes
    -----
    The book is seen as its gross number of coins of one option with the book's net gamma per coin and with
    vol, tenor and log-moneyness averaged by absolute gamma: exact for one option, and in the net gamma, which
    the width depends on, for every book. Options with next to no gamma leave the band alone.
    """
    if not min_half_width >= 0.0:
        raise ConfigError(f"expected min_half_width at or above 0, found {min_half_width}")
    rows = _options(exposures, underlying)
    legs = exposures.priced
    gross = float(np.abs(legs.size[rows]).sum())
    gamma = 100.0 * exposures.values["gamma_1pct_usd"][rows] / legs.forward[rows]
    weight = np.abs(gamma)
    if gross == 0.0 or weight.sum() == 0.0:
        return Band.around(min_half_width)
    spot = exposures.indices.get(underlying)
    if spot is None:
        raise DataError(f"expected an index of {underlying} for its band, found none; pass its surface")
    # Every zone moves one to one with the target, so at target 0 it is the zone of the delta left over.
    zone = policy.zone(
        HedgeMoment(
            target=np.zeros(()),
            gamma=np.asarray(gamma.sum() / gross),
            log_moneyness=_mean(np.log(legs.forward[rows] / legs.strike[rows]), weight),
            tau=_mean(legs.tau[rows], weight),
            vol=_mean(legs.vol[rows], weight),
            spot=np.asarray(spot, dtype=np.float64),
            hedge=np.zeros(()),
            elapsed=np.asarray(np.inf),
            move=np.asarray(np.inf),
        )
    )
    lower, upper = gross * float(zone.lower), gross * float(zone.upper)
    middle = 0.5 * (lower + upper)
    half = max(0.5 * (upper - lower), min_half_width)
    return Band.around(half, middle)


def trigger_for(policy: DeltaPolicy, band: Band) -> Trigger:
    """When to plan under a policy: its timetable, or the delta leaving the band.

    Raises
    ------
    ConfigError
        If the policy waits for a move of the spot, which triggers do not see.
    """
    gate = policy.gate
    if gate.min_move > 0.0:
        raise ConfigError(
            "expected a policy that watches time or delta, found one that watches the spot; use FixedBand"
        )
    if gate.min_elapsed > 0.0:
        return IntervalTrigger(gate.min_elapsed * _HOURS_PER_YEAR)
    return BandTrigger({"delta": band}) if band.upper > band.lower else AlwaysTrigger()


def expiry_legs(
    exposures: Exposures, underlying: str, *, within_hours: float = 48.0
) -> dict[int, ExpiryLegs]:
    """Options of an underlying that expire soon, by expiry in nanoseconds, for `advise_expiry`.

    Raises
    ------
    DataError
        If one of the underlying's options has no price.
    """
    rows = _options(exposures, underlying)
    legs = exposures.priced
    ahead = legs.expiry_ns - exposures.ts_ns
    soon = rows & (ahead > 0) & (ahead <= within_hours * NS_PER_HOUR) & (legs.size != 0.0)
    found = {}
    for expiry in np.unique(legs.expiry_ns[soon]).tolist():
        own = soon & (legs.expiry_ns == expiry)
        found[int(expiry)] = ExpiryLegs(
            strike=legs.strike[own], quantity=legs.size[own], is_call=legs.is_call[own], vol=legs.vol[own]
        )
    return found


def _options(exposures: Exposures, underlying: str) -> BoolArray:
    legs = exposures.priced
    mine = np.array([name == underlying for name in legs.underlyings], dtype=np.bool_) & legs.is_option
    lost = mine & ~legs.priced
    if lost.any():
        keys = [item.key for item, bad in zip(legs.instruments, lost.tolist(), strict=True) if bad]
        raise DataError(f"expected a price for every option of {underlying}, found none for {keys}")
    return mine


def _mean(values: FloatArray, weight: FloatArray) -> FloatArray:
    return np.asarray(np.average(values, weights=weight), dtype=np.float64)
