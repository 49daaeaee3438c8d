"""The surface as a whole: term structure, skew, its history, and the quality of the fits."""

import polars as pl

from ivhedge.report.charts.style import (
    Chart,
    Option,
    bar,
    base,
    color,
    line,
    palette,
    time_axis,
    time_points,
    value_axis,
)

__all__ = ["atm_history", "fit_quality", "skew_chart", "tenor_fit", "term_structure"]

_MAX_TENORS = 8
_LEFT = {"color": color("muted"), "align": "left"}
_RIGHT = {"color": color("muted"), "align": "right"}


def term_structure(term: pl.DataFrame, underlying: str) -> Chart | None:
    """ATM vol by tenor now, at the start, and the range between them (the shadow of the past)."""
    rows = term.filter(pl.col("underlying") == underlying).drop_nulls("atm_vol")
    if rows.is_empty():
        return None
    now, first = _at(rows, rows["ts"].max()), _at(rows, rows["ts"].min())
    spread = (
        rows.group_by("tenor_days")
        .agg(
            pl.col("atm_vol").quantile(0.1, "linear").alias("low"),
            pl.col("atm_vol").quantile(0.9, "linear").alias("high"),
        )
        .sort("tenor_days")
    )
    dots: Option = {"showSymbol": True, "symbolSize": 6, "connectNulls": True}
    lines = [line("now", _pairs(now, "atm_vol"), color("series3"), **dots)]
    if rows["ts"].n_unique() > 1:
        lines += [line("start", _pairs(first, "atm_vol"), color("series1"), **dots), *_band(spread)]
    axis = value_axis("ATM vol", "volpct", nameTextStyle=_LEFT)
    option = base(legend=True, tooltip="vol", xAxis=_tenor_axis(spread), yAxis=axis, series=lines)
    note = "ATM, % per year; band = 10–90 %" if len(lines) > 1 else "ATM, % per year"
    return Chart(title=f"Term structure · {underlying}", note=note, option=option)


def skew_chart(term: pl.DataFrame, underlying: str) -> Chart | None:
    """25-delta risk reversal and butterfly by tenor, now."""
    rows = term.filter(pl.col("underlying") == underlying)
    rows = rows.filter(pl.col("risk_reversal_25").is_not_null() | pl.col("butterfly_25").is_not_null())
    if rows.is_empty():
        return None
    now = _at(rows, rows["ts"].max())
    option = base(legend=True, tooltip="points1")
    option |= {
        "xAxis": _tenor_axis(now),
        "yAxis": value_axis("vol points", "points", scale=False, nameTextStyle=_LEFT),
        "series": [
            bar("25Δ risk reversal", _in_points(now["risk_reversal_25"]), color("series1"), barMaxWidth=22),
            bar("25Δ butterfly", _in_points(now["butterfly_25"]), color("series3"), barMaxWidth=22),
        ],
    }
    return Chart(
        title=f"Skew and wings · {underlying}",
        note="vol points, last snapshot; RR = call − put",
        option=option,
    )


def atm_history(term: pl.DataFrame, underlying: str) -> Chart | None:
    """ATM vol over time at each constant tenor; None when tenors are not constant."""
    rows = term.filter(pl.col("underlying") == underlying).drop_nulls("atm_vol").sort("ts")
    tenors = rows["tenor_days"].unique().sort().to_list()
    if rows["ts"].n_unique() < 2 or len(tenors) > _MAX_TENORS:
        return None
    lines = []
    for place, days in enumerate(tenors):
        path = rows.filter(pl.col("tenor_days") == days)
        lines.append(line(_tenor_name(days), time_points(path["ts"], path["atm_vol"]), palette(place)))
    axis = value_axis("ATM vol", "volpct", nameTextStyle=_LEFT)
    option = base(legend=True, tooltip="vol", xAxis=time_axis(), yAxis=axis, series=lines)
    return Chart(
        title=f"ATM vol over time · {underlying}", note="% per year at constant tenors", option=option
    )


