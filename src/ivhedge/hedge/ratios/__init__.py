"""Hedge ratios: how many coins of the forward hedge an option when its vol moves with the forward."""

from ivhedge.hedge.ratios.adaptive import AdaptiveRatio
from ivhedge.hedge.ratios.buckets import RatioBuckets
from ivhedge.hedge.ratios.factor import FactorRatio
from ivhedge.hedge.ratios.legs import RatioLegs, ratio_legs
from ivhedge.hedge.ratios.protocol import BlackScholes, HedgeRatio, ratio_delta
from ivhedge.hedge.ratios.quadratic import HullWhite, fit_hull_white
from ivhedge.hedge.ratios.recalibration import (
    RecalibrationSettings,
    RecalibrationState,
    new_state,
    recalibrate,
)
from ivhedge.hedge.ratios.records import Recalibration, RecalibrationReason, records_frame, records_json
from ivhedge.hedge.ratios.regression import BucketRatio, fit_bucket_ratio
from ivhedge.hedge.ratios.smile import SmileRatio
from ivhedge.hedge.ratios.steps import HedgeSteps, hedge_steps

__all__ = [
    "AdaptiveRatio",
    "BlackScholes",
    "BucketRatio",
    "FactorRatio",
    "HedgeRatio",
    "HedgeSteps",
    "HullWhite",
    "RatioBuckets",
    "RatioLegs",
    "Recalibration",
    "RecalibrationReason",
    "RecalibrationSettings",
    "RecalibrationState",
    "SmileRatio",
    "fit_bucket_ratio",
    "fit_hull_white",
    "hedge_steps",
    "new_state",
    "ratio_delta",
    "ratio_legs",
    "recalibrate",
    "records_frame",
    "records_json",
]
