"""The term structure of one fit at its listed expiries: at-the-money and forward vols, skew and wings."""

import polars as pl

from ivhedge.report.charts.style import Chart, Option, base, color, fn, line, value_axis
from ivhedge.report.steps import TICK_DAYS, forward_steps

__all__ = ["expiry_skew", "expiry_term"]

_LEFT = {"color": color("muted"), "align": "left"}
_DOTS: Option = {"showSymbol": True, "symbolSize": 6}


def expiry_term(term: pl.DataFrame) -> Chart | None:
    """ATM vol at each expiry, and the forward vol between as steps.

    Parameters
    ----------
    term : pl.DataFrame
        `TERM_SCHEMA` with ``forward_vol``, one row per expiry.
    """
    rows = term.drop_nulls("atm_vol").sort("tenor_days")
    if rows.is_empty():
        return None
    steps = [list(point) for point in forward_steps(rows)]
    option = base(legend=True, tooltip="vol", xAxis=_days(rows))
    option |= {
        "yAxis": value_axis("", "volpct"),
        "series": [
            line("forward", steps, color("series1"), lineStyle={"width": 1.2, "color": color("series1")}),
            line("at the money", _pairs(rows, "atm_vol"), color("series3"), **_DOTS),
        ],
    }
    return Chart(
        title="Term structure",
        note="% a year at the listed expiries; forward = from the expiry before; days, log scale",
        option=option,
    )


def expiry_skew(term: pl.DataFrame) -> Chart | None:
    """25-delta risk reversal and butterfly at each expiry."""
    rows = term.filter(pl.col("risk_reversal_25").is_not_null()).sort("tenor_days")
    if rows.is_empty():
        return None
    points = rows.with_columns(pl.col("risk_reversal_25", "butterfly_25") * 100.0)
    option = base(legend=True, tooltip="points1", xAxis=_days(rows))
    option |= {
        "yAxis": value_axis("vol points", "points", scale=False, nameTextStyle=_LEFT),
        "series": [
            line("25Δ risk reversal", _pairs(points, "risk_reversal_25"), color("series1"), **_DOTS),
            line("25Δ butterfly", _pairs(points, "butterfly_25"), color("series3"), **_DOTS),
        ],
    }
    return Chart(
        title="Skew and wings", note="vol points; risk reversal = call − put; days, log scale", option=option
    )


def _pairs(rows: pl.DataFrame, column: str) -> list[object]:
    return [list(point) for point in rows.select("tenor_days", column).rows()]


def _days(rows: pl.DataFrame) -> Option:
    days = rows["tenor_days"].to_list()
    bounds: Option = {"min": 0.8 * days[0], "max": 1.25 * days[-1]}
    axis = value_axis("", "days", scale=False, splitLine={"show": False}, **bounds)
    ticks = _ticks(days[0], days[-1])
    axis |= {"type": "log", "axisTick": {"customValues": ticks}, "minorTick": {"show": False}}
    axis["axisLabel"] = {
        "color": color("muted"),
        "fontSize": 11,
        "formatter": fn("days"),
        "customValues": ticks,
    }
    return axis


def _ticks(first: float, last: float) -> list[float]:
    return [days for days in TICK_DAYS if 0.8 * first <= days <= 1.25 * last] or [first]
