"""Tables, charts and the one-file HTML report.

What draws a page and what prints a table are loaded when they are used.
"""

from ivhedge.report.fitpage import FitView, render_fit_html, write_fit_report
from ivhedge.report.html import render_html, write_report
from ivhedge.report.saved import load_result, result_to_dict, save_result
from ivhedge.report.tables import (
    backtest_tables,
    exposure_tables,
    fit_tables,
    frame_table,
    plan_tables,
    spot_vol_table,
)

__all__ = [
    "FitView",
    "backtest_tables",
    "exposure_tables",
    "fit_tables",
    "frame_table",
    "load_result",
    "plan_tables",
    "render_fit_html",
    "render_html",
    "result_to_dict",
    "save_result",
    "spot_vol_table",
    "write_fit_report",
    "write_report",
]
