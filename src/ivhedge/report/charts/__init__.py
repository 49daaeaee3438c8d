"""Charts as ECharts option trees: plain functions from tables to JSON-able values."""

from ivhedge.report.charts.pnl import (
    attribution_over_time,
    attribution_totals,
    cost_breakdown,
    drawdown_chart,
    pnl_coin_chart,
    pnl_usd_chart,
)
from ivhedge.report.charts.risk import exposure_chart, spot_vol_heatmap, stage_times
from ivhedge.report.charts.smile import smile_chart, smile_charts
from ivhedge.report.charts.style import Chart, Option
from ivhedge.report.charts.surface import atm_history, fit_quality, skew_chart, tenor_fit, term_structure
from ivhedge.report.charts.term import expiry_skew, expiry_term

__all__ = [
    "Chart",
    "Option",
    "atm_history",
    "attribution_over_time",
    "attribution_totals",
    "cost_breakdown",
    "drawdown_chart",
    "expiry_skew",
    "expiry_term",
    "exposure_chart",
    "fit_quality",
    "pnl_coin_chart",
    "pnl_usd_chart",
    "skew_chart",
    "smile_chart",
    "smile_charts",
    "spot_vol_heatmap",
    "stage_times",
    "tenor_fit",
    "term_structure",
]
