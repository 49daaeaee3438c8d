"""Smile slices: quotes as bid/ask bars, the model as a line, residuals in half-spreads beneath."""

import math
from collections.abc import Iterator

import polars as pl

from ivhedge.report.charts.style import Chart, Option, base, color, fn, line, value_axis
from ivhedge.report.panels import SmilePanel, smile_panel, smile_panels

__all__ = ["smile_chart", "smile_charts"]

_VOL_TICKS = 5
_NAMES = {"inside": "inside bid/ask", "rich": "rich", "cheap": "cheap", "rejected": "rejected"}
_FARTHEST = 4.0
"""Residuals beyond so many half-spreads are drawn at the edge."""


def smile_charts(smiles: pl.DataFrame) -> Iterator[Chart]:
    """Yield one chart per underlying and expiry, nearest expiry first."""
    for panel in smile_panels(smiles):
        chart = _chart(panel)
        if chart is not None:
            yield chart


def smile_chart(rows: pl.DataFrame) -> Chart | None:
    """Draw the smile of one underlying and expiry.

    Parameters
    ----------
    rows : pl.DataFrame
        Rows of `SMILES_SCHEMA` with one underlying and one expiry; ``rejected`` and ``backbone_iv`` are
        drawn where they are there.
    """
    return _chart(smile_panel(rows))


def _chart(panel: SmilePanel) -> Chart | None:
    if panel.line.is_empty() and panel.quotes.is_empty():
        return None
    option = base(legend=True, tooltip="vol", trigger="item")
    option |= {
        "grid": [
            {"left": 48, "right": 14, "top": 30, "height": "55%"},
            {"left": 48, "right": 14, "top": "78%", "bottom": 22},
        ],
        "xAxis": _strike_axes(panel),
        "yAxis": [_vol_axis(panel), _residual_axis(panel)],
        "series": [*_quotes(panel), *_lines(panel), *_residuals(panel)],
    }
    note = f"{panel.note}; below: mid − model, half-spreads"
    return Chart(title=panel.title, note=note, option=option, height=290)


def _shown_states(panel: SmilePanel) -> list[str]:
    rejected = (panel.quotes["state"] == "rejected").any()
    return [state for state in _NAMES if state != "rejected" or rejected]


def _quotes(panel: SmilePanel) -> list[Option]:
    parts: list[Option] = []
    for state in _shown_states(panel):
        rows = panel.quotes.filter(pl.col("state") == state).with_columns(
            (pl.col("state") == "rejected").cast(pl.Int8).alias("crossed")
        )
        columns = ("strike", "bid_iv", "ask_iv", "mid_iv", "model_iv", "venue", "crossed")
        parts.append(
            {
                "type": "custom",
                "name": _NAMES[state],
                "data": [list(row) for row in rows.select(columns).rows()],
                "renderItem": fn("bidAskBar"),
                "clip": True,
                "encode": {"x": 0, "y": [1, 2]},
                "itemStyle": {"color": color(state)},
                "tooltip": {"formatter": fn("quoteTip")},
            }
        )
    return parts


def _lines(panel: SmilePanel) -> list[Option]:
    quiet: Option = {"show": False}
    beneath = panel.line.drop_nulls("backbone_iv")
    parts: list[Option] = []
    if not beneath.is_empty():
        points = [list(row) for row in beneath.select("strike", "backbone_iv").rows()]
        stroke: Option = {"width": 1.0, "type": "dashed", "color": color("backbone")}
        parts.append(line("backbone", points, color("backbone"), lineStyle=stroke, z=3, tooltip=quiet))
    points = [list(row) for row in panel.line.select("strike", "model_iv").rows()]
    return [*parts, line("model", points, color("model"), z=4, tooltip=quiet)]


def _residuals(panel: SmilePanel) -> list[Option]:
    parts: list[Option] = []
    for state in _shown_states(panel):
        rows = panel.quotes.filter(pl.col("state") == state).drop_nulls("score")
        data = [
            [strike, max(-_FARTHEST, min(score, _FARTHEST)), score, 100.0 * gap]
            for strike, score, gap in rows.select("strike", "score", "residual").rows()
        ]
        parts.append(
            {
                "type": "custom",
                "name": _NAMES[state],
                "data": data,
                "renderItem": fn("residualBar"),
                "encode": {"x": 0, "y": 1},
                "xAxisIndex": 1,
                "yAxisIndex": 1,
                "itemStyle": {"color": color(state)},
                "tooltip": {"formatter": fn("residualTip")},
            }
        )
    limits: Option = {
        "silent": True,
        "symbol": "none",
        "label": {"show": False},
        "lineStyle": {"color": color("axis"), "type": "dashed", "width": 1},
        "data": [{"yAxis": 1.0}, {"yAxis": -1.0}],
    }
    parts[0]["markLine"] = limits
    return parts


def _vol_axis(panel: SmilePanel) -> Option:
    ends = panel.vols
    if ends is None:
        return value_axis("", "volpct", splitNumber=4)
    low, high = ends
    step = next((s for s in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if (high - low) / s <= _VOL_TICKS), 1.0)
    # Rounded to whole steps, so that the ticks are round numbers too.
    bounds = {"min": step * math.floor(low / step), "max": step * math.ceil(high / step)}
    return value_axis("", "volpct", interval=step, **bounds)


def _residual_axis(panel: SmilePanel) -> Option:
    """Axis of at least ±1 half-spreads, with three ticks."""
    largest = panel.quotes["score"].drop_nulls().drop_nans().abs().max()
    size = float(largest) if isinstance(largest, float) else 1.0
    reach = min(max(1.0, float(math.ceil(size - 0.05))), _FARTHEST)
    # A little more than the last tick, so that a bar on the bid or on the ask can be told from one beyond.
    label: Option = {
        "color": color("muted"),
        "formatter": fn("points"),
        "fontSize": 11,
        "customValues": [-reach, 0, reach],
    }
    return value_axis(
        "",
        "points",
        gridIndex=1,
        min=-1.15 * reach,
        max=1.15 * reach,
        axisLabel=label,
        splitLine={"show": False},
    )


def _strike_axes(panel: SmilePanel) -> list[Option]:
    bounds: Option = {}
    if panel.strikes is not None:
        lowest, highest = panel.strikes
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
