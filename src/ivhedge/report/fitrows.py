"""Rows per expiry, as the page and the terminal show them."""

from datetime import datetime

import polars as pl

from ivhedge.report import format as fmt
from ivhedge.report.fitview import FitView
from ivhedge.report.panels import expiry_label

__all__ = ["EXPIRY_HEADINGS", "TERM_HEADINGS", "expiry_rows", "term_rows"]

EXPIRY_HEADINGS = ("Expiry", "Tenor", "Fit", "Quotes", "Bounds", "Rejected", "Inside", "Rmse")
TERM_HEADINGS = ("Expiry", "Forward", "±, bp", "From", "ATM", "Forward vol", "RR", "BF")

_BASIS_POINT = 1e-4


def expiry_rows(by_expiry: pl.DataFrame) -> list[list[str]]:
    """Quality per expiry under `EXPIRY_HEADINGS`."""
    return [
        [
            _date(row["expiry"]),
            expiry_label(row["tenor_days"]),
            row["fit"],
            fmt.count(row["n_quotes"]),
            fmt.count(row["n_bounds"]),
            fmt.count(row["n_rejected"]),
            fmt.percent(row["inside_bid_ask"]),
            fmt.vol_points(row["rmse_vol"]),
        ]
        for row in by_expiry.iter_rows(named=True)
    ]


def term_rows(view: FitView) -> list[list[str]]:
    """Forward with its error, vols and skew per expiry under `TERM_HEADINGS`."""
    forwards = view.forwards.drop("tenor_days", strict=False)
    joined = view.term.sort("tenor_days").join(forwards, on="expiry", how="left")
    return [
        [
            _date(row["expiry"]),
            fmt.price(row["forward"]),
            _basis_points(row["std_error"], row["forward"]),
            fmt.MISSING if row["method"] is None else row["method"],
            fmt.vol_percent(row["atm_vol"]),
            fmt.vol_percent(row["forward_vol"]),
            fmt.vol_points(row["risk_reversal_25"], signed=True),
            fmt.vol_points(row["butterfly_25"], signed=True),
        ]
        for row in joined.iter_rows(named=True)
    ]


def _basis_points(error: float | None, forward: float | None) -> str:
    if error is None or not forward:
        return fmt.MISSING
    return fmt.number(error / forward / _BASIS_POINT, 1)


def _date(expiry: datetime) -> str:
    return f"{expiry:%d %b %Y}" if (expiry.hour, expiry.minute) == (8, 0) else f"{expiry:%d %b %Y %H:%M}"
