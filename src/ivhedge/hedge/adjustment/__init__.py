"""Automated position adjustment: watch limits, margin and drift; return, deleverage, never oscillate."""

from ivhedge.hedge.adjustment.decide import adjust_book
from ivhedge.hedge.adjustment.gauges import Gauge, GaugeKind
from ivhedge.hedge.adjustment.result import Adjustment, AdjustmentStatus, GaugeChange, Step
from ivhedge.hedge.adjustment.settings import AdjustmentSettings, GrossLimits
from ivhedge.hedge.adjustment.state import AdjustmentState, Cause, LastAction

__all__ = [
    "Adjustment",
    "AdjustmentSettings",
    "AdjustmentState",
    "AdjustmentStatus",
    "Cause",
    "Gauge",
    "GaugeChange",
    "GaugeKind",
    "GrossLimits",
    "LastAction",
    "Step",
    "adjust_book",
]
