"""When and how far to rebalance a delta hedge: policies, their evaluation, and the day of expiry."""

from ivhedge.hedge.policies.adapter import band_for, expiry_legs, trigger_for
from ivhedge.hedge.policies.asymptotic import WhalleyWilmott, Zakamouline
from ivhedge.hedge.policies.events import EventResult, replay_events, replay_events_stepwise
from ivhedge.hedge.policies.expiry_day import ExpiryAdvice, ExpiryRules, advise_expiry
from ivhedge.hedge.policies.leland import Leland
from ivhedge.hedge.policies.measures import cvar, rms
from ivhedge.hedge.policies.optimal import NoTradeRegion, OptimalBand, solve_region
from ivhedge.hedge.policies.paths import HedgePaths, PathResult, run_policy, run_policy_stepwise
from ivhedge.hedge.policies.protocol import DeltaPolicy, Gate
from ivhedge.hedge.policies.samples import gbm_paths, realised_vol_mark, recorded_calls
from ivhedge.hedge.policies.settling import ExpiryLegs
from ivhedge.hedge.policies.simple import FixedBand, MoveTrigger, Timetable
from ivhedge.hedge.policies.state import HedgeMoment, Zone, moment_of_option
from ivhedge.hedge.policies.tuned import BandFit, TunedBand, fit_band

__all__ = [
    "BandFit",
    "DeltaPolicy",
    "EventResult",
    "ExpiryAdvice",
    "ExpiryLegs",
    "ExpiryRules",
    "FixedBand",
    "Gate",
    "HedgeMoment",
    "HedgePaths",
    "Leland",
    "MoveTrigger",
    "NoTradeRegion",
    "OptimalBand",
    "PathResult",
    "Timetable",
    "TunedBand",
    "WhalleyWilmott",
    "Zakamouline",
    "Zone",
    "advise_expiry",
    "band_for",
    "cvar",
    "expiry_legs",
    "fit_band",
    "gbm_paths",
    "moment_of_option",
    "realised_vol_mark",
    "recorded_calls",
    "replay_events",
    "replay_events_stepwise",
    "rms",
    "run_policy",
    "run_policy_stepwise",
    "solve_region",
    "trigger_for",
]
