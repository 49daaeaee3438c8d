"""Smile slices: quotes as bid/ask bars, the model as a line, residuals beneath.

A mid above its ask-to-bid room over the model is *rich* (sell), one below is *cheap* (buy); quotes whose
bid/ask holds the model are grey.
"""

import math
from collections.abc import Iterator

import polars as pl

from ivhedge.core.units import VOL_POINT
from ivhedge.report import format as fmt
from ivhedge.report.charts.style import Chart, Option, base, color, fn, line, value_axis

__all__ = ["smile_chart", "smile_charts"]

_VOL_TICKS = 5
_STATES = (("inside bid/ask", "inside"), ("rich", "rich"), ("cheap", "cheap"))


def smile_charts(smiles: pl.DataFrame) -> Iterator[Chart]:
    """Yield one chart per underlying and expiry, nearest expiry first."""
    for _, rows in smiles.sort("underlying", "expiry").group_by("underlying", "expiry", maintain_order=True):
        chart = smile_chart(rows)
        if chart is not None:
            yield chart


def smile_chart(rows: pl.DataFrame) -> Chart | None:
    """Draw the smile of one underlying and expiry.

    Parameters
    ----------
    rows : pl.DataFrame
        Rows of `SMILES_SCHEMA` with one underlying and one expiry.
    """
    rows = rows.sort("strike")
    model = rows.drop_nulls("model_iv").group_by("strike").agg(pl.col("model_iv").mean()).sort("strike")
    quoted = rows.filter(pl.col("bid_iv").is_not_null() | pl.col("ask_iv").is_not_null())
    if model.is_empty() and quoted.is_empty():
        return None
    judged = _judged(quoted)
    option = base(legend=True, tooltip="vol", trigger="item")
    option |= {
        "grid": [
            {"left": 48, "right": 14, "top": 30, "height": "55%"},
            {"left": 48, "right": 14, "top": "78%", "bottom": 22},
        ],
        "xAxis": _strike_axes(rows),
        "yAxis": [
            _vol_axis(judged, model),
            _residual_axis(judged),
        ],
        "series": [*_smile_series(judged, model), *_residual_series(judged)],
    }
    return Chart(title=_title(rows), note=_note(judged), option=option, height=290)


def _judged(quoted: pl.DataFrame) -> pl.DataFrame:
    """Add the residual (mid less model) and whether the model lies inside the quote."""
    model, mid = pl.col("model_iv"), pl.col("mid_iv")
    # A missing side bounds nothing; the model can only be outside a side that exists.
    above_ask = (model > pl.col("ask_iv")).fill_null(False)
    below_bid = (model < pl.col("bid_iv")).fill_null(False)
    state = pl.when(below_bid).then(pl.lit("rich")).when(above_ask).then(pl.lit("cheap"))
    return quoted.with_columns(
        (mid - model).alias("residual"), state.otherwise(pl.lit("inside")).alias("state")
    )


def _smile_series(judged: pl.DataFrame, model: pl.DataFrame) -> list[Option]:
    parts: list[Option] = []
    for label, state in _STATES:
        rows = judged.filter(pl.col("state") == state)
        data = [
            list(row)
            for row in rows.select("strike", "bid_iv", "ask_iv", "mid_iv", "model_iv", "venue").rows()
        ]
        parts.append(
            {
                "type": "custom",
                "name": label,
                "data": data,
                "renderItem": fn("bidAskBar"),
                "clip": True,
                "encode": {"x": 0, "y": [1, 2]},
                "itemStyle": {"color": color(state)},
                "tooltip": {"formatter": fn("quoteTip")},
            }
        )
    points = [list(row) for row in model.rows()]
    parts.append(line("model", points, color("model"), z=4, tooltip={"show": False}))
    return parts


def _residual_series(judged: pl.DataFrame) -> list[Option]:
    parts: list[Option] = []
    for label, state in _STATES:
        rows = judged.filter(pl.col("state") == state).drop_nulls("residual")
        parts.append(
            {
                "type": "custom",
                "name": label,
                "data": [[k, r / VOL_POINT] for k, r in rows.select("strike", "residual").rows()],
                "renderItem": fn("residualBar"),
                "encode": {"x": 0, "y": 1},
                "xAxisIndex": 1,
                "yAxisIndex": 1,
                "itemStyle": {"color": color(state)},
                "tooltip": {"formatter": fn("residualTip")},
            }
        )
    return parts


def _vol_axis(judged: pl.DataFrame, model: pl.DataFrame) -> Option:
    """Axis over the model and the two-sided quotes; a lone far ask must not squash the smile."""
    two_sided = judged.drop_nulls(["bid_iv", "ask_iv"])
    shown = pl.concat([model["model_iv"], two_sided["bid_iv"], two_sided["ask_iv"]]).drop_nulls().drop_nans()
    low, high = shown.min(), shown.max()
    if not isinstance(low, float) or not isinstance(high, float):
        return value_axis("", "volpct", splitNumber=4)
    step = next((s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / s <= _VOL_TICKS), 1.0)
    # Rounded to whole steps, so that the ticks are round numbers too.
    bounds = {"min": step * math.floor(low / step), "max": step * math.ceil(high / step)}
    return value_axis("", "volpct", interval=step, **bounds)


def _residual_axis(judged: pl.DataFrame) -> Option:
    """Axis from minus to plus the largest residual, with three ticks."""
    largest = (judged["residual"].drop_nulls().drop_nans().abs() / VOL_POINT).max()
    size = float(largest) if isinstance(largest, float) and largest > 0 else 1.0
    step = 10.0 ** math.floor(math.log10(size))
    reach = step * math.ceil(size / step)
    return value_axis("", "points", gridIndex=1, min=-reach, max=reach, interval=reach)


def _strike_axes(rows: pl.DataFrame) -> list[Option]:
    lowest, highest = rows["strike"].min(), rows["strike"].max()
    bounds: Option = {}
    if isinstance(lowest, float) and isinstance(highest, float):
        room = 0.02 * (highest - lowest) or 0.02 * highest
        bounds = {"min": lowest - room, "max": highest + room}
    hidden: Option = {"show": False}
    shown = value_axis("strike", "strike", splitNumber=5, nameLocation="middle", nameGap=20, **bounds)
    label: Option = {
        "color": color("muted"),
        "fontSize": 11,
        "formatter": fn("strike"),
        "showMinLabel": False,
        "showMaxLabel": False,
    }
    return [
        {**shown, "name": "", "axisLabel": hidden, "axisTick": hidden, "gridIndex": 0},
        {**shown, "name": "", "axisLabel": label, "gridIndex": 1, "splitLine": hidden},
    ]


def _title(rows: pl.DataFrame) -> str:
    first = rows.row(0, named=True)
    days = first["tau"] * 365
    return f"{first['underlying']} {first['expiry']:%d %b %Y} · {fmt.number(days, 1 if days < 10 else 0)} d"


def _note(judged: pl.DataFrame) -> str:
    residual = judged["residual"].drop_nulls().drop_nans()
    if residual.is_empty():
        return "no quotes"
    squares = (residual**2).mean()
    rmse = float(squares) ** 0.5 if isinstance(squares, float) else None
    inside = judged.filter(pl.col("state") == "inside").height / judged.height
    return (
        f"rmse {fmt.vol_points(rmse)} pts unweighted · {fmt.percent(inside, 0)} inside · "
        f"{judged.height} quotes; below: mid − model, pts"
    )
