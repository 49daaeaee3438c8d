"""Tables, charts and the one-file HTML report.

What draws a page and what prints a table are loaded when they are used.
"""

from ivhedge.report.bookfigure import book_figure, write_book_png
from ivhedge.report.bookpage import render_book_html, write_book_report
from ivhedge.report.bookterminal import book_tables
from ivhedge.report.bookview import Bars, BookView, HeatMap, TableView
from ivhedge.report.figures import fit_figure, require_matplotlib, write_fit_png
from ivhedge.report.fitpage import render_fit_html, write_fit_report
from ivhedge.report.fitview import FitView
from ivhedge.report.html import render_html, write_report
from ivhedge.report.saved import load_result, result_to_dict, save_result
from ivhedge.report.tables import (
    backtest_tables,
    fit_tables,
    frame_table,
    plan_tables,
)
from ivhedge.report.terminal import FitDrawing

__all__ = [
    "Bars",
    "BookView",
    "FitDrawing",
    "FitView",
    "HeatMap",
    "TableView",
    "backtest_tables",
    "book_figure",
    "book_tables",
    "fit_figure",
    "fit_tables",
    "frame_table",
    "load_result",
    "plan_tables",
    "render_book_html",
    "render_fit_html",
    "render_html",
    "require_matplotlib",
    "result_to_dict",
    "save_result",
    "write_book_png",
    "write_book_report",
    "write_fit_png",
    "write_fit_report",
    "write_report",
]