def fit_quality(surfaces: pl.DataFrame, underlying: str) -> Chart | None:
    """Root-mean-square error and share inside bid/ask of every fit."""
    rows = surfaces.filter(pl.col("underlying") == underlying).sort("ts")
    if rows.is_empty():
        return None
    option = base(
        legend=True,
        tooltip="plain",
        xAxis=time_axis(),
        yAxis=[
            value_axis("rmse, vol points", "plain", scale=False, nameTextStyle=_LEFT),
            value_axis(
                "inside bid/ask, %",
                "plain",
                scale=False,
                min=0,
                max=100,
                splitLine={"show": False},
                nameTextStyle=_RIGHT,
            ),
        ],
        series=[
            line("rmse (left)", time_points(rows["ts"], _in_points(rows["rmse_vol"])), color("series3")),
            line(
                "inside bid/ask (right)",
                time_points(rows["ts"], _in_points(rows["inside_bid_ask"])),
                color("series1"),
                yAxisIndex=1,
            ),
        ],
    )
    median = rows["rmse_vol"].median()
    shown = f"{100 * median:.2f}" if isinstance(median, float) else "–"
    return Chart(
        title=f"Fit quality · {underlying} · median rmse {shown} pts", note="per snapshot", option=option
    )


def tenor_fit(fit_by_tenor: pl.DataFrame, underlying: str) -> Chart | None:
    """Share inside bid/ask and error by tenor bucket."""
    rows = fit_by_tenor.filter(pl.col("underlying") == underlying)
    if rows.is_empty():
        return None
    option = base(legend=True, tooltip="plain")
    option |= {
        "xAxis": {
            "type": "category",
            "data": rows["tenor"].to_list(),
            "axisLabel": {"color": color("muted"), "fontSize": 11, "interval": 0, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": color("axis")}},
            "axisTick": {"show": False},
        },
        "yAxis": [
            value_axis("inside bid/ask, %", "plain", scale=False, min=0, max=100, nameTextStyle=_LEFT),
            value_axis(
                "rmse, vol points", "plain", scale=False, splitLine={"show": False}, nameTextStyle=_RIGHT
            ),
        ],
        "series": [
            bar(
                "inside bid/ask (left)", _in_points(rows["inside_bid_ask"]), color("series1"), barMaxWidth=34
            ),
            line(
                "rmse (right)",
                _in_points(rows["rmse_vol"]),
                color("series3"),
                yAxisIndex=1,
                showSymbol=True,
                symbolSize=7,
            ),
        ],
    }
    return Chart(title=f"Fit by tenor · {underlying}", note="all snapshots", option=option)


def _at(rows: pl.DataFrame, ts: object) -> pl.DataFrame:
    return rows.filter(pl.col("ts") == pl.lit(ts, dtype=rows.schema["ts"])).sort("tenor_days")


def _pairs(rows: pl.DataFrame, column: str) -> list[object]:
    return [[_tenor_name(days), value] for days, value in rows.select("tenor_days", column).rows()]


def _in_points(values: pl.Series) -> list[float | None]:
    return [None if value is None else 100.0 * value for value in values.to_list()]


def _band(spread: pl.DataFrame) -> list[Option]:
    """Two stacked areas: an invisible one up to the low, a shaded one from there to the high."""
    low = _pairs(spread, "low")
    width = _pairs(spread.with_columns((pl.col("high") - pl.col("low")).alias("width")), "width")
    quiet: Option = {"lineStyle": {"opacity": 0}, "stack": "band", "silent": True, "tooltip": {"show": False}}
    return [
        line("", low, color("muted"), **quiet),
        line("10–90 %", width, color("muted"), **quiet, areaStyle={"color": color("muted"), "opacity": 0.18}),
    ]


def _tenor_name(days: float) -> str:
    return f"{days:.3g} d"


def _tenor_axis(rows: pl.DataFrame) -> Option:
    return {
        "type": "category",
        "data": [_tenor_name(days) for days in rows["tenor_days"].to_list()],
        "axisLabel": {"color": color("muted"), "fontSize": 11, "hideOverlap": True},
        "axisLine": {"lineStyle": {"color": color("axis")}, "onZero": False},
        "axisTick": {"show": False},
    }
